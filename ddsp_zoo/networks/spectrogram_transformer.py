"""The Audio Spectrogram Transformer (AST; Gong et al. 2021), which reads a spectrogram as a sequence of patches.

Its weights are called as those of `transformers.ASTModel`, so that published ones fit; that library is needed for
loading them alone.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from ddsp_zoo.errors import DdspZooError

PATCH = 16  # of every AST: 16 frames by 16 mel bands
NORM_EPS = 1e-6  # of the published weights' own code
START_STD = 0.02


class SpectrogramTransformer(nn.Module):
    """Encodes spectrograms as a token for each patch, behind two special tokens that hear the whole.

    Unlike in the published code its positions and special tokens are random at the start too: with zeros it would not
    react to its input at first.

    Args:
        mels: bands of the spectrogram.
        frames: frames of the spectrogram.
        width: of a token.
        depth: layers.
        heads: of the attention; a divisor of ``width``.
        frequency_stride: bands from one patch to the next.
        time_stride: frames from one patch to the next.

    Raises:
        DdspZooError: for an input smaller than a patch and for a width that is no multiple of ``heads``.
    """

    def __init__(
        self, mels: int, frames: int, width: int, depth: int, heads: int, frequency_stride: int, time_stride: int
    ) -> None:
        super().__init__()
        if min(mels, frames) < PATCH or width % heads:
            raise DdspZooError(
                f"A spectrogram transformer needs at least {PATCH} frames by {PATCH} mel bands and a width that is a "
                f"multiple of its heads; got {frames} by {mels}, width {width} and {heads} heads."
            )
        self.rows = (mels - PATCH) // frequency_stride + 1
        self.columns = (frames - PATCH) // time_stride + 1
        self.width, self.depth, self.heads = width, depth, heads
        self.embeddings = Embeddings(width, self.rows * self.columns, (frequency_stride, time_stride))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.layernorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.apply(_start)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Returns tokens (B, 2 + rows x columns, W) of a spectrogram (B, frames, mels), the two special ones first."""
        hidden = self.embeddings(spectrogram)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.layernorm(hidden)


class Embeddings(nn.Module):
    """Turns patches into tokens, adds their positions and puts the two special tokens before them."""

    def __init__(self, width: int, patches: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, patches + 2, width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(1, width, PATCH, strides)})

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Returns tokens (B, 2 + patches, W) of a spectrogram (B, frames, mels)."""
        patches = self.patch_embeddings["projection"](spectrogram[:, None].transpose(2, 3)).flatten(2).transpose(1, 2)
        special = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(patches), -1, -1)
        return torch.cat([special, patches], dim=1) + self.position_embeddings


class Attention(nn.Module):
    """Lets every token hear all others (multi-head self-attention)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens (B, N, W) like the given ones."""
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.o_proj(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Feedforward(nn.Module):
    """Transforms every token by itself, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens (B, N, W) like the given ones."""
        return self.fc2(gelu(self.fc1(tokens)))


class Layer(nn.Module):
    """Attends and transforms, each after a norm and beside a direct path."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.layernorm_before = nn.LayerNorm(width, eps=NORM_EPS)
        self.layernorm_after = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Feedforward(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens (B, N, W) like the given ones."""
        tokens = tokens + self.attention(self.layernorm_before(tokens))
        return tokens + self.mlp(self.layernorm_after(tokens))


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.normal_(module.weight, std=START_STD)
        nn.init.zeros_(module.bias)
    elif isinstance(module, Embeddings):
        for weights in (module.cls_token, module.distillation_token, module.position_embeddings):
            nn.init.trunc_normal_(weights, std=START_STD)
