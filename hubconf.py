"""Entry points for `torch.hub`, one per model: `torch.hub.load(clone, "exB4", source="local")`."""

from ddsp_zoo import zoo as _zoo

dependencies = ["filelock", "lightning", "requests", "safetensors", "torch", "tqdm", "yaml"]


def _entry_point(name: str, summary: str):
    def entry_point(checkpoint: str | None = None):
        return _zoo.load(name, checkpoint=checkpoint)

    entry_point.__name__ = name
    entry_point.__doc__ = f"{summary}\n\ncheckpoint: a folder or .ckpt file to load instead."
    return entry_point


globals().update({name: _entry_point(name, _zoo.info(name)["summary"]) for name in _zoo.list_models()})
