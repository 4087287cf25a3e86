"""Plays soundfonts by the program ``fluidsynth``, and writes the MIDI files that it reads."""

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.band.scores import Part
from ddsp_zoo.music.midi import DRUM_CHANNEL, PITCHED_CHANNELS, MidiNote, MidiTrack, write_midi_file

# Samples are 44.1 kHz and the player does not filter before it lowers the rate: resampling comes afterwards.
PLAYER_RATE_HZ = 44100
DRUM_BANK = 128
PRESET_BYTES = 38
KITS = range(0, 48)  # kits above are orchestral and marching percussion


@dataclass(frozen=True)
class Soundfont:
    """Holds the path of a soundfont and the (bank, program) pairs that it has sounds for."""

    path: Path
    presets: tuple[tuple[int, int], ...]

    @property
    def single_kit(self) -> bool:
        """Tells whether the file is one drum kit under program 0, as the soundfonts of drummers are."""
        return self.presets == ((0, 0),)

    def kits(self) -> list[int]:
        """Returns the programs of its drum kits."""
        found = [program for bank, program in self.presets if bank == DRUM_BANK and program in KITS]
        return [0] if self.single_kit else found

    def programs(self) -> set[int]:
        """Returns the General MIDI programs that it can play."""
        return set() if self.single_kit else {program for bank, program in self.presets if bank == 0}


def read_soundfont(path: str | Path) -> Soundfont:
    """Opens a ``.sf2`` or ``.sf3`` file; raises `DdspZooError` where it is missing or something else."""
    path = Path(path)
    if not path.is_file():
        raise DdspZooError(f"There is no soundfont {path}: give the path of an .sf2 or .sf3 file.")
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise DdspZooError(f"{path} is no soundfont: give the path of an .sf2 or .sf3 file.")
        while len(chunk := file.read(12)) == 12:
            name, size, kind = struct.unpack("<4sI4s", chunk)
            if name == b"LIST" and kind == b"pdta":
                _, size = struct.unpack("<4sI", file.read(8))  # the preset headers come first
                return Soundfont(path, _presets(file.read(size)))
            file.seek(size - 4 + size % 2, 1)
    raise DdspZooError(f"{path} lists no instruments: fetch the soundfont again.")


def _presets(headers: bytes) -> tuple[tuple[int, int], ...]:
    """Returns bank and program of each preset header: 20 bytes of name, program, bank; the last one ends the list."""
    starts = range(0, len(headers) - PRESET_BYTES, PRESET_BYTES)
    return tuple(sorted(struct.unpack("<HH", headers[i + 20 : i + 24])[::-1] for i in starts))


def fluidsynth_program() -> str:
    """Returns the path of the fluidsynth program; raises `DdspZooError` where it is not installed."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise DdspZooError(
            "Soundfonts need the program fluidsynth: install it (Debian: apt install fluidsynth; macOS: brew "
            "install fluid-synth), or render with engine 'own'."
        )
    return program


def write_midi(parts: tuple[Part, ...], path: str | Path, drum_channel: int = DRUM_CHANNEL) -> None:
    """Writes parts as a MIDI file, a track each; drums play on channel 10, or on ``drum_channel``."""
    tracks = []
    for number, part in enumerate(parts):
        channel = PITCHED_CHANNELS[number % len(PITCHED_CHANNELS)]
        notes = [
            MidiNote(
                note.start_seconds,
                note.start_seconds + note.length_seconds,
                note.midi,
                max(round(note.velocity * 127), 1),
            )
            for note in part.notes
        ]
        tracks.append(
            MidiTrack(part.stem, notes, part.program, drum_channel if part.stem == "drums" else channel)
        )
    write_midi_file(tracks, path)


def play(
    parts: tuple[Part, ...], soundfont: Path, seconds: float, drum_channel: int = DRUM_CHANNEL
) -> NDArray:
    """Plays parts by fluidsynth, dry and mono -> (seconds * 44100,); raises `DdspZooError` where it fails."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        midi_path, audio_path = Path(folder, "part.mid"), Path(folder, "part.wav")
        write_midi(parts, midi_path, drum_channel)
        command = [fluidsynth_program(), "-niq", "-R", "0", "-C", "0", "-T", "wav", "-O", "float"]
        command += ["-o", "synth.dynamic-sample-loading=1", "-r", str(PLAYER_RATE_HZ), "-F", str(audio_path)]
        result = subprocess.run([*command, str(soundfont), str(midi_path)], capture_output=True, text=True)
        # A soundfont that it cannot load it replaces by a default one, and reports success.
        if result.returncode or "Failed to load" in result.stderr or not audio_path.exists():
            problem = (result.stderr.strip().splitlines() or ["no message"])[0]
            raise DdspZooError(f"fluidsynth cannot play {soundfont} ({problem}): use another soundfont.")
        audio = soundfile.read(audio_path, always_2d=True)[0].mean(1)
    samples = round(seconds * PLAYER_RATE_HZ)
    return np.pad(audio[:samples], (0, max(samples - len(audio), 0)))
