"""Render the bundled examples: `python examples/make.py`. They come from generators of the package, seeded anew."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.corpora.rendered import choir as rendered_choir
from ddsp_zoo.corpora.rendered.band import RenderedBand
from ddsp_zoo.corpora.rendered.strings import PITCH_HOP_SECONDS, RATE, perform
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

HERE = Path(__file__).parent
SEED = 2024  # no training corpus uses it
SECONDS = 12.0
LEAST_SHARE = 0.15  # of the time that each string of the guitar rings


def band() -> None:
    """A band in stereo: bass and drums in the middle, guitar and keys to the sides."""
    with tempfile.TemporaryDirectory() as root:
        corpus = RenderedBand(root, 0, 0, 1, SECONDS, 44100, SEED)
        corpus.prepare_data()
        (track,) = corpus.tracks("test")
        stems = {name: sf.read(paths[0])[0] for name, paths in track.stems.items()}
    left = {"bass": 0.7, "drums": 0.7, "guitar": 0.9, "other": 0.4}
    mixture = sum(np.outer(stems[name], [gain, (1 - gain**2) ** 0.5]) for name, gain in left.items())
    sf.write(HERE / "band.flac", mixture * 0.8 / np.abs(mixture).max(), 44100, subtype="PCM_16")


def guitar() -> None:
    """Six strings, each of which is played, and their f0."""
    numbers = itertools.count(1)
    while True:
        audio, f0, onset = perform(np.random.default_rng([SEED, 0, next(numbers)]), SECONDS)
        if ((f0 > 0).mean(1) > LEAST_SHARE).all():
            break
    sf.write(HERE / "guitar.flac", audio.sum(0), RATE, subtype="PCM_16")
    times = np.arange(f0.shape[1]) * PITCH_HOP_SECONDS
    write_f0_csv(HERE / "guitar_f0.csv", times, f0, tuple(GUITAR_STRINGS_HZ), onset)


def choir() -> None:
    """Soprano, alto, tenor and bass in a room."""
    audio, _, _ = rendered_choir.perform(np.random.default_rng([SEED, 0, 2]), SECONDS)
    sf.write(HERE / "choir.flac", audio.sum(0), rendered_choir.RATE, subtype="PCM_16")


if __name__ == "__main__":
    band()
    guitar()
    choir()
