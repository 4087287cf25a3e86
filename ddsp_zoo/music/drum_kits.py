"""Reads drum kits of the drum machine Hydrogen: folders of hits and a ``drumkit.xml`` that names them."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from ddsp_zoo.errors import DdspZooError

# General MIDI numbers by what the instruments are called; the first pattern found in a name counts.
NAMES: tuple[tuple[str, int | None], ...] = (
    (r"roll|swish|choke|flink|noise|fx|zap|click$|^sample", None),
    (r"cow ?bell", 56),
    (r"bell|cup", 53),
    (r"splash", 55),
    (r"china", 52),
    (r"crash", 49),
    (r"\bride\b", 51),
    (r"(hat|hh|hi-hat).*(pedal|pd)|pedal hh", 44),
    (r"(hat|hh|hi-hat).*(open|\bop|free)|open hh|ohh", 46),
    (r"hat|hh", 42),
    (r"rim ?click|side ?stick|\bstick\b", 37),
    (r"rim", 40),
    (r"snare|sn\b", 38),
    (r"clap", 39),
    (r"kick|bass ?drum", 36),
    (r"floor|tom low|low tom", 43),
    (r"tom.*(mid|2|\(tama superstar 13)|middle tom", 47),
    (r"tom", 50),
    (r"tambourine", 54),
)
NEEDED = {36, 38, 42}
TOMS, CRASHES, RIDES = (41, 43, 45, 47, 48, 50), (49, 57, 55, 52), (51, 59, 53)
# What plays in place of a drum that a kit lacks, best first; what has no entry is left out.
INSTEAD = {
    35: (36,),
    36: (35,),
    40: (38,),
    38: (40,),
    37: (38, 40),
    39: (40, 38),
    42: (44, 46),
    44: (42,),
    46: (42,),
    **{drum: CRASHES + RIDES + (46,) for drum in CRASHES},
    **{drum: RIDES + CRASHES + (42,) for drum in RIDES},
    **{drum: tuple(sorted(TOMS, key=lambda other: abs(other - drum))) for drum in TOMS},
    **{drum: (50, 48, 47) for drum in range(60, 67)},
    54: (42,),
    69: (42,),
    70: (42,),
    82: (42,),
}


@dataclass(frozen=True)
class Hit:
    """Holds one recorded hit: its General MIDI drum, which drum of that kind, and the loudest velocity it is for."""

    path: Path
    midi: int
    variant: int
    velocity: float
    gain: float


def drum_of(name: str) -> int | None:
    """Returns the General MIDI number of a drum by its name, None for what is no part of a drum set."""
    return next((midi for pattern, midi in NAMES if re.search(pattern, name.lower())), None)


def read_kit(folder: Path) -> list[Hit]:
    """Reads all hits of a kit; raises `DdspZooError` where there are none, or no kick, snare or hi-hat."""
    try:
        text = (folder / "drumkit.xml").read_text(errors="replace")
        root = ElementTree.fromstring(re.sub(r'\sxmlns="[^"]+"', "", text))
    except (OSError, ElementTree.ParseError) as error:
        raise DdspZooError(
            f"{folder} is no Hydrogen drum kit ({error}): name a folder with a drumkit.xml."
        ) from error
    hits, variants = [], {}
    for instrument in root.iter("instrument"):
        midi = drum_of(instrument.findtext("name") or "")
        files = _layers(folder, instrument)
        if midi is None or not files:
            continue
        variant = variants[midi] = variants.get(midi, -1) + 1
        hits += [Hit(path, midi, variant, velocity, gain) for path, velocity, gain in files]
    if not NEEDED <= {hit.midi for hit in hits}:
        raise DdspZooError(
            f"The drum kit {folder} lacks a kick, a snare or a hi-hat (by their names): use another one."
        )
    return hits


def _layers(folder: Path, instrument: ElementTree.Element) -> list[tuple[Path, float, float]]:
    """Returns the files of an instrument, each with the loudest velocity that it is for, and its gain."""
    layers = list(instrument.iter("layer"))
    if layers:
        found = [
            (
                folder / (layer.findtext("filename") or ""),
                float(layer.findtext("max") or 1),
                float(layer.findtext("gain") or 1),
            )
            for layer in layers
        ]
    else:
        found = [(folder / (instrument.findtext("filename") or ""), 1.0, 1.0)]
    return [entry for entry in found if entry[0].is_file()]
