"""The transformer of AST-DDSP: all controls of a clip from one token (Gabrielli 2024, and the author's code)."""

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.mel import LOWEST_MEL_HZ, mel_filter_bank
from ddsp_zoo.networks.pretrained_ast import load_pretrained
from ddsp_zoo.networks.spectrogram_transformer import SpectrogramTransformer

DROPOUT = 0.1
IMAGENET_CLASSES = 1000


class ClipMel(nn.Module):
    """Computes the mel spectrogram of a whole clip, with a frame at each end.

    Its values are standardised logarithms, or the power itself without ``log``. Power is measured with a window
    of unit energy, as torchaudio does with ``normalized``.
    """

    def __init__(self, sample_rate: int, n_fft: int, hop: int, mels: int, log: bool = True) -> None:
        super().__init__()
        nyquist_hz = sample_rate / 2
        filters = mel_filter_bank(LOWEST_MEL_HZ, nyquist_hz, mels, n_fft // 2 + 1, nyquist_hz).float().T
        window = torch.hann_window(n_fft)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.n_fft, self.hop, self.log = n_fft, hop, log

    def forward(self, audio: Tensor) -> Tensor:
        """Returns the mel spectrogram (B, 1 + T // hop, mels) of audio (B, T)."""
        spectrum = torch.stft(audio, self.n_fft, self.hop, window=self.window, return_complex=True)
        mel = spectrum.abs().square().transpose(1, 2) @ self.filters
        if not self.log:
            return mel
        mel = mel.clamp(min=1e-7).log()
        variance, mean = torch.var_mean(mel, dim=(1, 2), keepdim=True, correction=0)
        return (mel - mean) / torch.sqrt(variance + 1e-4)


class ClipAST(nn.Module):
    """Predicts all numbers that describe a clip: a linear layer on the mean of an AST's two special tokens.

    Args:
        mels: bands of the spectrogram.
        frames: frames of the spectrogram.
        outputs: numbers that describe the clip.
        width: size of a token.
        depth: layers.
        heads: heads of the attention.
        stride: distance of the patches in bands and in frames.
        idle_heads: carry two classifiers of ImageNet's classes along, which nothing reads.
    """

    def __init__(
        self,
        mels: int,
        frames: int,
        outputs: int,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        stride: int = 10,
        idle_heads: bool = False,
    ) -> None:
        super().__init__()
        self.transformer = SpectrogramTransformer(mels, frames, width, depth, heads, stride, stride)
        self.rows, self.columns = self.transformer.rows, self.transformer.columns
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(DROPOUT), nn.Linear(width, outputs))
        if idle_heads:
            self.idle = nn.ModuleList(nn.Linear(width, IMAGENET_CLASSES) for _ in range(2))
            self.idle.requires_grad_(False)

    def forward(self, mel: Tensor) -> Tensor:
        """Returns the numbers (B, outputs) of a mel spectrogram (B, frames, mels)."""
        return self.head(self.transformer(mel)[:, :2].mean(1))

    def load_pretrained(self, name: str, swapped: bool = False) -> None:
        """Takes over the weights of a published transformer, see `pretrained_ast.load_pretrained`.

        With ``swapped`` the positions are cut from the middle of its grid as if rows were columns, and then
        given to the tokens in that order: neighbours in frequency get the positions of neighbours in time.
        """
        if swapped:
            load_pretrained(self.transformer, name, self.columns, self.rows, cut=True)
        else:
            load_pretrained(self.transformer, name, self.rows, self.columns)
