"""The zoo: from names to models.

A checkpoint is a folder of plain data: `model.safetensors` (float16), `config.yaml` (`class_path` and `init_args`),
`card.md` and `metrics.json`. `manifest` knows the released ones, `finding` their folders, `checkpoint` the format,
`loading` makes models of them. Importing this loads neither torch nor anything big.
"""

from ddsp_zoo.zoo.checkpoint import save_checkpoint
from ddsp_zoo.zoo.finding import find, info
from ddsp_zoo.zoo.loading import copy_weights, load
from ddsp_zoo.zoo.manifest import list_models, refresh_manifest

__all__ = ["copy_weights", "find", "info", "list_models", "load", "refresh_manifest", "save_checkpoint"]
