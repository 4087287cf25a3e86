"""Protocol "bands": bass, drums and guitar from models that may know different other sources, on the same tracks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ddsp_zoo.corpora.base import StemDataModule, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.band_rows import WINDOW_SECONDS, rows_of
from ddsp_zoo.measuring.digests import digest_of_tracks
from ddsp_zoo.measuring.metrics import BAND_METRICS, LIMIT_DB
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.systems import SYSTEMS
from ddsp_zoo.measuring.whole_tracks import System, of_folder, of_model, read_piece
from ddsp_zoo.measuring.windows import SILENCE_DB
from ddsp_zoo.reports import band_pages, comparison, remembered, tables
from ddsp_zoo.reports import report as pages
from ddsp_zoo.sources import BAND, REST

RATE = 8000  # in Hz, at which everything is compared, the paper's
BASELINES = "baselines"
VERSION = 1  # to be raised whenever other numbers come of the same files


def find_checkpoints(names: Sequence[str] = (), paths: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Returns what `remembered.find_checkpoints` finds; without names and paths, all released models of bands."""
    return remembered.find_checkpoints(
        names, paths, lambda sources: set(sources) <= {*BAND, REST}, [BASELINES]
    )


def report(
    models: Mapping[str, Any],
    datamodules: Sequence[StemDataModule],
    out_dir: str | Path,
    estimates: Mapping[str, str | Path] | None = None,
    limit_tracks: int | None = None,
    seeds: Sequence[int] = (0,),
    device: str = "cpu",
    progress: bool = True,
) -> list[Path]:
    """Measures systems on test splits and write ``report.md``, ``summary.csv`` and figures. Returns what was written.

    Everything is compared at 8 kHz; models of a higher rate are at theirs too, where the files have it. What is
    measured stays in ``<out_dir>/<data>/<rate>/<system>``, and a later call with the same system and files takes it
    from there.

    Args:
        models: by what to call them, each a `Separator` that needs no pitch. Their rests are not measured.
        datamodules: the data, each with sources that the models name.
        out_dir: folder, made where missing; files of the same names are replaced.
        estimates: stems that others have made, by what to call them: see `whole_tracks.of_folder`.
        limit_tracks: stop after this many tracks of each.
        seeds: of the models' own noise and of the noise baseline.
        device: where models run.
        progress: show progress bars.

    Raises:
        DdspZooError: nothing is to be compared, names clash, or a system does not fit the data.
    """
    estimates = dict(estimates or {})
    _check(models, estimates)
    known = [of_model(name, model, seeds, device) for name, model in models.items()]
    tracks = {type(data).__name__: _tracks(data, models)[:limit_tracks] for data in datamodules}
    stems = {name: _stems(estimates, own) for name, own in tracks.items()}
    _check_all_are_heard(estimates, stems)
    out_dir = pages.writable(out_dir)
    page, written, summaries = ["# Bands"], [out_dir / pages.PAGE], []
    for name, own in tracks.items():
        for rate in _rates(own, models):
            folders = _measure_all(name, own, [*known, *stems[name]], rate, out_dir, seeds, progress)
            group = comparison.comparable(comparison.read(folders))[0]
            paragraphs, figures, summary = band_pages.section(group, out_dir)
            page, written, summaries = page + paragraphs, written + figures, summaries + summary
    tables.write_csv(summaries, out_dir / band_pages.SUMMARY)
    pages.write_page(page, out_dir / pages.PAGE)
    return [*written, out_dir / band_pages.SUMMARY]


def _check(models: Mapping[str, Any], estimates: Mapping[str, Any]) -> None:
    if not models and not estimates:
        raise DdspZooError(
            "There is nothing to report on: name models with --models or --checkpoints, or stems with --estimates."
        )
    for name in estimates:
        if name in {*models, *SYSTEMS, BASELINES}:
            raise DdspZooError(
                f"{name} is the name of something else in the report: give --estimates another name."
            )


def _stems(estimates: Mapping[str, str | Path], tracks: Sequence[Track]) -> list[System]:
    """The stems from elsewhere that there are of these tracks."""
    found = [of_folder(name, folder, tracks) for name, folder in estimates.items()]
    return [system for system in found if system]


def _check_all_are_heard(estimates: Mapping[str, str | Path], stems: Mapping[str, Sequence[System]]) -> None:
    heard = {system.name for systems in stems.values() for system in systems}
    for name, folder in estimates.items():
        if name not in heard:
            raise DdspZooError(
                f"{folder} has no stems of any of these tracks: put them into {folder}/<track>/<source>.wav or .flac."
            )


def _tracks(datamodule: StemDataModule, models: Mapping[str, Any]) -> list[Track]:
    """The test tracks; `DdspZooError` where there are none or a model separates what they have not."""
    for model in models.values():
        datamodule.feed(model, "test")
    datamodule.prepare_data()
    tracks, name = datamodule.tracks("test"), type(datamodule).__name__
    if not tracks:
        raise DdspZooError(f"{name} has no tracks in its test split.")
    instruments = _instruments(tracks)
    for of, model in models.items():
        if unknown := [target for target in model.targets if target not in instruments]:
            raise DdspZooError(
                f"{of} separates {unknown[0]}, and {name} has {', '.join(instruments)}: leave it out."
            )
    return tracks


def _instruments(tracks: Sequence[Track]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for track in tracks for source in track.sources))


def _rates(tracks: Sequence[Track], models: Mapping[str, Any]) -> list[int]:
    """8 kHz, and higher rates of models that the files have."""
    rate_of_files = read_piece(tracks[0]).sample_rate
    own = {model.sample_rate for model in models.values()}
    return [RATE, *sorted(rate for rate in own if RATE < rate <= rate_of_files)]


# Measuring ------------------------------------------------------------------------------------------


def _measure_all(
    data: str,
    tracks: Sequence[Track],
    systems: Sequence[System],
    rate: int,
    out_dir: Path,
    seeds: Sequence[int],
    progress: bool,
) -> list[Path]:
    """Measure what is not measured yet; the folders of the baselines and of all systems of at least this rate."""
    common = {"version": VERSION, "files": digest_of_tracks(tracks), "tracks": len(tracks)}
    common |= {"rate": rate, "seeds": list(seeds)}
    protocol = {
        "data": data,
        "split": "test",
        "sources": list(_instruments(tracks)),
        "sample_rate": rate,
        "frame_seconds": WINDOW_SECONDS,
        "silence_db": -SILENCE_DB,
        "limit_db": LIMIT_DB,
        "seeds": list(seeds),
        "tracks": len(tracks),
        "metrics": [metric.described() for metric in BAND_METRICS],
    }
    folders = []
    for system in (None, *(system for system in systems if system.sample_rate >= rate)):
        name = system.name if system else BASELINES
        folders.append(out_dir / data / str(rate) / name)
        stamp = common | {"system": system.digest if system else ""}
        if not remembered.is_made_from(folders[-1], stamp):
            bar = tqdm(tracks, desc=f"{name} on {data} at {rate} Hz", unit="track", disable=not progress)
            rows = [row for track in bar for row in rows_of(read_piece(track), system, rate, seeds)]
            _save(folders[-1], rows, protocol | {"model": name}, SYSTEMS | (system.texts if system else {}))
            tables.write_json(stamp, folders[-1] / remembered.STAMP)
    return folders


def _save(folder: Path, rows: list[Row], protocol: dict[str, Any], texts: Mapping[str, str]) -> None:
    """What `comparison.read` reads: rows, and the protocol with them."""
    if not rows:
        raise DdspZooError("All tracks of the test split are silent: check the audio files of the data.")
    systems = {row["system"]: texts[row["system"]] for row in rows}
    tables.write_csv(rows, folder / "rows.csv")
    tables.write_json({"protocol": protocol | {"systems": systems}}, folder / "summary.json")
