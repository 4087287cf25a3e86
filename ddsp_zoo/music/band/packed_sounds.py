"""Packs banks of recorded sounds into small files, for machines without soundfonts and without fluidsynth.

`pack` records sounds into one Ogg Vorbis file for each bank, `unpack` makes banks of these files again, and
`packed_sounds` lists what there is. A part whose program was not packed gets the nearest one (`with_packed_program`).
"""

import json
import lzma
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_when_done, replaced_when_done
from ddsp_zoo.music.band.banks import Source, read_drums, read_notes, record_preset
from ddsp_zoo.music.band.scores import Note, Part, Piece, stem_of
from ddsp_zoo.music.band.sounds import Sounds
from ddsp_zoo.music.sampler import RecordedNote, play_rate, write_bank
from ddsp_zoo.music.signals import Audio
from ddsp_zoo.music.soundfonts import DRUM_BANK, Soundfont

GAP_SECONDS = 0.03  # between recordings, so that coding one does not smear into the next
BLOCK = 1 << 16  # samples written at a time
PACKED_PEAK = 0.9  # of each recording, below the encoder's limit
FIELDS = ("midi", "velocity", "reference", "variant", "loop")
# Velocities at which presets are recorded.
KIT_LAYERS, PITCHED_LAYERS, OTHER_LAYERS = (0.3, 0.65, 0.97), (0.6, 0.92), (0.8,)


@dataclass(frozen=True)
class Wanted:
    """Says which source is packed, for which stem, and how finely it is recorded.

    Args:
        source: what is recorded.
        stem: what it plays.
        velocities: see `record_preset`, as are step and held_seconds.
        step: semitones between the notes.
        held_seconds: length of a note.
        most_layers: recordings of one drum of a kit, at most.
    """

    source: Source
    stem: str
    velocities: tuple[float, ...] = ()
    step: int = 0
    held_seconds: float = 0.0
    most_layers: int = 3


def wanted_sounds(sounds: Sounds, programs: Collection[int]) -> list[Wanted]:
    """Lists what is packed of the sounds of a band: of the instruments "other" only ``programs``, all else whole."""
    found = [Wanted(Source("kit", path), "drums") for path in sounds.drum_kits]
    found += [Wanted(Source("notes", path), stem) for stem, paths in sounds.notes.items() for path in paths]
    for font in sounds.soundfonts:
        found += [
            Wanted(Source("preset", font.path, DRUM_BANK, kit), "drums", KIT_LAYERS, 0, 1.8)
            for kit in font.kits()
        ]
        for program in sorted(font.programs()):
            source, stem = Source("preset", font.path, 0, program), stem_of(0, program)
            if stem != "other":
                found.append(Wanted(source, stem, PITCHED_LAYERS, 4, 3.4))
            elif program in programs:
                found.append(Wanted(source, stem, OTHER_LAYERS, 7, 3.3))
    return found


def pack(wanted: Wanted, folder: Path, rate_hz: int, quality: float) -> None:
    """Records a source for audio at ``rate_hz`` into ``<name>.ogg`` and ``<name>.json``; ``quality``: see `write_ogg`.

    What was packed before stays.
    """
    rate, source = play_rate(rate_hz), wanted.source
    path = folder / source.plain_name(rate_hz)
    if path.with_name(f"{path.name}.json").exists():
        return
    if source.kind == "preset":
        recordings = record_preset(source, rate, wanted.velocities, wanted.step, wanted.held_seconds)
    elif source.kind == "kit":
        recordings = _few_layers(read_drums(source, rate), wanted.most_layers)
    else:
        recordings = read_notes(source, rate)
    write_packed(recordings, wanted, path, rate, quality)


def _few_layers(recordings: Sequence[RecordedNote], most: int) -> list[RecordedNote]:
    """Keeps at most so many recordings of each drum, spread over its velocities."""
    kept = []
    for key in sorted({(r.midi, r.variant) for r in recordings}):
        layers = sorted((r for r in recordings if (r.midi, r.variant) == key), key=lambda r: r.velocity)
        places = np.unique(np.linspace(0, len(layers) - 1, min(most, len(layers))).round().astype(int))
        kept += [layers[place] for place in places]
    return kept


def write_ogg(path: Path, audio: Audio, rate: int, quality: float) -> None:
    """Writes mono audio as Ogg Vorbis; ``quality`` is Vorbis's, from 0 to 1."""
    form = {"samplerate": rate, "channels": 1, "subtype": "VORBIS", "format": "OGG"}
    with (
        replaced_when_done(path) as draft,
        sf.SoundFile(draft, "w", compression_level=1 - quality, **form) as file,
    ):
        for first in range(0, len(audio), BLOCK):  # the encoder crashes on a long recording in one piece
            file.write(audio[first : first + BLOCK])


def write_packed(
    recordings: Sequence[RecordedNote], wanted: Wanted, path: Path, rate: int, quality: float
) -> None:
    """Writes recordings at ``rate`` as a packed bank, ``<path>.ogg`` and ``<path>.json``."""
    gap, notes, pieces, place = round(GAP_SECONDS * rate), [], [], 0
    for recording in recordings:
        peak = max(float(np.abs(recording.audio).max()), 1e-9)
        pieces.append(np.pad(recording.audio / peak * PACKED_PEAK, (0, gap)))
        note = {name: float(getattr(recording, name)) for name in FIELDS}
        notes.append(note | {"first": place, "length": len(recording.audio), "peak": peak})
        place += len(pieces[-1])
    write_ogg(path.with_name(f"{path.name}.ogg"), np.concatenate(pieces), rate, quality)
    source = wanted.source
    about = {"kind": source.kind, "path": source.path.name, "bank": source.bank, "program": source.program}
    with replaced_when_done(path.with_name(f"{path.name}.json")) as draft:
        draft.write_text(json.dumps(about | {"stem": wanted.stem, "notes": notes}))


def unpack(path: Path, root: Path) -> None:
    """Makes the bank ``<root>/<name>`` of a packed one (its .json file), unless it is there."""
    folder = root / path.stem
    if folder.exists():
        return
    about = json.loads(path.read_text())
    audio, _ = sf.read(path.with_suffix(".ogg"), dtype="float32")
    recordings = []
    for note in about["notes"]:
        cut = audio[note["first"] : note["first"] + note["length"]] * (note["peak"] / PACKED_PEAK)
        fields = {name: note[name] for name in ("midi", "velocity", "reference")}
        whole = {name: int(note[name]) for name in ("variant", "loop")}
        recordings.append(RecordedNote(audio=cut, **fields, **whole))
    with folder_when_done(folder) as draft:
        write_bank(draft, recordings)


def packed_sounds(folder: Path) -> Sounds:
    """Lists what was packed in a folder; `DdspZooError` where there is nothing."""
    fonts: dict[str, list[tuple[int, int]]] = {}
    kits, notes = [], {}
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise DdspZooError(f"There are no packed sounds in {folder}: make them by tools/pack_sounds.py.")
    for path in paths:
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
        """Returns the programs of its packed drum kits."""
        return [program for bank, program in self.presets if bank == DRUM_BANK]

    def programs(self) -> set[int]:
        """Returns its packed programs."""
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
    rows = [
        {
            "parts": [
                {"stem": part.stem, "program": part.program, "notes": [_row(note) for note in part.notes]}
                for part in piece.parts
            ],
            "bars": piece.bar_seconds.round(5).tolist(),
            "meter": piece.meter,
        }
        for piece in pieces
    ]
    with replaced_when_done(path) as draft:
        draft.write_bytes(lzma.compress(json.dumps(rows).encode()))


def unpack_pieces(path: Path) -> tuple[Piece, ...]:
    """Reads what `pack_pieces` wrote."""
    pieces = []
    for row in json.loads(lzma.decompress(path.read_bytes())):
        parts = tuple(
            Part(part["stem"], part["program"], tuple(Note(*note) for note in part["notes"]))
            for part in row["parts"]
        )
        pieces.append(Piece(parts, np.array(row["bars"]), tuple(row["meter"])))
    return tuple(pieces)


def _row(note: Note) -> tuple[float, float, int, float]:
    times = round(note.start_seconds, 5), round(note.length_seconds, 5)
    return *times, int(note.midi), round(float(note.velocity), 4)
