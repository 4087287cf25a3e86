"""Protocol "choirs": models of choirs on rendered music of each style and on real singers, pitch given and tracked."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora import ChoralSingingDataset, RenderedChoir
from ddsp_zoo.corpora.base import StemDataModule
from ddsp_zoo.corpora.choral.disturbed import CONDITIONS, DisturbedChoir
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.digests import digest_of_model, digest_of_tracks
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.measuring.pitch import score_names
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.models.voices import with_voices
from ddsp_zoo.music.choir.styles import STYLES
from ddsp_zoo.reports import evaluation, remembered, tables
from ddsp_zoo.reports import report as pages
from ddsp_zoo.sources import MOST_VOICES, QUARTET

CLEAN, JITTER, REAL = "as they are", "jitter", "real singers"
SUMMARY = "summary.csv"
NAMES = {2: ("high", "low"), 4: QUARTET}  # of voices of that number; others are voice1, voice2, …
SHOWN = {"mixture": "the mixture", "masked_power": "the model"}
RENDER_SEED = 1  # other music than models are trained on
VERSION = 1  # to be raised whenever other numbers come of the same files


@dataclass(frozen=True)
class Case:
    """Holds what is measured at once: so many voices, a kind of music, a condition, and the kind of pitch."""

    voices: int
    music: str
    condition: str
    pitch: str

    @property
    def folder(self) -> Path:
        """Returns where it is kept."""
        words = (f"{self.voices}_voices", self.music, self.condition, self.pitch)
        return Path(*(word.replace(" ", "_") for word in words))


def find_checkpoints(names: Sequence[str] = (), paths: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Returns what `remembered.find_checkpoints` finds; without names and paths, all released models of quartets."""
    return remembered.find_checkpoints(names, paths, lambda sources: sources == QUARTET)


def report(
    models: Mapping[str, Any],
    out_dir: str | Path,
    voices: Sequence[int] = (4,),
    conditions: Sequence[str] = (),
    tracks: int = 4,
    seconds: float = 20.0,
    device: str = "cpu",
    progress: bool = True,
) -> list[Path]:
    """Measures models on every kind of music and writes ``report.md`` and ``summary.csv``. Returns what was written.

    What is measured of a model stays in a folder in ``<out_dir>/<model>``; a later call takes it from there where model
    and files are the same.

    Args:
        models: by what to call them, each a model of choirs.
        out_dir: folder, made where missing.
        voices: how many sing; real singers are measured for two and four.
        conditions: names of `CONDITIONS`, and "jitter", beside the recordings as they are.
        tracks: how many of each kind of music.
        seconds: length of a rendered piece.
        device: where models run.
        progress: show progress bars.

    Raises:
        DdspZooError: for conditions and numbers of voices that there are not, and models of something else.
    """
    _check(models, voices, conditions)
    rows: list[Row] = []
    out_dir = pages.writable(out_dir)
    for case in _cases(voices, conditions):
        for name, model in models.items():
            fitted = with_voices(model, NAMES.get(case.voices, case.voices))
            if case.pitch == "mixture" and not _tracks_pitch(fitted):
                continue
            corpus = _corpus(case, tracks, seconds)
            summary = _measured(
                name, fitted, corpus, case, out_dir / name / case.folder, tracks, device, progress
            )
            rows += _rows(name, case, summary)
    tables.write_csv(rows, out_dir / SUMMARY)
    pages.write_page(_page(rows, tracks, seconds), out_dir / pages.PAGE)
    return [out_dir / pages.PAGE, out_dir / SUMMARY]


def _check(models: Mapping[str, Any], voices: Sequence[int], conditions: Sequence[str]) -> None:
    for model in models.values():
        with_voices(model, len(QUARTET))  # or what is wrong with it
    if wrong := [number for number in voices if not 1 <= number <= MOST_VOICES]:
        raise DdspZooError(f"A choir has 1 to {MOST_VOICES} voices, not {wrong[0]}.")
    if unknown := [name for name in conditions if name not in (*CONDITIONS, JITTER)]:
        raise DdspZooError(
            f"There is no condition {unknown[0]!r}: choose from {', '.join((*CONDITIONS, JITTER))}."
        )


def _cases(voices: Sequence[int], conditions: Sequence[str]) -> Iterator[Case]:
    for number in voices:
        real = [REAL] if os.environ.get("CHORAL_SINGING_ROOT") and number in NAMES else []
        for music in (*STYLES, *real):
            for condition in (CLEAN, *conditions):
                for pitch in ("given", "mixture") if condition != JITTER else ("jittered",):
                    yield Case(number, music, condition, pitch)


def _tracks_pitch(model: Any) -> bool:
    tracker = model.tracker
    return tracker is not None and tracker.fewest_voices <= len(model.sources) <= tracker.most_voices


def _corpus(case: Case, tracks: int, seconds: float) -> StemDataModule:
    if case.music == REAL:
        corpus: StemDataModule = ChoralSingingDataset(voices=case.voices, test_tracks=tracks)
    else:
        corpus = RenderedChoir(
            voices=case.voices,
            styles=(case.music,),
            test_tracks=tracks,
            track_seconds=seconds,
            render_seed=RENDER_SEED,
        )
    return DisturbedChoir(corpus, case.condition) if case.condition in CONDITIONS else corpus


def _measured(
    name: str,
    model: Any,
    corpus: StemDataModule,
    case: Case,
    folder: Path,
    limit: int,
    device: str,
    progress: bool,
) -> dict[str, Any]:
    """What `evaluation.run` gives, or gave before of the same."""
    corpus.feed(model, "test").prepare_data()
    own = corpus.tracks("test")[:limit]
    stamp = {"version": VERSION, "model": digest_of_model(model), "files": digest_of_tracks(own)}
    if not remembered.is_made_from(folder, stamp):
        evaluation.run(
            model,
            corpus,
            folder,
            name=name,
            pitch=case.pitch,
            metrics=(SI_SDR,),
            overwrite=True,
            parts=("model",),
            seeds=(0,),
            device=device,
            limit_tracks=limit,
            progress=progress,
        )
        tables.write_json(stamp, folder / remembered.STAMP)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _rows(name: str, case: Case, summary: Mapping[str, Any]) -> list[Row]:
    """One row a voice and system, and one a voice of tracked pitch."""
    about = {"voices": case.voices, "music": case.music, "condition": case.condition, "pitch": case.pitch}
    rows = [
        {"model": name} | about | {"source": row["source"], "system": row["system"], "si_sdr_db": row["mean"]}
        for row in summary["results"]
        if row["system"] in SHOWN and row["metric"] == SI_SDR.name
    ]
    pitch = [
        {"model": name} | about | {"source": row["source"]} | {key: row[key] for key in score_names(row)}
        for row in summary.get("pitch", ())
    ]
    return rows + pitch


def _page(rows: Sequence[Row], tracks: int, seconds: float) -> list[str]:
    page = [
        "# Choirs",
        f"Rendered pieces of {seconds:g} s, and real singers where there are any; at most {tracks} tracks a kind of "
        "music, in excerpts as long as the model hears at once. SI-SDR in dB is the mean over windows of one second, "
        "of stems with masks of power 2. Pitch is scored by mir_eval, 50 cents.",
    ]
    for voices in dict.fromkeys(row["voices"] for row in rows):
        own = [row for row in rows if row["voices"] == voices]
        sources = [name for name in dict.fromkeys(row["source"] for row in own) if name != "all"]
        page += [f"## {voices} voices", "SI-SDR:", _table(own, ["all", *sources])]
        if any("f_measure" in row for row in own):
            page += [
                "Tracked pitch, all voices together, and the raw pitch accuracy of each:",
                _pitch(own, sources),
            ]
    return page


def _table(rows: Sequence[Row], sources: Sequence[str]) -> str:
    """A line for each kind of music, condition, pitch and system."""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if "system" in row:
            system = row["model"] if row["system"] != "mixture" else SHOWN["mixture"]
            pitch = row["pitch"] if row["system"] != "mixture" else "-"
            line = lines.setdefault((row["music"], row["condition"], pitch, system), {})
            line[row["source"]] = f"{row['si_sdr_db']:.1f}"
    cells = [[*key, *(line.get(source, "-") for source in sources)] for key, line in lines.items()]
    return tables.render_markdown([["music", "recordings", "pitch", "system", *sources], *cells])


def _pitch(rows: Sequence[Row], sources: Sequence[str]) -> str:
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if "f_measure" in row or "raw_pitch" in row:
            line = lines.setdefault((row["music"], row["condition"], row["model"]), {})
            together = ("f_measure", "precision", "recall")
            shown = together if row.get("f_measure") is not None else ("raw_pitch",)
            line |= {name if shown is together else row["source"]: f"{row[name]:.3f}" for name in shown}
    columns = ["f_measure", "precision", "recall", *sources]
    cells = [[*key, *(line.get(column, "-") for column in columns)] for key, line in lines.items()]
    return tables.render_markdown([["music", "recordings", "model", *columns], *cells])
