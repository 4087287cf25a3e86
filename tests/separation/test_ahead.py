"""What comes next is made while what is there is used."""

import threading

import pytest

from ddsp_zoo.separation.ahead import ahead


def test_items_come_in_their_order_and_none_is_lost() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter([None, None]))) == [None, None]
    assert list(ahead(iter(()))) == []


def test_the_next_item_is_made_meanwhile_and_no_other() -> None:
    made, next_is_there = [], threading.Event()

    def items():
        for number in range(4):
            made.append((number, threading.current_thread()))
            if number == 1:
                next_is_there.set()
            yield number

    taken = ahead(items())
    assert next(taken) == 0
    assert next_is_there.wait(10)  # without anything being asked for
    assert [number for number, _ in made] == [0, 1]
    assert {thread for _, thread in made} != {threading.main_thread()}
    assert list(taken) == [1, 2, 3]


def test_an_error_comes_where_its_item_would() -> None:
    def items():
        yield 1
        raise ValueError("torn")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="torn"):
        next(taken)


def test_what_is_left_early_ends() -> None:
    before, made = threading.active_count(), []
    taken = ahead(made.append(number) or number for number in range(100))
    next(taken)
    taken.close()
    assert threading.active_count() == before and len(made) <= 2
