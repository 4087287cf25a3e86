"""Songs for edits, made from controls that are written by hand: no model is needed."""

import numpy as np

from ddsp_zoo.api.result import Separation
from ddsp_zoo.controls.render import render
from ddsp_zoo.dsp.mel import mel_grid, mel_to_hz
from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.pitch.stretches import beginnings
from ddsp_zoo.separation.result import Maker, Named
from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import heard_notes
from ddsp_zoo.synths.modal_string import ModalString
from ddsp_zoo.synths.source_filter import SourceFilter

RATE, HOP, FRAMES = 8000, 128, 150
NOTES = ((10, 40, 45), (45, 70, 48), (80, 140, 52))  # first frame, frame after the last, MIDI pitch
OTHERS = ((5, 30, 50), (60, 90, 47), (95, 120, 55))


def curves(notes: tuple[tuple[int, int, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """The pitch (N,) of notes, with a little vibrato, and their onsets (N, 1)."""
    f0_hz, onset = np.zeros(FRAMES), np.zeros((FRAMES, 1))
    for first, last, pitch in notes:
        wave = 0.1 * np.sin(np.arange(last - first))
        f0_hz[first:last], onset[first] = midi_to_hz(pitch + wave - np.median(wave)), 1
    return f0_hz.astype(np.float32), onset.astype(np.float32)


def string(notes: tuple[tuple[int, int, float], ...] = NOTES) -> Named:
    """A plucked string, every note another: controls that hold from onset to onset."""
    f0_hz, onset = curves(notes)
    number = np.maximum(np.cumsum(onset) - 1, 0)[:, None]
    controls = {
        "pluck_gain": 0.3 + 0.1 * number,
        "cutoff_hz": 900 + 200 * number,
        "t60_seconds": 0.5 + 0.1 * number,
        "treble_loss": 0.05 + 0 * number,
        "release_seconds": 0.1 + 0 * number,
    }
    return {name: value.astype(np.float32) for name, value in controls.items()} | {
        "f0_hz": f0_hz,
        "onset": onset,
    }


def voice(notes: tuple[tuple[int, int, float], ...] = NOTES) -> Named:
    """A singer whose loudness and vocal tract move within each note."""
    f0_hz, onset = curves(notes)
    swell = 0.2 + 0.1 * np.sin(np.arange(FRAMES) / 9)
    tract = np.linspace(300, 3800, 8) * (1 + 0.05 * np.sin(np.arange(FRAMES) / 20))[:, None]
    controls = {
        "harmonic_amplitude": swell[:, None],
        "noise_gain": 0.01 * swell[:, None],
        "lsf_hz": tract,
        "noise_magnitude": np.full((FRAMES, 10), 0.5),
        "f0_hz": f0_hz,
        "onset": onset,
    }
    return {name: value.astype(np.float32) for name, value in controls.items()}


def band(notes: tuple[tuple[int, int, float], ...] = NOTES) -> Named:
    """A bass of sinusoids in 32 bands whose pitch is only heard, and a hiss."""
    f0_hz, _ = curves(notes)
    centres, width = mel_grid(20.0, RATE / 2, 32)
    frequency = np.tile(mel_to_hz(centres).numpy(), (FRAMES, 1))
    amplitude = np.zeros_like(frequency)
    low, high = (mel_to_hz(centres + side * width).numpy() for side in (-0.5, 0.5))
    for harmonic in (1, 2, 3):
        partial = harmonic * f0_hz[:, None]
        inside = (partial >= low) & (partial < high)
        frequency = np.where(inside, partial, frequency)
        amplitude = np.where(inside, 0.2 / harmonic, amplitude)
    controls = {
        "frequency_hz": frequency.clip(20, RATE / 2),
        "amplitude": amplitude,
        "noise_magnitude": np.full_like(amplitude, 1e-3),
        "loudness": np.sqrt((amplitude**2).sum(-1, keepdims=True) / 2),
        "f0_hz": f0_hz,
        "onset": beginnings(f0_hz, RATE / HOP)[:, None],
    }
    return {name: value.astype(np.float32) for name, value in controls.items()}


def song_of(synth: Synth, controls: dict[str, Named], channels: int = 2, **about: object) -> Separation:
    """A separation whose stems are what is synthesised, to the left and right, with a little noise; noise is left."""
    declared = {control.name: control for control in synth.controls}
    if any("f0_hz" in own for own in controls.values()) and "f0_hz" not in declared:
        declared |= {control.name: control for control in heard_notes(RATE)}
    maker = Maker("made", "", "1.0", tuple(controls), RATE, HOP, 0, declared, synth, **about)
    samples, random = FRAMES * HOP - 50, np.random.default_rng(0)
    played = {name: render(own, name, maker, RATE, samples) for name, own in controls.items()}
    pan = np.linspace(1.2, 0.8, channels)[:, None] if channels > 1 else np.ones((1, 1))

    def noise() -> np.ndarray:
        return (1e-4 * random.standard_normal((channels, samples))).astype(np.float32)

    stems = {name: (pan * audio).astype(np.float32) + noise() for name, audio in played.items()}
    residual = noise()
    return Separation(sum(stems.values(), residual), stems, played, residual, controls, RATE, maker, "song")


def guitar_song() -> Separation:
    """Two strings, A2 and D3."""
    synth = ModalString(RATE, HOP, ("release",), partials=12)
    return song_of(synth, {"A2": string(), "D3": string(OTHERS)})


def choir_song() -> Separation:
    """A tenor and a bass."""
    synth = SourceFilter(RATE, HOP, harmonics=20, order=8, noise_bands=10)
    return song_of(synth, {"tenor": voice(), "bass": voice(OTHERS)})


def band_song() -> Separation:
    """A bass and a guitar."""
    return song_of(BandedSinusoids(RATE, HOP, bands=32), {"bass": band(), "guitar": band(OTHERS)})


SONGS = {"A2": guitar_song, "tenor": choir_song, "bass": band_song}  # by the source that is edited


def same(one: Named, other: Named) -> bool:
    """Whether controls are the same."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def level_db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.square(audio, dtype=np.float64).mean() + 1e-30))


def numbers(table: list) -> list[tuple]:
    """A table in whole frames."""
    rate = RATE / HOP
    return [(round(n.start_seconds * rate), round(n.end_seconds * rate), n.pitch, n.velocity) for n in table]
