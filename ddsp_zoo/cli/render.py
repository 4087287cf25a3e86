"""`ddsp-zoo render` and `ddsp-zoo transfer`."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ddsp_zoo.cli.parser import Parser, add_checkpoint, add_format, audio_format, load
from ddsp_zoo.errors import DdspZooError

if TYPE_CHECKING:
    from ddsp_zoo.api.edit import Edit
    from ddsp_zoo.api.result import Separation


def render(arguments: list[str]) -> int:
    """Runs `ddsp-zoo render FOLDER --edit edits.yaml --out DIR`."""
    parser = Parser("ddsp-zoo render", description="Play a separation again, with edits.")
    parser.add_argument(
        "folder", metavar="FOLDER", help="of one separation, as `ddsp-zoo separate` leaves it"
    )
    parser.add_argument("--edit", required=True, help="a YAML file that says what is done to which source")
    parser.add_argument(
        "--sound",
        choices=("synthesised", "filtered"),
        default="synthesised",
        help="what the synthesiser plays, where everything may change, or the recorded stem, filtered as level, timbre "
        "and decay change (%(default)s)",
    )
    _add_output(parser)
    options = parser.parse_args(arguments)

    from ddsp_zoo.api.edits_file import read_edits

    song = _open(options.folder, options)
    _refuse_same_folder(options.out, options.folder)
    edits = read_edits(options.edit, song)
    result = song.edited(edits, options.sound, options.seed)
    return _saved(result, options, [edit.source for edit in edits])


def transfer(arguments: list[str]) -> int:
    """Runs `ddsp-zoo transfer FOLDER:SOURCE FOLDER:SOURCE --out DIR`, or with a model in place of the second one."""
    parser = Parser(
        "ddsp-zoo transfer",
        description="Play one source with the sound of another: the notes, the pitch curve and the loudness of LEAD "
        "drive the synthesiser of ONTO, in the song of LEAD.",
    )
    parser.add_argument("lead", metavar="LEAD", help="folder and source, as out/band:bass")
    parser.add_argument(
        "onto",
        metavar="ONTO",
        help="likewise, as out/guitar:E2; it may be the same folder. Or a model that plays by pitch and loudness, as "
        "ddsp_autoencoder_voice",
    )
    parser.add_argument(
        "--transpose", type=float, default=0.0, metavar="SEMITONES", help="of the lead, before it leads"
    )
    add_checkpoint(parser)
    _add_output(parser)
    options = parser.parse_args(arguments)
    import ddsp_zoo

    lead = _source(options.lead, options)
    of_a_song = ":" in options.onto and not options.checkpoint
    onto = _source(options.onto, options) if of_a_song else load(options, options.onto, options.checkpoint)
    for edit in (lead, onto)[: 1 + of_a_song]:
        _refuse_same_folder(options.out, edit.song.folder)
    lead = lead.transpose(options.transpose) if options.transpose else lead
    result = ddsp_zoo.transfer(lead, onto, options.seed)
    return _saved(result, options, list(result.stems))


def _add_output(parser: Parser) -> None:
    parser.add_argument(
        "--out", required=True, help="folder for the result, which can be opened as any other"
    )
    add_format(parser)
    parser.add_argument("--seed", type=int, help="of the synthesiser's noise (that of the separation)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what is no edit of this song in --out"
    )


def _open(folder: str, options: Namespace) -> "Separation":
    """A separation, whose synthesiser may be of a class in a module of --import."""
    import ddsp_zoo
    from ddsp_zoo.settings.build import classes_in
    from ddsp_zoo.synths.base import Synth
    from ddsp_zoo.synths.registry import SYNTHS

    own = [kind for module in options.modules for kind in classes_in(module, Synth)]
    return ddsp_zoo.open(folder, (*SYNTHS, *own))


def _source(text: str, options: Namespace) -> "Edit":
    folder, colon, source = text.rpartition(":")
    if not (folder and colon and source):
        raise DdspZooError(f"{text!r} names no folder and source: write it as out/band:bass.")
    return _open(folder, options).edit(source)


def _refuse_same_folder(out: str, folder: str | Path) -> None:
    if Path(out).resolve() == Path(folder).resolve():
        raise DdspZooError(f"{out} is the separation itself, which stays as it is: choose another --out.")


def _saved(result: "Separation", options: Namespace, sources: list[str]) -> int:
    folder = result.save(options.out, audio_format(options), options.overwrite)
    edited = ", ".join(f"{source}.{options.format}" for source in sources)
    print(f"{folder}: mixture.{options.format}, edited {edited}; opens as any separation", flush=True)
    return 0
