"""Measure what the tracker of umss_4v gains by hearing each voice again without the others: docs/choirs.md.

`python benchmarks/choir_feedback.py`; CHORAL_SINGING_ROOT names the real singers, without which they are left out.
"""

import os
from dataclasses import replace

import numpy as np

from ddsp_zoo import zoo
from ddsp_zoo.corpora import ChoralSingingDataset, RenderedChoir
from ddsp_zoo.corpora.base import StemDataset
from ddsp_zoo.measuring.pitch import pitch_scores
from ddsp_zoo.music.choir.styles import STYLES

ROUNDS, SECONDS, RENDER_SEED = (0, 1, 2), 40, 5  # seconds of a recording at most


def main() -> None:
    """Prints, for each kind of music and number of rounds, F-measure and mean raw pitch accuracy."""
    model = zoo.load("umss_4v")
    corpora = {
        style: RenderedChoir(styles=(style,), test_tracks=2, track_seconds=12.0, render_seed=RENDER_SEED)
        for style in STYLES
    }
    if os.environ.get("CHORAL_SINGING_ROOT"):
        corpora["real singers"] = ChoralSingingDataset(test_tracks=1)
    for name, corpus in corpora.items():
        corpus.feed(model, "test").prepare_data()
        scores = {rounds: [] for rounds in ROUNDS}
        for track in corpus.tracks("test"):
            samples = (
                int(min(track.seconds, SECONDS) * model.sample_rate) // model.hop_samples * model.hop_samples
            )
            item = StemDataset([track], replace(corpus.spec, segment_samples=samples))[0]
            for rounds in ROUNDS:
                model.tracker.heard_again = rounds
                found = model.tracker.track(item["mixture"].numpy(), len(model.sources))
                *voices, together = pitch_scores(item["f0_hz"].numpy(), found, model.sources)
                raw = np.mean([row["raw_pitch"] for row in voices])
                scores[rounds].append((together["f_measure"], raw))
        for rounds, rows in scores.items():
            f_measure, raw = np.mean(rows, 0)
            print(f"{name}, {rounds}: {f_measure:.3f}, {raw:.3f}", flush=True)


if __name__ == "__main__":
    main()
