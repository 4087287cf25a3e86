"""A command that only separates starts without what only training needs."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "lightning",
    "transformers",
    "torchmetrics",
    "torch._dynamo",
    "torchaudio",
    "scipy.signal",
    "sklearn",
)
EXAMPLES = Path(__file__).parents[2] / "examples"
RUN = f"""
import sys
from ddsp_zoo.cli import main
status = main()
print(status, *(name for name in {HEAVY} if name in sys.modules))
"""


def run(*arguments: str) -> list[str]:
    """Returns the exit status of a command in its own process, and what heavy it imported."""
    said = subprocess.check_output([sys.executable, "-c", RUN, *arguments], text=True)
    return said.splitlines()[-1].split()


@pytest.mark.parametrize(("song", "model"), [("band", "ast_ddsp_all_8k"), ("choir", "umss_4v --voices 3")])
def test_separating_imports_nothing_that_only_training_needs(tmp_path, song, model):
    separate = ["separate", f"{EXAMPLES}/{song}.flac", "--model", *model.split(), "--out", str(tmp_path)]
    assert run(*separate, "--duration", "2") == ["0"]
    source = "bass" if song == "band" else "voice2"
    edit = ["--edit", str(tmp_path / "edit.yaml")]
    (tmp_path / "edit.yaml").write_text(f"{source}:\n  - gain_db: 6\n", encoding="utf-8")
    assert run("render", str(tmp_path / song), *edit, "--out", str(tmp_path / "again")) == ["0"]


def test_what_a_user_imports_may_be_made_for_training(tmp_path):
    """A module of --import may define learners that call Lightning's methods."""
    (tmp_path / "mine.py").write_text(
        "import lightning\nfrom ddsp_zoo.learning import learner\n"
        "assert issubclass(learner.Learner, lightning.LightningModule)\n"
    )
    arguments = [
        "separate",
        f"{EXAMPLES}/choir.flac",
        "--model",
        "umss_4v",
        "--import",
        "mine",
        "--duration",
        "1",
    ]
    said = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "--out", str(tmp_path / "out")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0 and said.stdout.splitlines()[-1].split()[:2] == ["0", "lightning"]
