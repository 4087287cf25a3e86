"""What each quirk of the published strings costs: `python benchmarks/string_quirks.py FOLDER`.

Measures experiment B0, whose network predicts nothing, so that nothing has to be trained: as published, then with one
quirk less at a time, down to the plain form. Prints the mean SI-SDR of its masked strings on the test split of
recipes/data/recorded_strings.yaml; FOLDER keeps every window. About half a minute a row on one core.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo.corpora import make
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.models import Separator
from ddsp_zoo.reports import evaluation
from ddsp_zoo.settings.build import build

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
EXCERPT_SECONDS = 2.0
STEPS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {  # quirks that go, and other options that change
    "as_published": ((), {}),
    "rings_on": (("rings_on",), {}),
    "early_onsets": (("early_onsets",), {}),
    "chunk_seconds": (("carried_state", "shared_level"), {"chunk_seconds": 0.0}),
    "tuning": (("tuning", "held_controls"), {"high_pass_hz": 0.0}),
    "filters_sum": (("filters_sum", "one_burst", "raw_noise"), {}),
    "plain": ((), {"constants": None}),
}


def forms() -> Iterator[tuple[str, Separator]]:
    """Yields each form by the name of what it no longer has."""
    section = yaml.safe_load((RECIPES / "as_published/exB0.yaml").read_text(encoding="utf-8"))["model"]
    quirks, options = list(section["init_args"]["quirks"]), {"burst_seed": 0}
    for name, (gone, changed) in STEPS.items():
        quirks, options = [quirk for quirk in quirks if quirk not in gone], options | changed
        model = build(section, Separator, **options, quirks=quirks)
        model.segment_samples = round(EXCERPT_SECONDS * model.sample_rate)
        yield name, model


def main() -> None:
    """Measures and prints one row a form."""
    data = make(str(RECIPES / "data/recorded_strings.yaml"))
    for name, model in forms():
        out = Path(sys.argv[1]) / name
        options = {"parts": ("model",), "seeds": range(1), "metrics": (SI_SDR,), "progress": False}
        results = evaluation.run(model, data, out, name=name, overwrite=True, **options)["results"]
        means = {row["system"]: row["mean"] for row in results if row["source"] == "all"}
        print(f"{name:15} power 2: {means['masked_power']:6.2f}  power 1: {means['masked']:6.2f}", flush=True)


if __name__ == "__main__":
    main()
