"""The file of saved controls, from which they can be shown, edited and played again.

`controls.npz` holds an array `source/name` for each control, (N, k) or for a pitch (N,), and `about`: a text in JSON
with the version of this format, of the package and of the model's weights, all rates, the seed, what each control is,
and which synthesiser plays them with which settings. `numpy.load` reads it. What a network says of many bands was
rounded before it was played (`ddsp_zoo.separation.rounding`), so it packs well. A file is data: it can only name a
synthesiser of this package, or one that the user names for it.
"""

import json
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from ddsp_zoo.controls.check import check
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.separation.result import Maker, Named, Separated
from ddsp_zoo.settings.build import build, call
from ddsp_zoo.sources import check_names
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control
from ddsp_zoo.synths.registry import SYNTHS

FORMAT = 1
ABOUT = "about"
COLUMNS = 16  # that are written at once: an hour of them is 14 MB


@dataclass
class Saved:
    """Holds a file of controls: controls {source: {name: (N, k)}}, what made them, and the recording's size."""

    controls: dict[str, Named]
    maker: Maker
    sample_rate: int
    samples: int


class ControlsWriter:
    """Collects the controls of consecutive pieces on disk, and puts them into one file at the end.

    Args:
        folder: for what is collected; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.samples = folder, 0
        self._files: dict[tuple[str, str], tuple[BinaryIO, tuple[int, ...]]] = {}
        self._last: Separated | None = None

    def append(self, piece: Separated) -> None:
        """Adds a piece."""
        for source, named in piece.controls.items():
            for name, values in named.items():
                if (source, name) not in self._files:
                    file = open(self.folder / f".{source}.{name}.raw", "w+b")
                    self._files[source, name] = (file, values.shape[1:])
                self._files[source, name][0].write(np.ascontiguousarray(values, np.float32).tobytes())
        self.samples += piece.mixture.shape[-1]
        self._last = piece

    def finish(self, path: Path) -> None:
        """Writes the file, and removes what was collected."""
        self.close()
        controls: dict[str, Named] = {}
        for (source, name), (file, shape) in self._files.items():
            values = np.memmap(file.name, np.float32, "r").reshape(-1, *shape)
            controls.setdefault(source, {})[name] = values
        write(Saved(controls, self._last.maker, self._last.sample_rate, self.samples), path)
        for file, _ in self._files.values():
            Path(file.name).unlink()

    def close(self) -> None:
        """Closes all files."""
        for file, _ in self._files.values():
            file.close()


def write(saved: Saved, path: str | Path) -> None:
    """Writes controls and what made them to one file, whole or not at all."""
    maker = saved.maker
    about = {
        "format": FORMAT,
        "version": maker.version,
        "model": maker.model,
        "weights_sha256": maker.weights_sha256,
        "sources": list(maker.sources),
        "sample_rate": saved.sample_rate,
        "samples": saved.samples,
        "model_sample_rate": maker.sample_rate,
        "hop_samples": maker.hop_samples,
        "seed": maker.seed,
        "controls": [asdict(control) for control in maker.declared.values()],
        "synth": _described(maker.synth),
        "neck": asdict(maker.neck) if maker.neck else None,
        "full_db": maker.full_db,
    }
    arrays = {f"{s}/{name}": value for s, named in saved.controls.items() for name, value in named.items()}
    with replaced_when_done(path) as draft:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_BZIP2) as archive:
            for name, values in {ABOUT: np.array(json.dumps(about, ensure_ascii=False)), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    _write_array(file, values)


def _write_array(file: IO[bytes], values: np.ndarray) -> None:
    """Writes an array of numpy's format with each column in one piece, which packs better: it moves little in time."""
    rows = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
    header = np.lib.format.header_data_from_array_1_0(values) | {"fortran_order": True}
    np.lib.format.write_array_header_1_0(file, header)
    for first in range(0, rows.shape[1], COLUMNS):
        file.write(np.ascontiguousarray(rows[:, first : first + COLUMNS].T).tobytes())


def read(path: str | Path, kind: type[Synth] | Collection[type[Synth]] | None = None) -> Saved:
    """Reads what `write` has written.

    The synthesiser must be one of this package, or where ``kind`` is given, of that class or one of those.

    Raises `DdspZooError` for a file that is damaged, of a newer version, of another model than it says, or that holds
    values which are not finite or out of range: one sentence that names the control.
    """
    arrays = _arrays(Path(path))
    try:
        about = json.loads(str(arrays.pop(ABOUT)))
        version, newest = about["format"], about["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise DdspZooError(
            f"{path} holds no controls of a separation: separate the recording again."
        ) from error
    if version != FORMAT:
        raise DdspZooError(
            f"{path} is of ddsp_zoo {newest} in another format: update ddsp_zoo, or separate again."
        )
    try:
        known = SYNTHS if kind is None else (kind,) if isinstance(kind, type) else kind
        saved = _saved(about, arrays, known)
        for source, named in saved.controls.items():
            check(named, saved.maker.declared, source, saved.maker.rate_hz)
    except DdspZooError as error:
        raise DdspZooError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DdspZooError(
            f"{path} does not say how its controls are played ({error}): separate again."
        ) from error
    return saved


def _arrays(path: Path) -> Named:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name], order="C") for name in file.files}
    except FileNotFoundError as error:
        raise DdspZooError(f"There is no {path}: name a folder that a separation was saved to.") from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DdspZooError(f"{path} is damaged or cut short ({error}): copy or separate it again.") from error


def _saved(about: dict[str, Any], arrays: Named, known: Collection[type[Synth]]) -> Saved:
    declared = {row["name"]: call(Control, row) for row in about["controls"]}
    maker = Maker(
        model=about["model"],
        weights_sha256=about["weights_sha256"],
        version=about["version"],
        sources=tuple(about["sources"]),
        sample_rate=about["model_sample_rate"],
        hop_samples=about["hop_samples"],
        seed=about["seed"],
        declared=declared,
        synth=_built(about, declared.values(), known),
        neck=_neck(about.get("neck")),
        full_db=_levels(about.get("full_db")),
    )
    check_names(maker.sources)
    controls: dict[str, Named] = {}
    for key, value in arrays.items():
        source, _, name = key.rpartition("/")
        if source not in maker.sources or name not in declared:
            raise DdspZooError(f"{key} is no control of {maker.model}: it is from another separation.")
        controls.setdefault(source, {})[name] = value
    return Saved(controls, maker, about["sample_rate"], about["samples"])


def _neck(about: dict[str, Any] | None) -> Neck | None:
    return Neck(tuple(about["tuning"]), about["capo"]) if about else None


def _levels(about: dict[str, Any] | None) -> dict[str, float] | None:
    return {source: float(level) for source, level in about.items()} if about else None


def _described(synth: Synth | None) -> dict[str, Any] | None:
    """The class of a synthesiser and its arguments, as plain values."""
    if synth is None:
        return None
    arguments = {
        name: sorted(value) if isinstance(value, (set, frozenset)) else value
        for name, value in synth.arguments.items()
    }
    return {"class_path": f"{type(synth).__module__}.{type(synth).__qualname__}", "init_args": arguments}


def _built(
    about: dict[str, Any], declared: Iterable[Control], known: Collection[type[Synth]]
) -> Synth | None:
    """The synthesiser that a file describes; it must know the file's controls as they are declared there."""
    if about["synth"] is None:
        return None
    synth = build(about["synth"], Synth, known)
    written = {control.name: asdict(control) for control in declared}
    for control in synth.controls:
        if written.get(control.name) != asdict(control):
            raise DdspZooError(
                f"{control.name} is not what the synthesiser {type(synth).__name__} takes: the file was put together "
                "from two models, or by another version of ddsp_zoo; separate again."
            )
    if (synth.sample_rate, synth.hop) != (about["model_sample_rate"], about["hop_samples"]):
        raise DdspZooError("the rates are not those of its synthesiser: separate again.")
    return synth
