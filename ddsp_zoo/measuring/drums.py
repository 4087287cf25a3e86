"""Drum transcription measured: which hits are found in true stems, in separated ones and in whole mixtures.

``ddsp-zoo report drums --data NAME --model NAME`` prints the table.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ddsp_zoo.api.ladder import separate
from ddsp_zoo.corpora.base import StemDataModule
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import read_mono
from ddsp_zoo.measuring.onsets import onset_counts, onset_scores
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.models.separator import Separator
from ddsp_zoo.music.drum_set import Hits
from ddsp_zoo.pitch.drum_transcriber import DrumTranscriber
from ddsp_zoo.sources import Split

# What is told apart in a table: instruments of the drum set that count as one.
GROUPS = {
    "kick": ("kick",),
    "snare": ("snare",),
    "side stick": ("side stick",),
    "hi-hat": ("closed hi-hat", "open hi-hat"),
    "open hi-hat": ("open hi-hat",),
    "tom": ("tom",),
    "cymbals": ("crash", "ride"),
}

Found = dict[str, Hits]
System = Callable[
    [np.ndarray, np.ndarray], Found
]  # what hears the drums (T,), or the mixture (T,), at `RATE`
RATE = 44100


def systems(transcriber: DrumTranscriber, separator: Separator | None = None) -> dict[str, System]:
    """Returns what is compared: a transcriber on true stems, on mixtures, and on the stems of a model."""
    found: dict[str, System] = {
        "true stem": lambda drums, mixture: transcriber.find(drums),
        "mixture": lambda drums, mixture: transcriber.find(mixture),
    }
    if separator is not None:
        found["separated"] = lambda drums, mixture: transcriber.find(
            separate(separator, mixture, RATE).stems["drums"].mean(0)
        )
    return found


def evaluate_drums(
    datamodule: StemDataModule,
    compared: Mapping[str, System],
    split: Split = "test",
    limit_tracks: int | None = None,
) -> list[Row]:
    """Measures systems; returns one row for each track, system and group, with the counts of `onset_counts`.

    Raises `DdspZooError` for tracks without a stem "drums" or without its hits.
    """
    datamodule.prepare((split,))
    rows: list[Row] = []
    for track in datamodule.tracks(split)[:limit_tracks]:
        if track.score is None or "drums" not in track.sources:
            raise DdspZooError(
                f"Track {track.name} lacks the stem drums, or a score.mid that says what it plays."
            )
        stems = {name: sum(read_mono(path, RATE) for path in paths) for name, paths in track.stems.items()}
        annotated, mixture = track.read_hits(), sum(stems.values())
        for name, system in compared.items():
            found = system(stems["drums"], mixture)
            rows += [
                {"track": track.name, "system": name, "instrument": group}
                | onset_counts(*(_times(hits, members) for hits in (annotated, found)))
                for group, members in GROUPS.items()
            ]
    return rows


def summarise_drums(rows: list[Row]) -> list[Row]:
    """Returns one row for each system and instrument: precision, recall and f_measure over all its hits."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["system"], row["instrument"]), []).append(row)
    return [
        {"system": system, "instrument": instrument} | onset_scores(own)
        for (system, instrument), own in groups.items()
    ]


def _times(hits: Found, members: tuple[str, ...]) -> np.ndarray:
    """When any of several instruments is hit, in order."""
    return np.sort(np.concatenate([hits[name].seconds for name in members]))
