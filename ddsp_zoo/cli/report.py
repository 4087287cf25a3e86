"""`ddsp-zoo report`: models side by side, and the protocols that measure many at once."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ddsp_zoo.cli.parser import (
    Parser,
    add_checkpoint,
    add_data,
    add_wandb,
    check_wandb,
    count,
    decibels,
    device,
    load_all,
    read_data,
    send_to_wandb,
)


def report(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report FOLDER... --runs RUN...`, or `ddsp-zoo report PROTOCOL` with a name of `PROTOCOLS`."""
    if arguments and arguments[0] in PROTOCOLS:
        return PROTOCOLS[arguments[0]](arguments[1:])
    parser = Parser(
        "ddsp-zoo report",
        description="Set models, or training runs, side by side.",
        epilog="`ddsp-zoo report strings --help` tells of the report on all models of guitar strings, `bands` of that "
        "on a band's instruments, `choirs` of that on choirs, `onsets` of that on onset detectors, `tab` of that on "
        "tablature, `thesis` of figures of training runs and filters; folders of these names are ./strings and so on.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="what `ddsp-zoo evaluate --out` wrote")
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="training runs, as in runs/NAME")
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    add_wandb(parser)
    options = parser.parse_args(arguments)
    check_wandb(options)

    from ddsp_zoo.reports.report import report as write_report

    written = write_report(options.folders, options.out, options.runs)
    send_to_wandb(options, _inside(options, written), Path(options.out).name)
    print(f"{options.out}: {', '.join(path.name for path in written)}")
    return 0


def report_strings(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report strings --data NAME`."""
    parser = Parser(
        "ddsp-zoo report strings",
        description="Measure models of guitar strings on the same files and draw all figures. What is measured stays "
        "in --out, a folder a model; another call with the same models and files only draws.",
    )
    _add_models(
        parser,
        "all of six strings, where --checkpoints names none",
        "; a curve.csv in a folder is drawn too",
    )
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="training runs, as in runs/NAME")
    _add_measuring(parser, data_required=True)
    options = parser.parse_args(arguments)
    check_wandb(options)

    from ddsp_zoo.reports import strings

    checkpoints = strings.find_checkpoints(options.models, options.checkpoints)
    losses = strings.find_losses(checkpoints, options.runs)
    data, models = read_data(options), load_all(options, checkpoints)
    written = strings.report(
        models, data, options.out, losses, options.tracks, range(options.seeds), device(options.device)
    )
    send_to_wandb(options, _inside(options, written), "strings", config={"models": list(models)})
    print(f"{options.out}: report.md and {len(written) - 1} figures of {', '.join(models)}")
    return 0


def report_bands(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report bands --data NAME`."""
    parser = Parser(
        "ddsp-zoo report bands",
        description="Measure models of a band's instruments, and stems from elsewhere, on the same whole tracks at "
        "8 kHz (and at a model's own higher rate). What is measured stays in --out and is not measured again.",
    )
    _add_models(parser, "all of bass, drums, guitar, where --checkpoints and --estimates name none")
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
    check_wandb(options)

    from ddsp_zoo.corpora import MusicDelta
    from ddsp_zoo.reports import bands

    if not options.data and not options.songs:
        parser.error("name data with --data, or real songs with --songs")
    none_named = not (options.models or options.checkpoints) and options.estimates
    checkpoints = {} if none_named else bands.find_checkpoints(options.models, options.checkpoints)
    data = [read_data(options)] if options.data else []
    data += [MusicDelta(options.songs)] if options.songs else []
    models = load_all(options, checkpoints)
    estimates = dict(options.estimates)
    written = bands.report(
        models, data, options.out, estimates, options.tracks, range(options.seeds), device(options.device)
    )
    about = {"models": list(models), "estimates": {name: str(path) for name, path in estimates.items()}}
    send_to_wandb(options, _inside(options, written), "bands", config=about)
    print(f"{options.out}: {', '.join(path.name for path in written)} of {', '.join([*models, *estimates])}")
    return 0


def report_choirs(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report choirs`."""
    parser = Parser(
        "ddsp-zoo report choirs",
        description="Measure models of choirs on rendered chorales, polyphony and homophony, and on real singers where "
        "CHORAL_SINGING_ROOT names them, with given and with tracked pitch. What is measured stays in --out.",
    )
    _add_models(parser, "all of soprano, alto, tenor, bass, where --checkpoints names none")
    parser.add_argument(
        "--voices", nargs="+", type=count, default=[4], metavar="N", help="how many sing, 1 to 8 (4)"
    )
    parser.add_argument(
        "--conditions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="disturbed recordings too: reverb, noise, 8_khz; and jitter, of given pitch",
    )
    parser.add_argument("--seconds", type=count, default=20, help="length of a rendered piece (%(default)s)")
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    parser.add_argument("--tracks", type=count, default=4, help="of each kind of music (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the models run (%(default)s)")
    add_wandb(parser)
    options = parser.parse_args(arguments)
    check_wandb(options)

    from ddsp_zoo.reports import choirs

    checkpoints = choirs.find_checkpoints(options.models, options.checkpoints)
    models = load_all(options, checkpoints)
    written = choirs.report(
        models,
        options.out,
        options.voices,
        options.conditions,
        options.tracks,
        options.seconds,
        device(options.device),
    )
    send_to_wandb(options, _inside(options, written), "choirs", config={"models": list(models)})
    print(f"{options.out}: {', '.join(path.name for path in written)} of {', '.join(models)}")
    return 0


def report_thesis(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report thesis`."""
    parser = Parser(
        "ddsp-zoo report thesis",
        description="Draw what the thesis shows beside its evaluations: filters, the cutoff frequency while it is "
        "learned in the preliminary experiment, and the losses of epochs.",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="RUN",
        help="training runs, as in runs/NAME, or their CSV files",
    )
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    add_wandb(parser)
    options = parser.parse_args(arguments)
    check_wandb(options)

    from ddsp_zoo.reports import thesis

    written = thesis.report(options.out, options.runs)
    send_to_wandb(options, _inside(options, written), "thesis")
    print(f"{options.out}: {', '.join(path.name for path in written)}")
    return 0


def report_onsets(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report onsets`."""
    from ddsp_zoo.measuring import onsets

    parser = Parser("ddsp-zoo report onsets", description="Print how well onsets of strings are found.")
    add_data(parser, required=False)
    parser.set_defaults(data="recipes/data/rendered_strings.yaml")
    parser.add_argument("--checkpoint", help="of an OnsetHead: a .ckpt file or a folder")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--pitch", nargs="+", default=onsets.PITCHES, choices=onsets.PITCHES, help="(both)")
    parser.add_argument("--tracks", type=count, help="stop after so many tracks")
    parser.add_argument("--markdown", action="store_true", help="as a table for documents")
    options = parser.parse_args(arguments)

    from ddsp_zoo.reports.onsets import detectors
    from ddsp_zoo.reports.tables import onset_table, render_markdown, render_text

    found = detectors(options.checkpoint)
    rows = onsets.evaluate_onsets(read_data(options), found, options.split, options.pitch, options.tracks)
    table = onset_table(onsets.summarise_onsets(rows))
    print((render_markdown if options.markdown else render_text)(table))
    return 0


def report_tab(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report tab`."""
    parser = Parser(
        "ddsp-zoo report tab", description="Print how well pitches, strings and notes of guitars are found."
    )
    parser.add_argument("--model", help="a name of `ddsp-zoo list` that finds the pitch of strings")
    add_checkpoint(parser)
    add_data(parser, required=False)
    parser.add_argument("--takes", metavar="FOLDER", help="GuitarSet's, for its recordings by a microphone")
    parser.add_argument("--crepe", action="store_true", help="CREPE too, which hears a single melody")
    parser.add_argument(
        "--basic-pitch", action="store_true", help="Basic Pitch too, which hears notes of any instrument"
    )
    parser.add_argument(
        "--tones", type=decibels, default=0.0, metavar="DB", help="give each string of --data another tone"
    )
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--tracks", type=count, help="stop after so many tracks of --data")
    parser.add_argument("--markdown", action="store_true", help="as a table for documents")
    options = parser.parse_args(arguments)
    if not (options.model or options.checkpoint or options.crepe or options.basic_pitch):
        parser.error("name a model with --model, weights with --checkpoint, or --crepe or --basic-pitch")
    if not (options.data or options.takes):
        parser.error("name data with --data, or recordings with --takes")

    from ddsp_zoo.measuring import tab
    from ddsp_zoo.reports.basic_pitch import basic_pitch_tracker
    from ddsp_zoo.reports.tab import learned_tracker, melody_tracker
    from ddsp_zoo.reports.tables import render_markdown, render_text, tab_table

    trackers = {"crepe": melody_tracker} if options.crepe else {}
    if options.basic_pitch:
        trackers["basic_pitch"] = basic_pitch_tracker()
    if options.model or options.checkpoint:
        name = options.model or "tracker"
        trackers[name] = learned_tracker(name, options.checkpoint)
    summary = {}
    if options.data:
        rendered = tab.read_rendered(read_data(options), options.split, options.tracks, options.tones)
        summary[Path(options.data).stem] = tab.summarise_tab(tab.evaluate_tab(rendered, trackers))
    if options.takes:
        rows = tab.evaluate_tab(tab.read_takes(options.takes), trackers)
        for take in dict.fromkeys(row["track"] for row in rows):
            summary[take] = tab.summarise_tab([row for row in rows if row["track"] == take])
    print((render_markdown if options.markdown else render_text)(tab_table(summary)))
    return 0


def report_drums(arguments: list[str]) -> int:
    """Runs `ddsp-zoo report drums`."""
    parser = Parser("ddsp-zoo report drums", description="Print how well the hits of a drum set are found.")
    parser.add_argument(
        "--model", help="a name of `ddsp-zoo list` that hears drums, whose stems are measured too"
    )
    add_checkpoint(parser)
    add_data(parser)
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--tracks", type=count, help="stop after so many tracks")
    parser.add_argument("--markdown", action="store_true", help="as a table for documents")
    options = parser.parse_args(arguments)
    if not (options.model or options.checkpoint):
        parser.error("name a model with --model, or weights with --checkpoint")

    from ddsp_zoo.measuring import drums
    from ddsp_zoo.reports.drums import learned
    from ddsp_zoo.reports.tables import drum_table, render_markdown, render_text

    compared = learned(options.model or "drums", options.checkpoint)
    rows = drums.evaluate_drums(read_data(options), compared, options.split, options.tracks)
    print((render_markdown if options.markdown else render_text)(drum_table(drums.summarise_drums(rows))))
    return 0


def _add_models(parser: Parser, by_default: str, of_checkpoints: str = "") -> None:
    """Adds the models that are measured: released ones by name, and the user's own."""
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME", help=f"names of `ddsp-zoo list` ({by_default})"
    )
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        default=[],
        metavar="PATH",
        help=f"checkpoint folders or .ckpt files beside --models{of_checkpoints}",
    )


def _add_measuring(parser: Parser, data_required: bool) -> None:
    """Adds what every protocol of `ddsp-zoo report` asks for."""
    add_data(parser, data_required)
    parser.add_argument("--out", default="report", help="folder for tables and plots (%(default)s)")
    parser.add_argument("--tracks", type=count, help="stop after so many tracks of a data set")
    parser.add_argument("--seeds", type=count, default=1, help="noise seeds averaged over (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the models run (%(default)s)")
    add_wandb(parser)


def _inside(options: argparse.Namespace, written: Iterable[Path]) -> Iterator[Path]:
    """Paths as they are within --out."""
    return (path.relative_to(options.out) for path in written)


def _named_folder(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, folder


PROTOCOLS: dict[str, Callable[[list[str]], int]] = {
    "strings": report_strings,
    "bands": report_bands,
    "choirs": report_choirs,
    "onsets": report_onsets,
    "tab": report_tab,
    "drums": report_drums,
    "thesis": report_thesis,
}
