"""Gives a spectrogram transformer the published weights of another one."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.spectrogram_transformer import PATCH, SpectrogramTransformer

if TYPE_CHECKING:
    from transformers import ASTModel


def load_pretrained(
    transformer: SpectrogramTransformer, name: str, rows: int, columns: int, cut: bool = False
) -> None:
    """Gives a transformer the weights of a `transformers.ASTModel`, named by hub name or folder.

    The tokens of ``transformer`` form a grid of ``rows`` (frequency) by ``columns`` (time). The position
    embeddings of the other one are resampled to this grid; with ``cut`` their middle part is taken where there
    are enough, as Gong et al. 2021 do. Raises `DdspZooError` for weights that cannot be loaded and for a
    transformer of another size.
    """
    import_torchaudio()  # transformers imports it too, and must find it mended
    from transformers import ASTModel

    try:
        source = ASTModel.from_pretrained(name)
    except OSError as error:
        raise DdspZooError(f"The pretrained transformer {name!r} cannot be loaded: {error}") from error
    _check_size(name, source, transformer)
    state, position = source.state_dict(), "embeddings.position_embeddings"
    special, patches = state[position][:, :2], state[position][:, 2:]
    config = source.config
    height = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    grid = patches.transpose(1, 2).unflatten(2, (height, -1))
    if cut:
        grid = _middle(_middle(grid, 2, rows), 3, columns)
    if grid.shape[2:] != (rows, columns):
        grid = nn.functional.interpolate(grid, size=(rows, columns), mode="bilinear")
    state[position] = torch.cat([special, grid.flatten(2).transpose(1, 2)], dim=1)
    transformer.load_state_dict(state)


def _middle(grid: Tensor, axis: int, size: int) -> Tensor:
    """The middle of an axis, or all of it where it is too short."""
    length = grid.shape[axis]
    return grid if length <= size else grid.narrow(axis, length // 2 - size // 2, size)


def _check_size(name: str, source: "ASTModel", transformer: SpectrogramTransformer) -> None:
    old = source.config
    sizes = {
        "hidden_size": transformer.width,
        "num_hidden_layers": transformer.depth,
        "num_attention_heads": transformer.heads,
        "patch_size": PATCH,
    }
    for field, size in sizes.items():
        if getattr(old, field) != size:
            raise DdspZooError(
                f"{name} has {field} = {getattr(old, field)}, this model {size}: "
                "set width, depth and heads to those of the pretrained transformer."
            )
