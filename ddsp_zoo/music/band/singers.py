"""Sings in rendered bands: with a synthesised voice, or with stretches of recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.band.scores import Part
from ddsp_zoo.music.choir.scores import CONSONANTS, VOWELS, SungNote
from ddsp_zoo.music.choir.voices import RATE, Singer, microphone, sing
from ddsp_zoo.music.effects import compress
from ddsp_zoo.music.signals import Audio, band, fade, log_uniform

PARTS = {"soprano": 65, "alto": 60, "tenor": 56, "bass": 0}  # from which middle pitch on a line is theirs
SUFFIXES = (".flac", ".wav", ".aiff", ".ogg")


def render_voice(part: Part, seconds: float, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Renders a sung part by an invented singer, at times doubled or with a second voice above -> (seconds * rate,)."""
    middle = np.median([note.midi for note in part.notes])
    kind = next(name for name, lowest in PARTS.items() if middle >= lowest)
    notes = _with_words(part, rng)
    lines, singers = [notes], [_pop_singer(rng, kind)]
    if rng.random() < 0.25:
        interval = int(rng.choice((0, 0, 3, 4)))
        lines.append(tuple(replace(note, midi=note.midi + interval) for note in notes))
        singers.append(_pop_singer(rng, kind) if interval else singers[0])
    takes, _, _ = sing(lines, singers, seconds, rng)
    audio = microphone(takes[0], singers[0], rng)
    if len(takes) > 1:
        audio = audio + log_uniform(rng, 0.3, 1) * microphone(takes[1], singers[1], rng)
    return _fit(soxr.resample(audio, RATE, rate_hz), round(seconds * rate_hz))


def _pop_singer(rng: np.random.Generator, kind: str) -> Singer:
    """Draws a singer at a microphone: clearer words, less vibrato, more breath than in a choir."""
    singer = Singer.random(rng, kind)
    return replace(
        singer,
        vibrato_cents=log_uniform(rng, 4, 50),
        clarity=rng.uniform(0.7, 1.3),
        breath=singer.breath * log_uniform(rng, 0.7, 3),
        tilt_hz=singer.tilt_hz * log_uniform(rng, 1, 2.5),
        scoop_cents=rng.uniform(20, 250),
    )


def _with_words(part: Part, rng: np.random.Generator) -> tuple[SungNote, ...]:
    """Puts syllables to a line; a note that follows at once is at times bound to the one before."""
    notes, end, vowel = [], -1.0, "a"
    for note in part.notes:
        bound = note.start_seconds - end < 0.05 and rng.random() < 0.15
        vowel = vowel if bound else str(rng.choice(VOWELS))
        consonant = "" if bound else str(rng.choice(CONSONANTS))
        start, end = note.start_seconds, note.start_seconds + note.length_seconds
        notes.append(SungNote(start, end, note.midi, vowel, consonant, not bound))
    return tuple(notes)


def singing_files(paths: list[str]) -> tuple[Path, ...]:
    """Returns the recordings that are named or lie in the named folders; `DdspZooError` where there are none."""
    files = []
    for path in map(Path, paths):
        found = (
            [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        )
        if not found:
            raise DdspZooError(
                f"There are no recordings of singing at {path}: name WAV or FLAC files or a folder."
            )
        files += found
    return tuple(files)


def recorded_singing(
    files: tuple[Path, ...], seconds: float, rng: np.random.Generator, rate_hz: int
) -> Audio:
    """Puts stretches of recordings, up to four semitones higher or lower, between rests -> (seconds * rate,)."""
    audio = np.zeros(round(seconds * rate_hz))
    path, speed = files[int(rng.integers(len(files)))], 2 ** (rng.uniform(-4, 4) / 12)
    time = rng.uniform(-5, 5)
    while time < seconds:
        length = rng.uniform(3, 14)
        cut = _stretch(path, length * speed, rng)
        cut = soxr.resample(cut, len(cut) / length, rate_hz) if len(cut) else cut
        first = round(max(time, 0) * rate_hz)
        cut = fade(cut[max(-round(time * rate_hz), 0) :][: len(audio) - first].copy(), 0.03, 0.05, rate_hz)
        audio[first : first + len(cut)] += cut
        time += length + log_uniform(rng, 0.3, 6)
        if rng.random() < 0.3:
            path = files[int(rng.integers(len(files)))]
    return audio


def _stretch(path: Path, seconds: float, rng: np.random.Generator) -> Audio:
    """Reads a random stretch of a file (T,), mono, at the rate of the file."""
    try:
        with sf.SoundFile(path) as file:
            frames = min(round(seconds * file.samplerate), file.frames)
            file.seek(int(rng.integers(file.frames - frames + 1)))
            return file.read(frames, always_2d=True).mean(1)
    except (sf.LibsndfileError, OSError) as error:
        raise DdspZooError(f"{path} cannot be read ({error}): mend or remove it.") from error


def voice_chain(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Applies what a voice goes through first: the treble that it lacks at high rates, and a compressor."""
    if rate_hz > 3 * RATE / 2:
        audio = with_treble(audio, rng, rate_hz)
    return compress(audio, rng.uniform(-12, 0), rng.uniform(2, 6), log_uniform(rng, 0.02, 0.15), rate_hz)


def with_treble(audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Adds what lies above half of `RATE` to a voice without it: its upper octave, rectified, and noise as loud."""
    low_hz, high_hz = 0.25 * RATE, 0.46 * RATE
    upper = np.abs(band(audio, low_hz, high_hz, rate_hz))
    air = band(upper * rng.standard_normal(len(audio)), high_hz, None, rate_hz, order=4)
    bent = band(upper, high_hz, log_uniform(rng, 11000, 18000), rate_hz, order=4)
    return audio + log_uniform(rng, 0.3, 2) * bent + log_uniform(rng, 0.1, 1) * air


def _fit(audio: Audio, samples: int) -> Audio:
    return np.pad(audio[:samples], (0, max(samples - len(audio), 0)))
