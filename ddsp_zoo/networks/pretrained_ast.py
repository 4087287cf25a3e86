"""The Audio Spectrogram Transformer of `transformers`: how it is made, pickled and given published weights."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.errors import DdspZooError

if TYPE_CHECKING:
    from transformers import ASTModel

PATCH = 16  # of every AST: 16 frames by 16 mel bands
NORM_EPS = 1e-6  # of the published weights' own code
START_STD = 0.02


def make_transformer(
    mels: int, frames: int, width: int, depth: int, heads: int, frequency_stride: int, time_stride: int
) -> "ASTModel":
    """Makes a randomly initialised transformer that takes spectrograms (B, frames, mels).

    Unlike in `transformers` its positions and special tokens are random at the start too: with zeros it would
    not react to its input at first. Raises `DdspZooError` for an input smaller than a patch, and for a width
    that is no multiple of ``heads``.
    """
    if min(mels, frames) < PATCH or width % heads:
        raise DdspZooError(
            f"A spectrogram transformer needs at least {PATCH} frames by {PATCH} mel bands and a width that is a "
            f"multiple of its heads; got {frames} by {mels}, width {width} and {heads} heads."
        )
    import_torchaudio()  # transformers imports it too, and must find it mended
    from transformers import ASTConfig, ASTModel

    transformer = ASTModel(
        ASTConfig(
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            num_mel_bins=mels,
            max_length=frames,
            frequency_stride=frequency_stride,
            time_stride=time_stride,
            patch_size=PATCH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=NORM_EPS,
        )
    )
    for name in ("cls_token", "distillation_token", "position_embeddings"):
        nn.init.trunc_normal_(getattr(transformer.embeddings, name), std=START_STD)
    return transformer


class HoldsTransformer(nn.Module):
    """Holds a transformer of `transformers` and can still be pickled for spawned processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled so that the import is mended before the transformer is read."""
        return _blank, (type(self),), self.__dict__


def _blank(kind: type[nn.Module]) -> nn.Module:
    import_torchaudio()
    return kind.__new__(kind)


def load_pretrained(transformer: "ASTModel", name: str, rows: int, columns: int, cut: bool = False) -> None:
    """Gives a transformer the weights of another one, named by hub name or folder.

    The tokens of ``transformer`` form a grid of ``rows`` (frequency) by ``columns`` (time). The position
    embeddings of the other one are resampled to this grid; with ``cut`` their middle part is taken where there
    are enough, as Gong et al. 2021 do. Raises `DdspZooError` for weights that cannot be loaded and for a
    transformer of another size.
    """
    import_torchaudio()
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


def _check_size(name: str, source: "ASTModel", transformer: "ASTModel") -> None:
    old, new = source.config, transformer.config
    for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size"):
        if getattr(old, field) != getattr(new, field):
            raise DdspZooError(
                f"{name} has {field} = {getattr(old, field)}, this model {getattr(new, field)}: "
                "set width, depth and heads to those of the pretrained transformer."
            )
