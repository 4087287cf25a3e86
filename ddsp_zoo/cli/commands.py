"""The commands of `ddsp-zoo` that are not LightningCLI's: each parses its arguments and makes one call."""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ddsp_zoo.errors import DdspZooError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the package's: one sentence, without the usage around it."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse for everything that it cannot make sense of."""
        raise DdspZooError(f"{message} (`{self.prog} --help` says what there is).")


def separate(arguments: list[str]) -> int:
    """`ddsp-zoo separate IN... --model NAME --out DIR`."""
    parser = Parser("ddsp-zoo separate", description="Separate audio files.")
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="audio files: any rate and length, mono or stereo"
    )
    parser.add_argument("--model", default="ast_ddsp_all", help="a name of `ddsp-zoo list` (%(default)s)")
    parser.add_argument(
        "--checkpoint", help="a checkpoint folder or .ckpt file instead of the released weights"
    )
    parser.add_argument(
        "--out", default="out", help="folder for the results, one folder a file (%(default)s)"
    )
    parser.add_argument(
        "--format", choices=("wav", "flac"), default="wav", help="32-bit float WAV or 24-bit FLAC"
    )
    parser.add_argument(
        "--pitch",
        help="for models that need it: an f0 CSV, a folder with one recording a source, or `crepe`; without "
        "it, the models for choirs find it in the mixture",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthesiser's noise (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (%(default)s)")
    parser.add_argument(
        "--skip-existing", action="store_true", help="pass over files whose results are there"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)

    from ddsp_zoo.separation.files import separate_files
    from ddsp_zoo.zoo.hub import load

    model = load(options.model, checkpoint=options.checkpoint).to(_device(options.device))
    folders = separate_files(
        model,
        options.inputs,
        options.out,
        options.skip_existing,
        audio_format=options.format,
        pitch=options.pitch,
        seed=options.seed,
        progress=not options.quiet,
    )
    for folder in folders:
        print(f"{folder}: stems, residual, synthesised/, controls.npz, overview.png")
    return 0


def list_models(arguments: list[str]) -> int:
    """`ddsp-zoo list`."""
    Parser("ddsp-zoo list", description="The models there are.").parse_args(arguments)
    from ddsp_zoo.zoo import hub

    names = hub.list_models()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {hub.info(name)['summary']}")
    return 0


def info(arguments: list[str]) -> int:
    """`ddsp-zoo info NAME`."""
    parser = Parser("ddsp-zoo info", description="What a model is and reaches.")
    parser.add_argument("model", metavar="NAME")
    from ddsp_zoo.zoo import hub

    row = hub.info(parser.parse_args(arguments).model)
    shown = {key: row[key] for key in ("name", "summary", "paper", "sources", "sample_rate", "licences")}
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    print("\n" + (row["card"] or "There is no card yet."))
    return 0


def evaluate(arguments: list[str]) -> int:
    """`ddsp-zoo evaluate --model NAME --data NAME`."""
    parser = Parser("ddsp-zoo evaluate", description="Measure a model against baselines.")
    parser.add_argument("--model", required=True, help="a name of `ddsp-zoo list`")
    parser.add_argument(
        "--checkpoint", help="a checkpoint folder or .ckpt file instead of the released weights"
    )
    parser.add_argument(
        "--data", required=True, help="a data module by name, or a recipe with a `data:` section"
    )
    parser.add_argument("--root", help="folder of the data")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--out", default="evaluation", help="folder for tables and plots (%(default)s)")
    parser.add_argument(
        "--pitch",
        choices=("given", "mixture"),
        default="given",
        help="that of the data, or what the model itself finds in the mixture (%(default)s)",
    )
    parser.add_argument("--tracks", type=int, help="stop after so many tracks")
    parser.add_argument("--seeds", type=int, default=5, help="noise seeds averaged over (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the model runs (%(default)s)")
    options = parser.parse_args(arguments)

    from ddsp_zoo.measuring.pitch import pitch_table
    from ddsp_zoo.measuring.tables import by_metric, by_source, render_text
    from ddsp_zoo.reports import evaluation
    from ddsp_zoo.zoo import hub

    hub.info(options.model)  # an unknown name is told before any data is rendered
    data = _data(options)
    model = hub.load(options.model, checkpoint=options.checkpoint) if options.checkpoint else options.model
    summary = evaluation.run(
        model,
        data,
        options.out,
        options.split,
        device=_device(options.device),
        limit_tracks=options.tracks,
        seeds=range(options.seeds),
        pitch=options.pitch,
    )
    print(render_text(by_metric(summary["results"])))
    print("\nSI-SDR (dB) by source")
    print(render_text(by_source(summary["results"], order=summary["protocol"]["sources"])))
    if "pitch" in summary:
        print("\nPitch found in the mixture")
        print(render_text(pitch_table(summary["pitch"])))
    print(f"\n{options.out}: rows.csv, summary.csv, summary.json and a box plot per metric")
    return 0


def report(arguments: list[str]) -> int:
    """`ddsp-zoo report FOLDER... --runs RUN...`, or `ddsp-zoo report PROTOCOL` with a name of `PROTOCOLS`."""
    if arguments and arguments[0] in PROTOCOLS:
        return PROTOCOLS[arguments[0]](arguments[1:])
    parser = Parser(
        "ddsp-zoo report",
        description="Set models, or training runs, side by side.",
        epilog="`ddsp-zoo report strings --help` and `ddsp-zoo report bands --help` tell of the reports on all models "
        "of guitar strings, and of a band's instruments; folders of these names are ./strings and ./bands.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="what `ddsp-zoo evaluate --out` wrote")
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="training runs, as in runs/NAME")
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    options = parser.parse_args(arguments)

    from ddsp_zoo.reports.report import report as write_report

    written = write_report(options.folders, options.out, options.runs)
    print(f"{options.out}: {', '.join(path.name for path in written)}")
    return 0


def report_strings(arguments: list[str]) -> int:
    """`ddsp-zoo report strings --data NAME`."""
    parser = Parser(
        "ddsp-zoo report strings",
        description="Measure models of guitar strings on the same files and draw all figures. What is measured stays "
        "in --out, a folder a model; another call with the same models and files only draws.",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of `ddsp-zoo list` (all of six strings, where --checkpoints names none)",
    )
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        default=[],
        metavar="PATH",
        help="checkpoint folders or .ckpt files beside --models; a curve.csv in a folder is drawn too",
    )
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="training runs, as in runs/NAME")
    _add_measuring(parser, data_required=True)
    options = parser.parse_args(arguments)

    from ddsp_zoo.reports import strings

    checkpoints = strings.find_checkpoints(options.models, options.checkpoints)
    losses = strings.find_losses(checkpoints, options.runs)
    data, models = _data(options), _load_all(checkpoints)
    written = strings.report(
        models, data, options.out, losses, options.tracks, range(options.seeds), _device(options.device)
    )
    print(f"{options.out}: report.md and {len(written) - 1} figures of {', '.join(models)}")
    return 0


def report_bands(arguments: list[str]) -> int:
    """`ddsp-zoo report bands --data NAME`."""
    parser = Parser(
        "ddsp-zoo report bands",
        description="Measure models of a band's instruments, and stems from elsewhere, on the same whole tracks at "
        "8 kHz (and at a model's own higher rate). What is measured stays in --out and is not measured again.",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of `ddsp-zoo list` (all of bass, drums, guitar, where --checkpoints and --estimates name none)",
    )
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        default=[],
        metavar="PATH",
        help="checkpoint folders or .ckpt files beside --models",
    )
    parser.add_argument(
        "--estimates",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        type=_named_folder,
        help="stems of other programs: FOLDER/<track>/<source>.wav or .flac",
    )
    parser.add_argument(
        "--songs", help="folder of Music Delta's songs: real ones, for a section of their own"
    )
    _add_measuring(parser, data_required=False)
    options = parser.parse_args(arguments)

    from ddsp_zoo.corpora import MusicDelta
    from ddsp_zoo.reports import bands

    if not options.data and not options.songs:
        parser.error("name data with --data, or real songs with --songs")
    none_named = not (options.models or options.checkpoints) and options.estimates
    checkpoints = {} if none_named else bands.find_checkpoints(options.models, options.checkpoints)
    data = [_data(options)] if options.data else []
    data += [MusicDelta(options.songs)] if options.songs else []
    models = _load_all(checkpoints)
    estimates = dict(options.estimates)
    written = bands.report(
        models, data, options.out, estimates, options.tracks, range(options.seeds), _device(options.device)
    )
    print(f"{options.out}: {', '.join(path.name for path in written)} of {', '.join([*models, *estimates])}")
    return 0


def _add_measuring(parser: Parser, data_required: bool) -> None:
    """What every protocol of `ddsp-zoo report` asks for."""
    parser.add_argument(
        "--data", required=data_required, help="a data module by name, or a recipe with a `data:` section"
    )
    parser.add_argument("--root", help="folder of the data")
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    parser.add_argument("--tracks", type=int, help="stop after so many tracks of a data set")
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds averaged over (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the models run (%(default)s)")


def _data(options: argparse.Namespace) -> Any:
    """The data module of --data, below --root where that is given."""
    from ddsp_zoo.corpora import make

    return make(options.data, **({"root": options.root} if options.root else {}))


def _load_all(checkpoints: Mapping[str, Any]) -> dict[str, Any]:
    """Models by what they are called, from their checkpoints."""
    from ddsp_zoo.zoo import hub

    return {name: hub.load(name, checkpoint=path) for name, path in checkpoints.items()}


def _named_folder(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, folder


def _device(name: str) -> str:
    """A device that is there, else `DdspZooError`."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise DdspZooError(f"The device {name!r} cannot be used here: try --device cpu.") from error
    return name


PROTOCOLS: dict[str, Callable[[list[str]], int]] = {  # of `ddsp-zoo report`
    "strings": report_strings,
    "bands": report_bands,
}
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "separate": separate,
    "list": list_models,
    "info": info,
    "evaluate": evaluate,
    "report": report,
}
