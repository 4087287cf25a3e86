"""Soundfonts, played by the program ``fluidsynth``, and the MIDI files that it reads."""

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.band.scores import DRUM_CHANNEL, Part

# Samples are 44.1 kHz and the player does not filter before it lowers the rate: resampling comes afterwards.
PLAYER_RATE_HZ = 44100
TICKS_PER_BEAT = 480
TICKS_PER_SECOND = 960  # at the 120 beats per minute that a MIDI file has where it names no tempo
DRUM_BANK = 128
PRESET_BYTES = 38
KITS = range(0, 48)  # kits above are orchestral and marching percussion


@dataclass(frozen=True)
class Soundfont:
    """A soundfont file and the (bank, program) pairs that it has sounds for."""

    path: Path
    presets: tuple[tuple[int, int], ...]

    @property
    def single_kit(self) -> bool:
        """Whether the file is one drum kit under program 0, as drummers' soundfonts are."""
        return self.presets == ((0, 0),)

    def kits(self) -> list[int]:
        """Programs of its drum kits."""
        found = [program for bank, program in self.presets if bank == DRUM_BANK and program in KITS]
        return [0] if self.single_kit else found

    def programs(self) -> set[int]:
        """General MIDI programs that it can play."""
        return set() if self.single_kit else {program for bank, program in self.presets if bank == 0}


def read_soundfont(path: str | Path) -> Soundfont:
    """Open a ``.sf2`` or ``.sf3`` file; `DdspZooError` where it is missing or something else."""
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
    """Bank and program of each preset header: 20 bytes of name, program, bank; the last one ends the list."""
    starts = range(0, len(headers) - PRESET_BYTES, PRESET_BYTES)
    return tuple(sorted(struct.unpack("<HH", headers[i + 20 : i + 24])[::-1] for i in starts))


def fluidsynth_program() -> str:
    """Path of the fluidsynth program; `DdspZooError` where it is not installed."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise DdspZooError(
            "Soundfonts need the program fluidsynth: install it (Debian: apt install fluidsynth; macOS: brew "
            "install fluid-synth), or render with engine 'own'."
        )
    return program


def write_midi(parts: tuple[Part, ...], path: str | Path, drum_channel: int = DRUM_CHANNEL) -> None:
    """Write parts as a MIDI file, one channel each (drums on channel 10); times are kept to a millisecond."""
    import mido

    channels = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    midi_file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    for number, part in enumerate(parts):
        channel = drum_channel if part.stem == "drums" else channels[number % len(channels)]
        events = []
        for note in part.notes:
            start = round(note.start_seconds * TICKS_PER_SECOND)
            end = max(round((note.start_seconds + note.length_seconds) * TICKS_PER_SECOND), start + 1)
            events += [(end, 0, note.midi, 0), (start, 1, note.midi, max(round(note.velocity * 127), 1))]
        track, now = mido.MidiTrack(), 0
        track.append(mido.MetaMessage("track_name", name=part.stem, time=0))
        track.append(mido.Message("program_change", channel=channel, program=part.program, time=0))
        for tick, _, midi, velocity in sorted(events):
            track.append(
                mido.Message("note_on", channel=channel, note=midi, velocity=velocity, time=tick - now)
            )
            now = tick
        midi_file.tracks.append(track)
    midi_file.save(str(path))


def play(
    parts: tuple[Part, ...], soundfont: Path, seconds: float, drum_channel: int = DRUM_CHANNEL
) -> NDArray:
    """Let fluidsynth play parts, dry and mono -> (seconds * 44100,); `DdspZooError` where it fails."""
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
