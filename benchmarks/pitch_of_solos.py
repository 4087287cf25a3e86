"""How rightly a model finds the pitch of solos, beside CREPE (torchcrepe, tiny), which is taken for the truth.

    python benchmarks/pitch_of_solos.py FILE... --checkpoint runs/inverse_synthesis/checkpoints/last.ckpt

Prints, for each recording and for all together, the share of the frames voiced by CREPE whose pitch is within 50 cents
(raw pitch) or that but for octaves (raw chroma), and how voicing agrees. Definitions: mir_eval, melody.
"""

import argparse
from pathlib import Path

import torch
import yaml

import ddsp_zoo
from ddsp_zoo.files.audio import read_mono
from ddsp_zoo.measuring.pitch import pitch_scores, score_names, summarise_pitch
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.models import Separator
from ddsp_zoo.pitch.crepe import RATE, track_f0
from ddsp_zoo.reports.tables import render_text
from ddsp_zoo.settings.build import build


def scored(model: Separator, path: Path, seconds: float) -> Row:
    """Returns the scores of a recording, or of its beginning."""
    audio = read_mono(path, RATE, 0, seconds)
    result = model.separate(audio, RATE)
    (source,) = result.controls
    found = result.controls[source]["f0_hz"]
    truth = track_f0(audio, round(RATE / result.control_rate_hz))
    count = min(len(found), len(truth))
    row, _ = pitch_scores(truth[None, :count], found[None, :count], (source,))
    return row


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="a name of `ddsp-zoo list`")
    which.add_argument("--checkpoint", help="a checkpoint folder or .ckpt file")
    which.add_argument(
        "--recipe", type=Path, help="a recipe instead, whose model has learned nothing (seed 0)"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of each file that are heard")
    options = parser.parse_args()
    if options.recipe:
        torch.manual_seed(0)
        model = build(yaml.safe_load(options.recipe.read_text(encoding="utf-8"))["model"], Separator)
    else:
        model = ddsp_zoo.load(options.model or "own", checkpoint=options.checkpoint)
    rows = {path.stem: scored(model, path, options.seconds) for path in options.files}
    (total,) = summarise_pitch(list(rows.values()))
    names = score_names(total)
    lines = [[name, *(f"{row[n]:.3f}" for n in names)] for name, row in (rows | {"all": total}).items()]
    print(render_text([["recording", *names], *lines]))


if __name__ == "__main__":
    main()
