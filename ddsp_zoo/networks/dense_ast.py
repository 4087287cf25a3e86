"""A spectrogram transformer with an output for every band and frame (Gong et al. 2021; Ranftl et al. 2021)."""

import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.conv_blocks import ConvBlock, Down, Up
from ddsp_zoo.networks.pretrained_ast import load_pretrained
from ddsp_zoo.networks.spectrogram_transformer import PATCH, SpectrogramTransformer

STRIDE = 8  # of patches, and of the coarsest convolutions: a token stands for one cell of theirs
MARGIN = (PATCH - STRIDE) // 2


class DenseAST(nn.Module):
    """Turns pictures of sound into feature maps of the same size.

    Convolutions go from the full grid of bands and frames to cells of 8 x 8 and back (a U-Net), so that the
    same filters judge every band. At the coarsest step each cell is joined with the token of an Audio
    Spectrogram Transformer that has the same centre and has seen the whole segment.

    Args:
        channels_in: number of pictures.
        channels_out: number of feature maps.
        bands: bands of the pictures, a multiple of 8.
        frames: longest segment; the transformer's positions are made for it.
        widths: channels of the convolutions at the full grid, a half, a quarter and an eighth.
        width: size of a token.
        depth: layers of the transformer.
        heads: heads of its attention.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        bands: int,
        frames: int,
        widths: tuple[int, int, int, int],
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        if not bands or bands % STRIDE or len(widths) != 4:
            raise DdspZooError(
                f"The network needs a multiple of {STRIDE} bands and four widths; got {bands} bands, widths {widths}."
            )
        self.rows, self.columns = bands // STRIDE, -(-frames // STRIDE)
        self.transformer = SpectrogramTransformer(
            bands + 2 * MARGIN, self.columns * STRIDE + 2 * MARGIN, width, depth, heads, STRIDE, STRIDE
        )
        self.stem = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Down(*pair) for pair in zip(widths, widths[1:]))
        self.join = nn.Conv2d(widths[-1] + width, widths[-1], 1)
        self.bottom = ConvBlock(widths[-1])
        self.up = nn.ModuleList(Up(*pair) for pair in reversed(list(zip(widths, widths[1:]))))
        self.head = nn.Conv2d(widths[0], channels_out, 1)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns feature maps (B, channels, N, K) of pictures (B, C, N, K).

        The transformer reads only the first picture. Raises `DdspZooError` for more frames than the positions
        are made for.
        """
        frames = pictures.shape[2]
        if frames > self.columns * STRIDE:
            raise DdspZooError(
                f"The transformer is made for {self.columns * STRIDE} frames, got {frames}; "
                "`separate` takes any length."
            )
        padded = nn.functional.pad(pictures, (0, 0, 0, self.columns * STRIDE - frames))
        maps = [self.stem(padded.contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            maps.append(down(maps[-1]))
        context = self._tokens(padded[:, 0])
        out = self.bottom(self.join(torch.cat([maps.pop(), context], dim=1)))
        for up in self.up:
            out = up(out, maps.pop())
        return self.head(out)[:, :, :frames]

    def load_pretrained(self, name: str) -> None:
        """Takes over the weights of a published transformer, see `pretrained_ast.load_pretrained`."""
        load_pretrained(self.transformer, name, self.rows, self.columns)

    def with_rows(self, positions: Tensor) -> Tensor:
        """Returns the positions of a network of fewer bands (1, L, width) for this one: the highest row is repeated."""
        special, grid = positions[:, :2], positions[:, 2:].unflatten(1, (-1, self.columns))
        missing = max(self.rows - grid.shape[1], 0)
        grid = torch.cat([grid, grid[:, -1:].expand(-1, missing, -1, -1)], dim=1)
        return torch.cat([special, grid.flatten(1, 2)], dim=1)

    def _tokens(self, picture: Tensor) -> Tensor:
        """Returns tokens (B, width, N / 8, K / 8) of a picture (B, N, K), each at the centre of its patch."""
        patches = nn.functional.pad(picture, (MARGIN, MARGIN, MARGIN, MARGIN))
        tokens = self.transformer(patches)[:, 2:]  # without the two special tokens
        return tokens.transpose(1, 2).unflatten(2, (self.rows, self.columns)).transpose(2, 3)
