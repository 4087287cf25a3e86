"""Scores of pitch tracks: each voice as a melody, and all voices together as multiple pitches."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ddsp_zoo.corpora.base import StemDataModule, StemDataset
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.pitch.placing import found_on_true_strings, on_next_string, truth_on_found_strings
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import Split

NEAR_CENTS = 50.0
UNTRACKED = ("given", "jittered", "next_string")  # kinds of pitch that ask no tracker
JITTER_CENTS = 25.0
PITCHES: dict[str, Callable[[PitchTrack, PitchTrack], PitchTrack]] = {
    "given": lambda given, found: given,
    "mixture": lambda given, found: found,
    "found_on_true_strings": found_on_true_strings,
    "given_on_found_strings": truth_on_found_strings,
    "next_string": lambda given, found: on_next_string(given),
    "jittered": lambda given, found: jittered(given),
}


def change_pitches(
    model: Any,
    datamodule: StemDataModule,
    kind: str,
    split: Split = "test",
    limit_tracks: int | None = None,
) -> list[Row]:
    """Has a data module give out other pitches of whole tracks instead of its own, see `PITCHES`.

    Returns the rows of `pitch_scores`, with ``track``, where the model's own tracker is asked. Raises `DdspZooError`
    for a model without a tracker, and for an unknown kind.
    """
    if kind not in PITCHES:
        raise DdspZooError(f"pitch is {kind!r}: choose {', '.join(PITCHES)}.")
    tracked = kind not in UNTRACKED
    if tracked and model.tracker is None:
        raise DdspZooError("This model has no tracker that finds pitches in the mixture: give them.")
    datamodule.feed(model, split).prepare_data()
    rate, hop, rows = model.sample_rate, model.hop_samples, []
    for track in datamodule.tracks(split)[:limit_tracks]:
        whole = replace(datamodule.spec, segment_samples=int(track.seconds * rate) // hop * hop)
        item = StemDataset([track], whole)[0]
        truth = PitchTrack(item["f0_hz"].numpy(), item["onset"].numpy(), hop / rate)
        found = model.tracker.find(item["mixture"].numpy(), len(model.sources)) if tracked else truth
        datamodule.pitches[track.name] = PITCHES[kind](truth, found)
        if tracked:
            scores = pitch_scores(truth.f0_hz, found.f0_hz, model.sources)
            rows += [{"track": track.name} | row for row in scores]
    return rows


def jittered(track: PitchTrack) -> PitchTrack:
    """Returns a track with normally distributed errors in every frame by itself, `JITTER_CENTS` on average."""
    cents = np.random.default_rng(0).normal(0, JITTER_CENTS, track.f0_hz.shape)
    return replace(track, f0_hz=(track.f0_hz * 2 ** (cents / 1200)).astype(np.float32))


def summarise_pitch(rows: list[Row]) -> list[Row]:
    """Returns one row a source: the mean of its scores over tracks, weighted by their frames."""
    out = []
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        weights = [row["frames"] for row in own]
        means = {
            name: float(np.average([row[name] for row in own], weights=weights))
            for name in score_names(own[0])
        }
        out.append({"source": source, "tracks": len(own)} | means)
    return out


def score_names(row: Row) -> list[str]:
    """Returns the columns of a row that are scores."""
    return [name for name in row if name not in ("track", "source", "frames", "tracks")]


def pitch_scores(truth_hz: np.ndarray, found_hz: np.ndarray, sources: tuple[str, ...]) -> list[Row]:
    """Compares two tracks (S, N), 0 = unvoiced: one row a source, and one for "all" pitches of a frame together.

    A source has ``raw_pitch`` (share of the frames voiced in truth whose pitch is within 50 cents), ``raw_chroma`` (the
    same, octaves apart), ``voicing_recall`` and ``voicing_false_alarm``; all together have ``precision``, ``recall``
    and ``f_measure``, whichever voice sings them. Each row holds ``frames``, by which rows of several tracks are to
    be weighted. Definitions: mir_eval, melody and multipitch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mir_eval tells of every track in which nothing sounds
        rows = [_melody(name, t, f) for name, t, f in zip(sources, truth_hz, found_hz, strict=True)]
        return [*rows, _together(truth_hz, found_hz)]


def _melody(name: str, truth_hz: np.ndarray, found_hz: np.ndarray) -> Row:
    from mir_eval import melody

    gates = truth_hz > 0, found_hz > 0
    cents = [np.where(hz > 0, 1200 * np.log2(np.maximum(hz, 1) / 10), 0) for hz in (truth_hz, found_hz)]
    recall, false_alarm = melody.voicing_measures(*(gate.astype(float) for gate in gates))
    arguments = (gates[0].astype(float), cents[0], gates[1].astype(float), cents[1])
    return {
        "source": name,
        "frames": len(truth_hz),
        "raw_pitch": melody.raw_pitch_accuracy(*arguments, cent_tolerance=NEAR_CENTS),
        "raw_chroma": melody.raw_chroma_accuracy(*arguments, cent_tolerance=NEAR_CENTS),
        "voicing_recall": recall,
        "voicing_false_alarm": false_alarm,
    }


def _together(truth_hz: np.ndarray, found_hz: np.ndarray) -> Row:
    from mir_eval import multipitch

    times = np.arange(truth_hz.shape[1], dtype=float)
    truth, found = ([np.sort(frame[frame > 0]) for frame in hz.T] for hz in (truth_hz, found_hz))
    precision, recall, *_ = multipitch.evaluate(times, truth, times, found, window=NEAR_CENTS / 100).values()
    f_measure = 2 * precision * recall / max(precision + recall, 1e-12)
    return {
        "source": "all",
        "frames": len(times),
        "precision": precision,
        "recall": recall,
        "f_measure": f_measure,
    }
