"""Controls in another order: what happens to each follows from its declaration, whatever it is called."""

import numpy as np
import pytest

from ddsp_zoo.controls.plan import Plan, lengthened, performed, stretched
from ddsp_zoo.synths.control import Control

COUNT = 12
DECLARED = {
    control.name: control
    for control in (
        Control("a", "Hz", "pitch", 20, 4000, role="pitch", join="switch"),
        Control("b", "1", "gate", role="gate", join="switch"),
        Control("c", "1", "level that fades", role="level", size=2),
        Control("d", "1", "level of notes", role="level", join="note"),
        Control("e", "Hz", "sinusoids", 20, 4000, role="partials", size=2),
        Control("f", "s", "decay of notes", role="time", join="note"),
        Control("g", "dB", "colour", -20, 20, role="timbre"),
        Control("h", "1", "state", role="timbre", join="switch"),
        Control("i", "Hz", "heard", 20, 4000, role="pitch", join="switch", origin="heard"),
        Control("j", "1", "hits", role="hits", join="switch", size=2, origin="heard"),
    )
}
FRAME = np.arange(COUNT, dtype=np.float32)
NOTES = np.where(FRAME < 2, 0.1, np.where(FRAME < 7, 0.2, 0.3)).astype(np.float32)[:, None]
CONTROLS = {
    "a": np.where((FRAME >= 2) & (FRAME != 6) & (FRAME < 10), 100 + FRAME, 0).astype(np.float32),
    "b": np.isin(FRAME, (2, 7)).astype(np.float32)[:, None],
    "c": np.stack([FRAME, 1 + FRAME], 1),
    "d": NOTES,
    "e": np.stack([100 + FRAME, 2500 + FRAME], 1),
    "f": NOTES + 1,
    "g": FRAME[:, None] - 6,
    "h": FRAME[:, None],
    "i": np.full(COUNT, 50, np.float32),
    "j": np.stack([np.isin(FRAME, (0, 3, 4, 10)) * (FRAME + 1) / 20, np.zeros(COUNT)], 1).astype(np.float32),
}


def same() -> Plan:
    return Plan.same(CONTROLS, DECLARED)


def changed(plan: Plan) -> dict[str, np.ndarray]:
    return performed(CONTROLS, DECLARED, plan)


def test_the_plan_that_changes_nothing_changes_nothing() -> None:
    for name, value in changed(same()).items():
        np.testing.assert_array_equal(value, CONTROLS[name])
        assert value.dtype == np.float32


def test_ratios_are_for_frequencies_and_gains_for_levels() -> None:
    plan = same()
    plan.ratio[:], plan.gain[:] = 2, 0.5
    played = changed(plan)
    for name in "ai":
        np.testing.assert_array_equal(played[name], 2 * CONTROLS[name])
    np.testing.assert_array_equal(played["e"], np.minimum(2 * CONTROLS["e"], 4000))
    for name in "cd":
        np.testing.assert_array_equal(played[name], CONTROLS[name] / 2)
    for name in "bfgh":
        np.testing.assert_array_equal(played[name], CONTROLS[name])


def test_what_is_only_heard_ends_with_its_range() -> None:
    plan = same()
    plan.ratio[:] = 0.25
    assert (changed(plan)["i"] == 0).all()


def test_a_note_that_is_removed_leaves_the_one_before_ringing() -> None:
    plan = same()
    plan.sounds[7:10], plan.touched[7:10], plan.gate[7:10] = False, True, False
    played = changed(plan)
    assert (played["a"][7:] == 0).all() and played["b"].sum() == 1
    assert (played["c"][7:10] == 0).all() and (played["c"][10:] == CONTROLS["c"][10:]).all()
    for name in "df":
        np.testing.assert_array_equal(played[name][2:], np.full_like(NOTES[2:], CONTROLS[name][2, 0]))
    np.testing.assert_array_equal(played["g"], CONTROLS["g"])


def test_a_note_that_is_moved_takes_what_belongs_to_it_along_up_to_the_next() -> None:
    plan = same()
    plan.sounds[7:10], plan.touched[7:10], plan.gate[7:10] = False, True, False
    plan.take[8:10], plan.sounds[8:10], plan.gate[8] = (7, 8), True, True
    plan.gain[8:10] = 2
    played = changed(plan)
    np.testing.assert_array_equal(played["a"][6:11], [0, 0, 107, 108, 0])
    np.testing.assert_array_equal(played["b"][:, 0], np.isin(FRAME, (2, 8)))
    np.testing.assert_allclose(played["d"][6:, 0], [0.2, 0.2, 0.6, 0.6, 0.6, 0.6])
    np.testing.assert_allclose(played["f"][6:, 0], [1.2, 1.2, 1.3, 1.3, 1.3, 1.3])
    np.testing.assert_array_equal(played["c"][6:11, 0], [6, 0, 14, 16, 10])


@pytest.mark.parametrize("factor", [0.5, 1.1, 2, 2.5])
def test_stretched_frames_lie_between_their_neighbours(factor: float) -> None:
    count = int(np.ceil(COUNT * factor))
    played = changed(stretched(CONTROLS, DECLARED, factor, count))
    place = np.minimum(np.arange(count) / factor, COUNT - 1)
    for name in "ceg":  # that move evenly
        np.testing.assert_allclose(
            played[name] - CONTROLS[name][0], np.stack([place] * CONTROLS[name].shape[1], 1), atol=1e-3
        )
    np.testing.assert_array_equal(played["h"][:, 0], np.floor(np.round(place, 9)))
    begins = np.flatnonzero(played["b"])
    assert begins.tolist() == [int(np.ceil(round(frame * factor, 9))) for frame in (2, 7)]
    for frame, old in zip(begins, (2, 7), strict=True):
        assert played["d"][frame] == CONTROLS["d"][old] and played["a"][frame] >= 100 + old
    assert played["a"][begins[1] - 1] == 0  # no glide out of the rest before


def test_pitch_moves_evenly_in_semitones() -> None:
    played = changed(stretched(CONTROLS, DECLARED, 2, 2 * COUNT))
    assert played["a"][5] == pytest.approx(np.sqrt(102 * 103))


def test_what_is_lengthened_ends_in_silence() -> None:
    played = changed(lengthened(CONTROLS, DECLARED, COUNT + 5))
    for name, value in CONTROLS.items():
        np.testing.assert_array_equal(played[name][:COUNT], value)
    for name in "abci":
        assert (played[name][COUNT:] == 0).all()
    for name in "defgh":
        np.testing.assert_array_equal(played[name][COUNT:], np.repeat(CONTROLS[name][-1:], 5, 0))


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7, 3.0])
def test_a_hit_stays_one_hit_however_far_it_is_stretched(factor: float) -> None:
    count = round(COUNT * factor)
    hits = performed(CONTROLS, DECLARED, stretched(CONTROLS, DECLARED, factor, count))["j"]
    place = {frame: int(np.ceil(frame * factor - 1e-9)) for frame in (0, 3, 4, 10)}
    wanted = np.zeros(count)
    for frame, at in place.items():
        if at < count:
            wanted[at] = max(wanted[at], (frame + 1) / 20)
    np.testing.assert_allclose(hits[:, 0], wanted, rtol=1e-6)
    assert not hits[:, 1].any()
