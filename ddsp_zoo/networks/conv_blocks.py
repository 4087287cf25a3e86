"""The parts of U-Nets over bands and frames: blocks of convolutions, and the steps between their grids."""

from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Adds the output of two convolutions to the signal."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(1, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(1, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        nn.init.zeros_(self.inner[-1].weight)
        nn.init.zeros_(self.inner[-1].bias)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.inner(maps)


class Down(nn.Module):
    """Goes to a coarser grid."""

    def __init__(self, fine: int, coarse: int, stride: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        self.halve = nn.Conv2d(fine, coarse, stride, stride=stride)
        self.block = ConvBlock(coarse)

    def forward(self, maps: Tensor) -> Tensor:
        return self.block(self.halve(maps))


class Up(nn.Module):
    """Goes back to a finer grid and adds the maps that it had on the way down."""

    def __init__(self, fine: int, coarse: int, stride: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(coarse, fine, stride, stride=stride)
        self.block = ConvBlock(fine)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        return self.block(self.enlarge(maps) + skip)
