"""`ddsp-zoo separate`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.cli.parser import Parser, add_checkpoint, add_format, audio_format, count, device, load
from ddsp_zoo.errors import DdspZooError

DEFAULT_MODEL = "ast_ddsp_all"


def separate(arguments: list[str]) -> int:
    """Runs `ddsp-zoo separate IN... --model NAME --out DIR`."""
    parser = Parser("ddsp-zoo separate", description="Separate audio files.")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="IN",
        help="audio files, or folders of them: any rate and length; M4A and more than two channels through "
        "ffmpeg, where that is installed",
    )
    parser.add_argument("--model", help=f"a name of `ddsp-zoo list` ({DEFAULT_MODEL})")
    add_checkpoint(parser)
    parser.add_argument(
        "--voices",
        help="of a choir: letters as SSAA, a number, names with commas between, high to low, or auto, which counts "
        "them (those of the model)",
    )
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--stems", help="only these of the model's sources, as bass,drums")
    some.add_argument("--two-stems", metavar="NAME", help="only this source; all others are in the residual")
    parser.add_argument(
        "--out", default="out", help="folder for the results, one folder a file (%(default)s)"
    )
    parser.add_argument(
        "--name",
        default="{track}",
        help="of a result's folder in --out: {track} is the file's name; or {model}/{track} and the like (%(default)s)",
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="SECONDS", help="where the part begins that is separated"
    )
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="how long that part is (up to the end)"
    )
    add_format(parser)
    parser.add_argument(
        "--pitch",
        help="for models that need it: an f0 CSV, a folder with one recording a source, or `crepe`; without "
        "it, models with a tracker find it in the mixture; for several inputs a folder with a CSV or folder "
        "for each, named as it is",
    )
    parser.add_argument(
        "--tuning", help="of a guitar, low to high, as E2,A2,D3,G3,B3,E4 (the usual one) or DADGAD"
    )
    parser.add_argument("--capo", type=int, help="of a guitar: the fret it lies on")
    parser.add_argument(
        "--from-stems",
        metavar="FOLDER",
        help="stems of IN that another program has cut out (bass.wav, drums.wav ...): they stay as they are and get "
        "controls, notes and synthesised sound; no model is used",
    )
    parser.add_argument(
        "--no-plot", dest="leave_out", action="append_const", const="plot", help="no overview.png"
    )
    parser.add_argument(
        "--no-controls",
        dest="leave_out",
        action="append_const",
        const="controls",
        help="no controls.npz, without which a result cannot be opened, edited and played again",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthesiser's noise (%(default)s)")
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda, mps, or auto, the fastest there is (%(default)s)"
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="pass over files whose results are there, complete, of the same model, weights and options",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace results of other models or recordings in --out; other files always stay",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="separate so many files at a time, each by a process of its own with its share of the cores (1)",
    )
    options = parser.parse_args(arguments)

    from ddsp_zoo.files.audio import Excerpt

    options.written = audio_format(options)
    options.excerpt = Excerpt(options.start, options.duration)
    if options.from_stems:
        return _from_stems(options)
    from ddsp_zoo.api.ladder import separate_files
    from ddsp_zoo.models.voices import AUTO, with_voices
    from ddsp_zoo.pitch.neck import Neck

    files = inputs(options.inputs)
    named = options.tuning is not None or options.capo is not None
    neck = Neck.parse(options.tuning, options.capo or 0) if named else None
    model = load(options, options.model or DEFAULT_MODEL, options.checkpoint).to(device(options.device))
    if options.voices is not None:
        if options.voices == AUTO and (options.stems or options.two_stems):
            raise DdspZooError(
                "Only some stems can be asked for by name where --voices names them: not with auto."
            )
        model = with_voices(model, options.voices)
    if options.two_stems is not None:
        model.only = only(model, [options.two_stems])
    elif options.stems is not None:
        model.only = only(model, options.stems.split(","))
    separate_files(
        model,
        files,
        options.out,
        options.skip_existing,
        options.pitch,
        _tell,
        audio_format=options.written,
        seed=options.seed,
        progress=not options.quiet,
        overwrite=options.overwrite,
        neck=neck,
        name=options.name,
        jobs=options.jobs or 1,
        excerpt=options.excerpt,
        leave_out=options.leave_out or (),
    )
    return 0


def only(model: Any, stems: Sequence[str]) -> tuple[str, ...]:
    """Returns the sources that are named; `DdspZooError` for one that the model does not give."""
    names = tuple(name.strip() for name in stems)
    if unknown := [name for name in names if name not in model.targets]:
        raise DdspZooError(
            f"{model.name or 'This model'} gives no stem {unknown[0]!r}: choose among {', '.join(model.targets)}."
        )
    return names


def inputs(paths: list[str]) -> list[Path]:
    """Returns the files, with those in a folder in its place; `DdspZooError` for a folder without any."""
    from ddsp_zoo.files.audio import ENDINGS, audio_files
    from ddsp_zoo.files.decoded import DECODED_ENDINGS

    files: list[Path] = []
    for path in map(Path, paths):
        own = audio_files(path, (*ENDINGS, *DECODED_ENDINGS)) if path.is_dir() else [path]
        if not own:
            raise DdspZooError(f"The folder {path} holds no audio files.")
        files += own
    return files


def _from_stems(options: Namespace) -> int:
    unused = (
        "model",
        "stems",
        "two_stems",
        "checkpoint",
        "pitch",
        "tuning",
        "capo",
        "voices",
        "skip_existing",
        "jobs",
    )
    if given := [name for name in unused if getattr(options, name) not in (None, False)]:
        raise DdspZooError(f"--from-stems uses no model: leave --{given[0].replace('_', '-')} out.")
    if len(options.inputs) > 1:
        raise DdspZooError("--from-stems takes one song, the one that its stems belong to.")
    from ddsp_zoo.api.ladder import folder_of
    from ddsp_zoo.api.stems import separate_from_stems
    from ddsp_zoo.models.given_stems import GivenStems

    song = Path(options.inputs[0])
    folder = separate_from_stems(
        song,
        options.from_stems,
        folder_of(song, options.out, options.name, GivenStems.__name__),
        options.written,
        seed=options.seed,
        progress=not options.quiet,
        overwrite=options.overwrite,
        excerpt=options.excerpt,
        leave_out=options.leave_out or (),
    )
    _tell(folder)
    return 0


def _tell(folder: Path) -> None:
    from ddsp_zoo.export.folder import PARTS, guitar_files

    others = [name for name in (*PARTS.values(), *guitar_files()) if (folder / name).exists()]
    print(f"{folder}: {', '.join(['stems', 'residual', 'synthesised/', *others])}", flush=True)
