"""The stand-in for Lightning's module keeps the settings that Lightning keeps."""

import json
import os
import subprocess
import sys

import pytest

SHOW = """
import json
from ddsp_zoo import zoo
from ddsp_zoo.settings.build import plain
model = zoo.load(%r)
print(json.dumps({name: plain(value) for name, value in model.hparams.items() if not name.startswith("_")}))
bases = {kind.__name__ for kind in type(model).__mro__}
print(*bases & {"InferenceModule", "LightningModule"}, model.device)
"""


@pytest.mark.parametrize("name", ["umss_4v", "exE7", "exB4", "ast_ddsp_all_8k", "ddsp_autoencoder_voice"])
def test_settings_are_those_that_lightning_keeps(name):
    said = []
    for inference in ("0", "1"):
        environment = os.environ | {"DDSP_ZOO_INFERENCE": inference}
        said.append(
            subprocess.check_output(
                [sys.executable, "-c", SHOW % name], env=environment, text=True
            ).splitlines()
        )
    (kept, _), (own, base) = said
    assert json.loads(own) == json.loads(kept) and json.loads(own)
    assert base == "InferenceModule cpu"
