"""The package's own guitar: notes in tune with their f0, decaying as strings do."""

import numpy as np
import pytest

from ddsp_zoo.music.strings.notes import Guitar
from ddsp_zoo.music.strings.playing import OPEN_HZ, RATE, GuitarNote
from ddsp_zoo.music.strings.recordings import measure_f0

BENT = tuple(200.0 * np.clip(np.arange(200) / 100, 0, 1))


def pluck(
    seed: int = 0, material: tuple[float, float] = (0.0, 1.0), **settings
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    note = GuitarNote(
        **({"string": 3, "start_seconds": 0, "end_seconds": 1, "fret": 2, "velocity": 0.8} | settings)
    )
    return Guitar.random(rng, material).pluck(note, OPEN_HZ[note.string], rng)


def centroid_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound[800:4000])) ** 2
    return float((np.fft.rfftfreq(3200, 1 / RATE) * spectrum).sum() / spectrum.sum())


@pytest.mark.parametrize("string", range(6))
@pytest.mark.parametrize("cents", [(), BENT])
def test_a_note_sounds_at_its_f0(string, cents):
    sound, f0 = pluck(string, string=string, cents=cents)
    found = measure_f0(sound[: len(f0) * 64], float(np.median(f0)))
    assert len(f0) == 250 and np.median(np.abs(1200 * np.log2(found / f0[: len(found)]))[15:-15]) < 4


def test_a_note_decays_and_stops():
    sound, _ = pluck()
    early, late, after = (np.abs(sound[round(s * RATE) :][:800]).max() for s in (0.05, 0.9, 1.15))
    assert early > late > 10 * after and len(sound) == round(1.2 * RATE) and abs(sound[-1]) < 1e-4


def test_force_and_material_make_it_brighter():
    hard, soft = (np.median([centroid_hz(pluck(s, velocity=v)[0]) for s in range(12)]) for v in (1.0, 0.3))
    steel, nylon = (np.median([centroid_hz(pluck(s, m)[0]) for s in range(12)]) for m in ((0, 0.1), (0.9, 1)))
    assert hard > 1.05 * soft and steel > 1.2 * nylon


def test_a_muted_note_dies_soon_and_a_hammered_one_has_no_noise():
    rings, muted = (pluck(touch=touch)[0] for touch in ("pluck", "mute"))
    assert np.std(muted[8000:9000]) < 0.1 * np.std(rings[8000:9000])
    noise = [np.std(np.diff(pluck(touch=touch)[0][:64], 4)) for touch in ("hammer", "pluck")]
    assert noise[0] < 0.5 * noise[1]


def test_two_polarisations_decay_in_two_stages():
    """The fundamental falls faster at first than later, in most guitars."""
    slopes = []
    for seed in range(12):
        sound, f0 = pluck(seed, end_seconds=3.0, cents=())
        time = np.arange(len(sound)) / RATE
        level = [
            np.log(
                np.abs(np.mean((sound * np.exp(-2j * np.pi * f0[-1] * time))[round(t * RATE) :][:1600]))
                + 1e-9
            )
            for t in (0.2, 0.6, 2.0, 2.4)
        ]
        slopes.append((level[0] - level[1]) - (level[2] - level[3]))
    assert np.mean(np.array(slopes) > 0) > 0.7


def test_the_body_adds_but_does_not_precede():
    guitar = Guitar.random(np.random.default_rng(0))
    click = np.zeros((6, 4000))
    click[:, 1000] = 1
    out = guitar.resonate(click)
    assert out.shape == click.shape and np.abs(out[:, :1000]).max() < 1e-9 < np.abs(out[:, 1100:2000]).max()
