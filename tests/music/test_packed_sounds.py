"""Packed sounds: what comes out is what went in, sources need not be there, and a farm renders from them."""

from pathlib import Path

import numpy as np
import pytest

from ddsp_zoo.music.band.banks import Source, open_bank
from ddsp_zoo.music.band.farm import finished, packed_band
from ddsp_zoo.music.band.packed_sounds import (
    Wanted,
    pack_pieces,
    packed_sounds,
    unpack,
    unpack_pieces,
    with_packed_program,
    write_packed,
)
from ddsp_zoo.music.band.scores import Note, Part, Piece
from ddsp_zoo.music.sampler import RecordedNote
from ddsp_zoo.music.soundfonts import DRUM_BANK

RATE = 8000
FONT = Path("somewhere/A font.sf2")


def note(midi: float, velocity: float = 0.8, seconds: float = 0.4, **fields: float) -> RecordedNote:
    time = np.arange(round(seconds * 2 * RATE)) / (2 * RATE)
    hz = 440 * 2 ** ((midi - 69) / 12)
    return RecordedNote(
        midi, velocity, 0.3 * velocity * np.sin(2 * np.pi * hz * time) * np.exp(-3 * time), **fields
    )


def pack_font(folder: Path, programs: tuple[int, ...] = (33, 27, 4)) -> Path:
    """A soundfont of some programs and a drum kit of kick, snare and hi-hat."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        wanted = Wanted(Source("preset", FONT, 0, program), "other")
        recordings = [note(midi, velocity) for midi in (40, 52, 64) for velocity in (0.5, 0.9)]
        write_packed(recordings, wanted, folder / wanted.source.plain_name(RATE), 2 * RATE, 0.8)
    wanted = Wanted(Source("preset", FONT, DRUM_BANK, 0), "drums")
    hits = [note(midi, 0.9) for midi in (36, 38, 42)]
    write_packed(hits, wanted, folder / wanted.source.plain_name(RATE), 2 * RATE, 0.8)
    return folder


def piece(seconds: float = 12.0) -> Piece:
    """Bass, guitar, keys and drums, on every beat."""
    starts = np.arange(0, seconds, 0.5)
    players = [("bass", 33, 40), ("guitar", 27, 52), ("other", 4, 64), ("drums", 0, 36)]
    parts = tuple(
        Part(stem, program, tuple(Note(float(t), 0.4, midi, 0.7) for t in starts))
        for stem, program, midi in players
    )
    return Piece(parts, np.arange(0, seconds + 2, 2.0), (4, 4))


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
    known: set[str] = set()
    assert [name for name, _ in finished(tmp_path, known)] == ["000000", "000001"]
    assert not list(finished(tmp_path, known)) and [path.name for path in tmp_path.iterdir()] == [
        ".000002.npy"
    ]
