"""Packed sounds: what comes out is what went in, sources need not be there, and a farm renders from them."""

from pathlib import Path

import numpy as np
import pytest
from packed import FONT, RATE, note, pack_font, piece

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.band.banks import Source, open_bank
from ddsp_zoo.music.band.farm import finished, packed_band
from ddsp_zoo.music.band.packed_sounds import (
    Wanted,
    pack_pieces,
    packed_sounds,
    unpack,
    unpack_pieces,
    wanted_sounds,
    with_packed_program,
    write_packed,
)
from ddsp_zoo.music.band.scores import Part
from ddsp_zoo.music.band.sounds import Sounds
from ddsp_zoo.music.soundfonts import DRUM_BANK, Soundfont


def test_a_bank_comes_back_and_is_found_without_its_source(tmp_path: Path) -> None:
    pack_font(tmp_path / "packed", (33,))
    for path in (tmp_path / "packed").glob("*.json"):
        unpack(path, tmp_path / "banks")
        unpack(path, tmp_path / "banks")  # is there already
    bank = open_bank(Source("preset", FONT, 0, 33), tmp_path / "banks", RATE)
    assert bank.midi.tolist() == [40, 40, 52, 52, 64, 64] and bank.velocity.tolist() == [0.5, 0.9] * 3
    for number, true in enumerate(note(midi, velocity) for midi in (40, 52, 64) for velocity in (0.5, 0.9)):
        first, length = bank.first[number], bank.length[number]
        audio = bank.samples[first : first + length] * bank.gain[number]
        assert length == len(true.audio)
        assert np.square(audio - true.audio).sum() < 0.01 * np.square(true.audio).sum()


def test_loops_and_variants_come_back(tmp_path: Path) -> None:
    wanted = Wanted(Source("notes", Path("some notes")), "bass")
    path = tmp_path / wanted.source.plain_name(RATE)
    write_packed([note(40.3, reference=0.7, variant=2, loop=100)], wanted, path, 2 * RATE, 0.8)
    unpack(path.with_suffix(".json"), tmp_path / "banks")
    bank = open_bank(wanted.source, tmp_path / "banks", RATE)
    found = (bank.midi[0], bank.reference[0], bank.variant[0], bank.loop[0])
    assert found == (40.3, 0.7, 2, 100)


def test_parts_keep_to_what_was_packed(tmp_path: Path) -> None:
    sounds = packed_sounds(pack_font(tmp_path / "packed"))
    (font,) = sounds.soundfonts
    assert font.programs() == {33, 27, 4} and font.kits() == [0]
    for part, program in (
        (Part("bass", 38, ()), 33),
        (Part("guitar", 24, ()), 27),
        (Part("other", 80, ()), 4),
    ):
        assert with_packed_program(part, sounds).program == program
    for part in (Part("drums", 25, ()), Part("other", 53, (), sung=True)):
        assert with_packed_program(part, sounds) is part


def test_pieces_come_back(tmp_path: Path) -> None:
    pack_pieces([piece()], tmp_path / "pieces.xz")
    (back,) = unpack_pieces(tmp_path / "pieces.xz")
    assert back.meter == (4, 4) and np.allclose(back.bar_seconds, piece().bar_seconds)
    for part, true in zip(back.parts, piece().parts, strict=True):
        assert (part.stem, part.program, len(part.notes)) == (true.stem, true.program, len(true.notes))
        assert part.notes[3].midi == true.notes[3].midi
        assert part.notes[3].start_seconds == pytest.approx(true.notes[3].start_seconds)


def test_a_band_plays_what_was_packed(tmp_path: Path) -> None:
    packed = pack_font(tmp_path / "packed")
    for name in ("pieces", "performances"):
        pack_pieces([piece()], packed / f"{name}.xz")
    for path in packed.glob("*.json"):
        unpack(path, tmp_path / "banks")
    band = packed_band(packed, tmp_path / "banks", 4.0, RATE, seed=0)
    for number in range(3):
        stems = band.stems(band.score("train", number), "train", number)
        assert sum(audio.any() for audio in stems.values()) >= 2
        assert all(len(audio) == 4 * RATE and np.abs(audio).max() <= 0.91 for audio in stems.values())


def test_finished_tracks_are_read_once(tmp_path: Path) -> None:
    for name in ("000000", "000001", ".000002"):
        np.save(tmp_path / f"{name}.npy", np.full((4, 5), int(name.strip("."))))
    assert [int(track[0, 0]) for track in finished(tmp_path)] == [0, 1]
    assert not list(finished(tmp_path)) and [path.name for path in tmp_path.iterdir()] == [".000002.npy"]


def test_all_sounds_of_a_band_are_wanted_but_of_other_instruments_those_alone_that_are_named() -> None:
    font = Soundfont(FONT, ((0, 0), (0, 4), (0, 27), (0, 33), (DRUM_BANK, 0)))
    sounds = Sounds((font,), (Path("kit"),), {"bass": (Path("notes"),)})
    found = {(w.source.kind, w.source.bank, w.source.program): w.stem for w in wanted_sounds(sounds, (4,))}
    assert found == {
        ("kit", 0, 0): "drums",
        ("notes", 0, 0): "bass",
        ("preset", DRUM_BANK, 0): "drums",
        ("preset", 0, 4): "other",
        ("preset", 0, 27): "guitar",
        ("preset", 0, 33): "bass",
    }


def test_a_folder_without_packed_sounds_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="pack_sounds.py"):
        packed_sounds(tmp_path)
