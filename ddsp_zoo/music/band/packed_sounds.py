"""Packs banks of recorded sounds into little space, for machines without the soundfonts and without fluidsynth.

`pack` records sounds into one Ogg Vorbis file a bank, `unpack` makes banks of the files again, and `packed_sounds` says
what there is. A part that asks for a program that was not packed gets its nearest relative (`with_packed_program`).
"""

import json
import lzma
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.music.band.banks import Source, read_drums, read_notes, record_preset
from ddsp_zoo.music.band.scores import Note, Part, Piece, stem_of
from ddsp_zoo.music.band.sounds import Sounds
from ddsp_zoo.music.sampler import RecordedNote, play_rate, write_bank
from ddsp_zoo.music.soundfonts import DRUM_BANK, Soundfont

GAP_SECONDS = 0.03  # between recordings, so that coding one does not smear into the next
BLOCK = 1 << 16  # samples written at a time


@dataclass(frozen=True)
class Wanted:
    """Says which source is packed, for which stem, and how closely it is recorded: see `record_preset`."""

    source: Source
    stem: str
    velocities: tuple[float, ...] = ()
    step: int = 0
    held_seconds: float = 0.0
    most_layers: int = 3


def pack(wanted: Wanted, folder: Path, rate_hz: int, quality: float = 0.4) -> float:
    """Records a source for audio at ``rate_hz`` into ``<name>.ogg`` and ``<name>.json``;
    returns its length in seconds.

    ``quality`` is Vorbis's, from 0 to 1.
    """
    rate, source = play_rate(rate_hz), wanted.source
    if source.kind == "preset":
        recordings = record_preset(source, rate, wanted.velocities, wanted.step, wanted.held_seconds)
    elif source.kind == "kit":
        recordings = _few_layers(read_drums(source, rate), wanted.most_layers)
    else:
        recordings = read_notes(source, rate)
    return write_packed(recordings, wanted, folder / source.plain_name(rate_hz), rate, quality)


def _few_layers(recordings: Sequence[RecordedNote], most: int) -> list[RecordedNote]:
    """Returns at most so many recordings of one drum, spread over its velocities."""
    kept = []
    for key in sorted({(r.midi, r.variant) for r in recordings}):
        layers = sorted((r for r in recordings if (r.midi, r.variant) == key), key=lambda r: r.velocity)
        places = np.unique(np.linspace(0, len(layers) - 1, min(most, len(layers))).round().astype(int))
        kept += [layers[place] for place in places]
    return kept


def write_packed(
    recordings: Sequence[RecordedNote], wanted: Wanted, path: Path, rate: int, quality: float
) -> float:
    """Writes recordings at ``rate`` as a packed bank; returns its length in seconds."""
    gap, notes, place = round(GAP_SECONDS * rate), [], 0
    with sf.SoundFile(
        path.with_suffix(".ogg"), "w", rate, 1, "VORBIS", format="OGG", compression_level=1 - quality
    ) as file:
        for recording in recordings:
            peak = max(float(np.abs(recording.audio).max()), 1e-9)
            audio = np.pad(recording.audio / peak * 0.9, (0, gap))
            for first in range(0, len(audio), BLOCK):
                file.write(audio[first : first + BLOCK])
            fields = ("midi", "velocity", "reference", "variant", "loop")
            note = {name: float(getattr(recording, name)) for name in fields}
            notes.append(note | {"first": place, "length": len(recording.audio), "peak": peak})
            place += len(audio)
    source = wanted.source
    about = {"kind": source.kind, "path": source.path.name, "bank": source.bank, "program": source.program}
    path.with_suffix(".json").write_text(json.dumps(about | {"stem": wanted.stem, "notes": notes}))
    return place / rate


def unpack(path: Path, root: Path) -> None:
    """Makes the bank ``<root>/<name>`` of a packed one (its .json file), unless it is there."""
    folder = root / path.stem
    if folder.exists():
        return
    about = json.loads(path.read_text())
    audio, _ = sf.read(path.with_suffix(".ogg"), dtype="float32")
    recordings = []
    for note in about["notes"]:
        cut = audio[note["first"] : note["first"] + note["length"]] * (note["peak"] / 0.9)
        fields = {name: note[name] for name in ("midi", "velocity", "reference")}
        whole = {name: int(note[name]) for name in ("variant", "loop")}
        recordings.append(RecordedNote(audio=cut, **fields, **whole))
    folder.mkdir(parents=True, exist_ok=True)
    write_bank(folder, recordings)


def packed_sounds(folder: Path) -> Sounds:
    """Returns what was packed in a folder, as `Band` takes it."""
    fonts: dict[str, list[tuple[int, int]]] = {}
    kits, notes = [], {}
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text())
        if about["kind"] == "preset":
            fonts.setdefault(about["path"], []).append((about["bank"], about["program"]))
        elif about["kind"] == "kit":
            kits.append(Path(about["path"]))
        else:
            notes.setdefault(about["stem"], []).append(Path(about["path"]))
    return Sounds(
        soundfonts=tuple(_PackedFont(Path(name), tuple(found)) for name, found in fonts.items()),
        drum_kits=tuple(kits),
        notes={stem: tuple(found) for stem, found in notes.items()},
        singing=tuple(sorted((folder / "singing").glob("*.ogg"))),
    )


class _PackedFont(Soundfont):
    """Stands for a soundfont of which some presets were packed."""

    def kits(self) -> list[int]:
        return [program for bank, program in self.presets if bank == DRUM_BANK]

    def programs(self) -> set[int]:
        return {program for bank, program in self.presets if bank != DRUM_BANK}


def with_packed_program(part: Part, sounds: Sounds) -> Part:
    """Returns a part with the nearest program of its stem that was packed; drums and singers stay as they are."""
    if part.stem == "drums" or part.sung:
        return part
    there = {program for font in sounds.soundfonts for program in font.programs()}
    able = sorted(program for program in there if stem_of(0, program) == part.stem)
    # Within a family of eight first: an organ stands for an organ.
    nearest = min(
        able, key=lambda p: (p // 8 != part.program // 8, abs(p - part.program)), default=part.program
    )
    return replace(part, program=nearest)


def pack_pieces(pieces: Sequence[Piece], path: Path) -> None:
    """Writes pieces that have been read, so that they need not be parsed again."""
    rows = []
    for piece in pieces:
        parts = [
            (part.stem, part.program, np.array(
                [(n.start_seconds, n.length_seconds, n.midi, n.velocity) for n in part.notes], np.float32
            ).T)
            for part in piece.parts
        ]  # fmt: skip
        rows.append((parts, piece.bar_seconds.astype(np.float32), piece.meter))
    path.write_bytes(lzma.compress(pickle.dumps(rows)))


def unpack_pieces(path: Path) -> tuple[Piece, ...]:
    """Reads what `pack_pieces` wrote. Only for files of your own: a foreign one could run code."""
    pieces = []
    for parts, bars, meter in pickle.loads(lzma.decompress(path.read_bytes())):
        players = tuple(
            Part(stem, program, tuple(Note(a, b, int(c), d) for a, b, c, d in notes.T.tolist()))
            for stem, program, notes in parts
        )
        pieces.append(Piece(players, bars.astype(float), meter))
    return tuple(pieces)
