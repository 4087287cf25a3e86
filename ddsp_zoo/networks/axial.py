"""A U-Net over bands and frames, with attention along time and along bands in turn at its coarsest step.

Attention along one axis at a time follows Ho et al. 2019 and, for music, Lu et al. 2023 (band-split transformers).
Positions are rotations (Su et al. 2021), so the network takes segments of any length.
"""

import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.conv_blocks import Down, Up

STRIDES = ((2, 2), (2, 2), (1, 2))  # in frames and bands, of the three steps down
BANDS_STRIDE, FRAMES_STRIDE = 8, 4
ROTATIONS = 1000.0  # longest period of a rotation, in cells


class AxialUNet(nn.Module):
    """Turns pictures of sound into feature maps of the same size.

    Convolutions go from the full grid of bands and frames to cells of 8 bands by 4 frames and back. Each band has a
    learned vector that tells the filters where they are: the same shape is a bass in one band and a cymbal in another.

    Args:
        channels_in: number of pictures.
        channels_out: number of feature maps.
        bands: bands of the pictures, a multiple of 8.
        widths: channels of the convolutions at the full grid, a half, a quarter and an eighth of the bands.
        width: size of a cell of the transformer.
        depth: layers of the transformer, an even number: along time and along bands in turn.
        heads: heads of its attention.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        bands: int,
        widths: tuple[int, int, int, int],
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        if not bands or bands % BANDS_STRIDE or len(widths) != 4 or width % (2 * heads) or depth % 2:
            raise DdspZooError(
                f"The network needs a multiple of {BANDS_STRIDE} bands, four widths, an even width for each head and "
                f"an even depth; got {bands} bands, widths {widths}, width {width}, {heads} heads and depth {depth}."
            )
        self.stem = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.place = nn.Parameter(torch.randn(widths[0], 1, bands) * 0.02)
        steps = list(zip(widths, widths[1:], STRIDES, strict=False))
        self.down = nn.ModuleList(Down(*step) for step in steps)
        self.enter = nn.Conv2d(widths[-1], width, 1)
        self.cell_place = nn.Parameter(torch.randn(width, 1, bands // BANDS_STRIDE) * 0.02)
        self.layers = nn.ModuleList(_Layer(width, heads, along) for along in ("time", "bands") * (depth // 2))
        self.leave = nn.Conv2d(width, widths[-1], 1)
        self.up = nn.ModuleList(Up(*step) for step in reversed(steps))
        self.head = nn.Conv2d(widths[0], channels_out, 1)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns feature maps (B, channels, N, K) of pictures (B, C, N, K), for any number of frames N."""
        frames = pictures.shape[2]
        padded = nn.functional.pad(pictures, (0, 0, 0, -frames % FRAMES_STRIDE))
        maps = [self.stem(padded.contiguous(memory_format=torch.channels_last)) + self.place]
        for down in self.down:
            maps.append(down(maps[-1]))
        cells = (self.enter(maps[-1]) + self.cell_place).permute(0, 2, 3, 1)  # (B, n, k, width)
        for layer in self.layers:
            cells = layer(cells)
        out = maps.pop() + self.leave(cells.permute(0, 3, 1, 2))
        for up in self.up:
            out = up(out, maps.pop())
        return self.head(out)[:, :, :frames]


class _Layer(nn.Module):
    """Adds attention along one axis, then a gated perceptron, to cells (B, n, k, width)."""

    def __init__(self, width: int, heads: int, along: str) -> None:
        super().__init__()
        self.heads, self.along = heads, along
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ask = nn.Linear(width, 3 * width, bias=False)
        self.answer = nn.Linear(width, width, bias=False)
        inner = width * 8 // 3 // 16 * 16
        self.widen = nn.Linear(width, 2 * inner)
        self.narrow = nn.Linear(inner, width)
        for last in (self.answer, self.narrow):
            nn.init.normal_(last.weight, std=0.01)

    def forward(self, cells: Tensor) -> Tensor:
        cells = cells + self._attention(self.norms[0](cells))
        value, gate = self.widen(self.norms[1](cells)).chunk(2, dim=-1)
        return cells + self.narrow(value * nn.functional.silu(gate))

    def _attention(self, cells: Tensor) -> Tensor:
        """Returns what cells (B, n, k, width) hear along the axis, of the same shape."""
        rows = cells.transpose(1, 2) if self.along == "time" else cells
        asked = self.ask(rows).unflatten(-1, (3, self.heads, -1))  # (B, rows, L, 3, heads, w)
        query, key, value = asked.permute(3, 0, 1, 4, 2, 5).flatten(1, 2)  # (B * rows, heads, L, w) each
        query, key = rotated(query), rotated(key)
        heard = nn.functional.scaled_dot_product_attention(query, key, value.to(query.dtype))
        heard = self.answer(heard.transpose(1, 2).flatten(-2)).unflatten(0, rows.shape[:2])
        return heard.transpose(1, 2) if self.along == "time" else heard


def rotated(vectors: Tensor) -> Tensor:
    """Rotates each of the vectors (..., L, w) by its place: products then depend on distances (Su et al. 2021)."""
    length, half = vectors.shape[-2], vectors.shape[-1] // 2
    speed = ROTATIONS ** (-torch.arange(half, device=vectors.device) / half)
    angle = torch.arange(length, device=vectors.device)[:, None] * speed
    sine, cosine = angle.sin().to(vectors.dtype), angle.cos().to(vectors.dtype)
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
