"""Plays guitars from recordings of single notes, moved to the wanted pitch."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from scipy.ndimage import map_coordinates, spline_filter1d
from scipy.signal import firwin2, lfilter, minimum_phase, oaconvolve

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.recorded_notes import NoteFile, find_notes, read_sound
from ddsp_zoo.music.strings.notes import TAIL_SECONDS, release
from ddsp_zoo.music.strings.playing import GRID_SECONDS, RATE, GuitarNote
from ddsp_zoo.music.strings.stiffness import GUITAR_SETS, mean_stiffness, stiff_partials, stiffness_likelihood

FOLDERS = {"steel": "shinyguitar_acoustic", "nylon": "spanish_classical"}
OVERSAMPLING = 3  # recordings are kept at this many times the rate, so that reading between samples is exact
LONGEST_SECONDS = 6.0
LEVEL_SECONDS = 0.15  # the part of a note that is brought to one level
STIFFER = 0.35  # octaves of B, standard deviation of a string from the others of its kind
STIFF_SECONDS = (0.03, 0.63)  # the part that its stiffness is measured in


@dataclass(frozen=True)
class RecordedPluck:
    """Holds a recorded note from the pluck on.

    ``samples`` (T,) are spline coefficients, ``f0_hz`` (M,) is in Hz every 4 ms, ``force`` says how hard it was
    plucked (0-1), ``log2_b`` how stiff its string is (log2 of B).
    """

    samples: np.ndarray
    f0_hz: np.ndarray
    force: float
    log2_b: float

    @property
    def hz(self) -> float:
        """Returns the pitch that it has on average."""
        return float(np.median(self.f0_hz))


@dataclass(frozen=True)
class RecordedGuitar:
    """Plays the recordings of one instrument.

    ``tone`` (taps) is the equaliser that a piece is heard through. With ``inharmonicity`` (6,), B of the open strings,
    each note is as stiff as the string is that it is played on; without, as it was recorded, on whatever string.
    """

    recordings: tuple[RecordedPluck, ...]
    tone: np.ndarray
    inharmonicity: np.ndarray | None = None

    @classmethod
    def random(cls, rng: np.random.Generator, folder: Path) -> "RecordedGuitar":
        """Draws a mild equaliser (within 4 dB, minimum phase) for the guitar of a folder."""
        hertz = [0, 150, 500, 1500, 4000, RATE / 2]
        squared_gain = 10 ** (rng.uniform(-4, 4, len(hertz)) / 10)  # `minimum_phase` takes the root
        return cls(read_recordings(folder), minimum_phase(firwin2(255, hertz, squared_gain, fs=RATE)))

    def strung(self, rng: np.random.Generator, names: tuple[str, ...]) -> "RecordedGuitar":
        """Returns this guitar with a set of strings, one of these `GUITAR_SETS`, as stiff as such strings are."""
        usual = np.array(GUITAR_SETS[str(rng.choice(names))])
        return replace(self, inharmonicity=2 ** (usual + rng.normal(0, STIFFER, len(usual))))

    def pluck(
        self, note: GuitarNote, open_hz: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Renders a note: sound (T,), its release included, and f0 (M,) in Hz every 4 ms, as long as it is held."""
        time = np.arange(round((note.held_seconds + TAIL_SECONDS) * RATE)) / RATE
        grid = np.arange(round(note.held_seconds / GRID_SECONDS)) * GRID_SECONDS
        wanted = note.pitch_hz(open_hz, len(grid))
        recording = self._choose(float(np.median(wanted)), note.velocity, rng)
        speed = np.interp(time, grid, wanted / recording.hz)
        place = np.cumsum(speed) - speed[0]  # in samples of the recording, at RATE
        sound = map_coordinates(
            recording.samples, OVERSAMPLING * place[None], order=3, prefilter=False, mode="constant"
        )
        if self.inharmonicity is not None:
            log2_b = float(np.log2(self.inharmonicity[note.string]) + note.fret / 6)
            sound = restiffened(sound, float(np.median(wanted)), recording.log2_b, log2_b)
        sound = _touched(sound, time, note, recording.force, rng)
        sound *= note.velocity**1.3 * release(time, note.held_seconds, rng.uniform(0.008, 0.03))
        played_hz = np.interp(
            np.interp(grid, time, place / RATE),
            np.arange(len(recording.f0_hz)) * GRID_SECONDS,
            recording.f0_hz,
        )
        return sound.astype(np.float32), wanted / recording.hz * played_hz

    def resonate(self, strings: np.ndarray) -> np.ndarray:
        """Filters the strings (6, T) by the equaliser; the body is in the recordings."""
        return oaconvolve(strings, self.tone[None], axes=1)[:, : strings.shape[1]]

    def _choose(self, hz: float, velocity: float, rng: np.random.Generator) -> RecordedPluck:
        """Chooses one of the nearest two pitches, if within two semitones, mostly in the layer nearest in force."""
        distance = np.array([abs(12 * np.log2(hz / r.hz)) for r in self.recordings])
        distance = distance + rng.uniform(0, 1.0, len(distance)) * (distance < 2)
        force = np.array([abs(velocity + rng.normal(0, 0.15) - r.force) for r in self.recordings])
        return self.recordings[int(np.argmin(distance + 0.5 * force))]


def restiffened(sound: np.ndarray, f0_hz: float, log2_b: float, wanted: float) -> np.ndarray:
    """Returns a note (T,) with its partials where a string of another stiffness has them; both are log2 of B.

    Each partial is moved with all that lies around it, halfway to the next ones, and keeps its decay.
    """
    count = max(int(0.5 * RATE / f0_hz), 1)
    bins = len(sound) / RATE
    there = stiff_partials(f0_hz, np.array(wanted), count)
    shift = np.rint(bins * (there - stiff_partials(f0_hz, np.array(log2_b), count))).astype(int)
    edges = bins * (there[1:] + there[:-1]) / 2
    at = np.arange(len(sound) // 2 + 1)
    source = at - shift[np.searchsorted(edges, at)]
    spectrum = np.fft.rfft(sound)
    known = (source >= 0) & (source < len(spectrum))
    return np.fft.irfft(np.where(known, spectrum[source * known], 0), n=len(sound))


def _touched(
    sound: np.ndarray, time: np.ndarray, note: GuitarNote, force: float, rng: np.random.Generator
) -> np.ndarray:
    """Makes a note darker where it is softer than recorded, or hammered, and shorter where it is muted."""
    softer = max(force - note.velocity, 0) + {"hammer": 0.4, "mute": 0.5}.get(note.touch, 0.0)
    pole = np.exp(-2 * np.pi * 6000 * 4**-softer / RATE) * (softer > 0)
    sound = lfilter([1 - pole], [1, -pole], sound)
    if note.touch == "mute":
        sound *= np.exp(-time / rng.uniform(0.03, 0.08))
    if note.touch == "hammer":
        sound *= 1 - np.exp(-time / 0.004)
    return sound


@lru_cache(maxsize=4)
def read_recordings(folder: Path) -> tuple[RecordedPluck, ...]:
    """Reads all notes of a folder, see `find_notes`; the process keeps the last folders.

    Raises `DdspZooError` where there are none or one cannot be read.
    """
    return tuple(_read(note) for note in find_notes(folder))


def _read(note: NoteFile) -> RecordedPluck:
    """Reads a recording from its pluck on, at one level, with its measured pitch."""
    audio = read_sound(note.path, RATE)
    if len(audio) < RATE // 4 or not np.abs(audio).max() > 1e-4:
        raise DdspZooError(f"The guitar note {note.path} is shorter than a quarter of a second, or silent.")
    onset = int(np.argmax(np.abs(audio) > 0.1 * np.abs(audio).max()))
    audio = audio[max(onset - round(0.002 * RATE), 0) :][: round(LONGEST_SECONDS * RATE)]
    audio /= np.sqrt(np.mean(np.square(audio[: round(LEVEL_SECONDS * RATE)])))
    edges = np.arange(len(audio)) / RATE
    audio *= np.clip(edges / 0.001, 0, 1) * np.clip((edges[-1] - edges) / 0.05, 0, 1)
    finer = soxr.resample(audio, RATE, OVERSAMPLING * RATE)
    f0_hz = measure_f0(audio, midi_to_hz(note.midi))
    start, stop = (round(seconds * RATE) for seconds in STIFF_SECONDS)
    stiff = stiffness_likelihood(audio[start:stop], float(np.median(f0_hz)), RATE)
    return RecordedPluck(
        spline_filter1d(finer, order=3).astype(np.float32), f0_hz, note.velocity, mean_stiffness(stiff)
    )


def measure_f0(audio: np.ndarray, near_hz: float) -> np.ndarray:
    """Measures f0 (M,) in Hz every 4 ms of one note (T,) at 16 kHz whose pitch is known to a semitone.

    The first five partials are moved to 0 Hz and smoothed over 60 ms; the speed at which their phases still turn is the
    difference to the assumed pitch. Of the five answers the weighted median counts, because a resonance of the body can
    pull a partial away; it is smoothed over 100 ms.
    """
    hz = _coarse_hz(audio, near_hz)
    hop, time = round(GRID_SECONDS * RATE), np.arange(len(audio)) / RATE
    window, smoother = np.hanning(round(0.06 * RATE)), np.hanning(27) / np.hanning(27).sum()
    partials = np.arange(1, 6)[:, None]
    moved = oaconvolve(audio * np.exp(-2j * np.pi * hz * partials * time), window[None], mode="same", axes=1)
    steps = oaconvolve(moved[:, hop::hop] * moved[:, :-hop:hop].conj(), smoother[None], mode="same", axes=1)
    missing = np.angle(steps) / (2 * np.pi * GRID_SECONDS * partials)
    order = np.argsort(missing, axis=0)
    weight = np.cumsum(np.take_along_axis(np.sqrt(np.abs(steps)), order, axis=0), axis=0)
    middle = (weight >= weight[-1] / 2).argmax(0)
    f0 = hz + np.take_along_axis(np.take_along_axis(missing, order, axis=0), middle[None], axis=0)[0]
    heard = np.flatnonzero(weight[-1] > 0.003 * weight[-1].max())
    f0 = np.interp(np.arange(len(f0)), heard, np.clip(f0[heard], hz * 0.97, hz * 1.03))
    return np.convolve(np.pad(f0, 13, mode="edge"), smoother, mode="valid")


def _coarse_hz(audio: np.ndarray, near_hz: float) -> float:
    """Returns the pitch within 70 cents of the note's name where the first four partials are strongest together."""
    part = audio[round(0.05 * RATE) : round(0.8 * RATE)]
    size = 1 << 17
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), size))
    tried = near_hz * 2 ** (np.arange(-70, 71, 1.0) / 1200)
    bins = np.rint(np.outer(tried, np.arange(1, 5)) * size / RATE).astype(int)
    return float(tried[spectrum[np.minimum(bins, size // 2)].sum(1).argmax()])
