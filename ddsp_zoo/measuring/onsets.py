"""Onset detectors compared: every detector over the tracks of a corpus of strings.

``ddsp-zoo report onsets --data recipes/data/rendered_strings.yaml --checkpoint best.ckpt`` prints the table. Detectors
are told f0 as the corpus has it, or as CREPE hears it in each string's own recording.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ddsp_zoo.corpora.base import BatchSpec, StemDataModule, StemDataset, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.pitch.onsets import Detector, Evidence, Times, onset_frames
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import GUITAR_STRINGS_HZ, Split

NEAR_SECONDS = 0.05  # what mir_eval and MIREX call found
FINE_SECONDS = 0.001  # grid on which annotated times are read
RATE, HOP = 16000, 256  # of the string models
PITCHES = ("given", "crepe")


def evaluate_onsets(
    datamodule: StemDataModule,
    detectors: dict[str, Detector],
    split: Split = "test",
    pitches: Iterable[str] = PITCHES,
    limit_tracks: int | None = None,
    sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
) -> list[Row]:
    """Measures detectors; returns one row for each track, source, pitch and system, which is a detector's name.

    Detectors hear the mixture; "flux" also, as "flux of stems", each source alone. Rows have the counts that
    `onset_counts` gives. ``pitches``: "given" by the data, by "crepe" from the stems, or both. Raises `DdspZooError`
    for an empty split, and for tracks without these sources or pitch.
    """
    rows: list[Row] = []
    for track, evidence in read_evidence(datamodule, split, sources, limit_tracks):
        for pitch in pitches:
            told = evidence if pitch == "given" else replace(evidence, f0_hz=crepe_f0(evidence.stems))
            for name, times in _found(detectors, told).items():
                rows += [
                    {"track": track.name, "source": source, "system": name, "pitch": pitch}
                    | onset_counts(*pair)
                    for source, *pair in zip(sources, evidence.annotated, times, strict=True)
                ]
    return rows


def _found(detectors: dict[str, Detector], evidence: Evidence) -> dict[str, Times]:
    mixed = replace(evidence, stems=None)
    found = {name: detector(mixed) for name, detector in detectors.items()}
    if "flux" in detectors:
        found["flux of stems"] = detectors["flux"](evidence)
    return found


def read_evidence(
    datamodule: StemDataModule, split: Split, sources: tuple[str, ...], limit_tracks: int | None = None
) -> Iterable[tuple[Track, Evidence]]:
    """Yields whole tracks with their stems, the corpus's f0 and its annotated onsets."""
    datamodule.prepare_data()
    tracks = datamodule.tracks(split)[:limit_tracks]
    if not tracks:
        raise DdspZooError(f"{type(datamodule).__name__} has no tracks in its {split} split.")
    for track in tracks:
        if track.pitch is None or not set(sources) <= set(track.sources):
            raise DdspZooError(
                f"Track {track.name} lacks an f0.csv, or one of the stems {', '.join(sources)}."
            )
        samples = int(track.seconds * RATE) // HOP * HOP
        item = StemDataset([track], BatchSpec(sources, RATE, HOP, samples, needs_pitch=True))[0]
        fine = track.read_pitch(sources, FINE_SECONDS)
        annotated = [np.flatnonzero(row) * FINE_SECONDS for row in fine.onset]
        mixture, stems, f0_hz = (item[name].numpy() for name in ("mixture", "sources", "f0_hz"))
        yield track, Evidence(mixture, f0_hz, RATE, HOP, stems, annotated)


def crepe_f0(stems: np.ndarray) -> np.ndarray:
    """Returns f0_hz (S, N) of stems (S, T) at 16 kHz by CREPE, see `track_f0`."""
    from ddsp_zoo.pitch.crepe import track_f0

    return np.stack([track_f0(stem, HOP) for stem in stems])


def onset_counts(annotated: np.ndarray, found: np.ndarray, window_seconds: float = NEAR_SECONDS) -> Row:
    """Counts onsets that are annotated, found, and agree (each with one other within the window).

    ``late_ms`` and ``off_ms`` are sums over those that agree: of found minus annotated times, and of their absolute
    values. Source: `mir_eval.onset.f_measure`, whose numbers are the ratios of these counts.
    """
    from mir_eval.util import match_events

    annotated, found = np.asarray(annotated, dtype=float), np.asarray(found, dtype=float)
    pairs = match_events(annotated, found, window_seconds) if annotated.size and found.size else []
    errors = np.array([1000 * (found[f] - annotated[a]) for a, f in pairs])
    return {
        "annotated": len(annotated),
        "found": len(found),
        "agreed": len(pairs),
        "late_ms": float(errors.sum()),
        "off_ms": float(np.abs(errors).sum()),
    }


def summarise_onsets(rows: list[Row]) -> list[Row]:
    """Returns one row for each system and pitch: precision, recall and f_measure over all onsets, mean errors in ms."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["system"], row["pitch"]), []).append(row)
    return [
        {"system": system, "pitch": pitch} | onset_scores(group) for (system, pitch), group in groups.items()
    ]


def onset_scores(rows: list[Row]) -> Row:
    """Returns precision, recall, f_measure and mean errors in ms of what several rows of `onset_counts` sum to."""
    annotated, found, agreed, late, off = (
        sum(row[name] for row in rows) for name in ("annotated", "found", "agreed", "late_ms", "off_ms")
    )
    return {
        "precision": agreed / max(found, 1),
        "recall": agreed / max(annotated, 1),
        "f_measure": 2 * agreed / max(found + annotated, 1),
        "late_ms": late / max(agreed, 1),
        "off_ms": off / max(agreed, 1),
        "annotated": annotated,
    }


def use_onsets(
    datamodule: StemDataModule,
    detector: Detector,
    splits: Iterable[Split] = ("train", "validation", "test"),
    sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
) -> None:
    """Lets a data module give out a detector's onsets, found in mixture and given f0, in place of its own."""
    for split in splits:
        for track, evidence in read_evidence(datamodule, split, sources):
            onset = onset_frames(
                detector(replace(evidence, stems=None)), evidence.f0_hz, evidence.hop_seconds
            )
            datamodule.pitches[track.name] = PitchTrack(evidence.f0_hz, onset, evidence.hop_seconds)
