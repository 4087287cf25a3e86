"""Checkpoints of runs: what is remembered of the best one."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from ddsp_zoo.training.checkpoints import RunCheckpoint


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_whose_folder_was_moved_keeps_its_best(tmp_path: Path, whole: bool) -> None:
    before, after = (
        RunCheckpoint(tmp_path / name / "checkpoints", "best", "validation/loss") for name in ("a", "b")
    )
    path, score = str(tmp_path / "a/checkpoints/best.ckpt"), torch.tensor(-3.0)
    before.best_model_path = before.kth_best_model_path = path
    before.best_model_score = before.kth_value = score
    before.best_k_models = {path: score}
    (tmp_path / "b/checkpoints").mkdir(parents=True)
    moved = tmp_path / "b/checkpoints/best.ckpt"
    if whole:
        moved.touch()
        after.load_state_dict(before.state_dict())
        assert after.best_k_models == {str(moved): score} and after.kth_best_model_path == str(moved)
        assert after.best_model_score == score
    else:  # the best is not here, so the next one is the best
        with pytest.warns(UserWarning, match="dirpath has changed"):
            after.load_state_dict(before.state_dict())
        assert after.best_k_models == {} and after.best_model_score is None


def test_the_state_is_found_in_checkpoints_of_earlier_versions(tmp_path: Path) -> None:
    options = (tmp_path, "best", "validation/loss")
    assert RunCheckpoint(*options).state_key == ModelCheckpoint(*options).state_key
