"""Audio Spectrogram Transformer that predicts controls for every frame (AST-DDSP, section 3)."""

from typing import Any

import torch
from torch import Tensor, nn

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.errors import DdspZooError

PATCH = 16


class LogMel(nn.Module):
    """Log-mel spectrogram with one frame every ``hop`` samples, standardised over the example."""

    def __init__(self, sample_rate: int, n_fft: int, hop: int, mels: int) -> None:
        super().__init__()
        filters = import_torchaudio().functional.melscale_fbanks(
            n_fft // 2 + 1, 20.0, sample_rate / 2, mels, sample_rate
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.n_fft, self.hop = n_fft, hop

    def forward(self, audio: Tensor) -> Tensor:
        """(B, T) -> (B, N, mels) with N = T / hop."""
        spectrum = torch.stft(audio, self.n_fft, self.hop, window=self.window, return_complex=True)
        power = spectrum.abs().square()[..., : audio.shape[-1] // self.hop]
        mel = (power.transpose(1, 2) @ self.filters).clamp(min=1e-7).log()
        variance, mean = torch.var_mean(mel, dim=(1, 2), keepdim=True, correction=0)
        return (mel - mean) / torch.sqrt(variance + 1e-4)


class FrameAST(nn.Module):
    """AST whose tokens are pooled over frequency per time column and decoded at the frame rate.

    A column sees two seconds of context but only every ``time_stride``-th frame; it is interpolated to the frame
    rate and joined with the spectrum of the frame and its neighbours, so that the controls keep the spectrogram's
    resolution in time. The weights start random; `load_pretrained` takes another AST's.
    """

    def __init__(
        self, mels: int, frames: int, channels: int, width: int = 192, depth: int = 6, heads: int = 3,
        frequency_stride: int = 16, time_stride: int = 4, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        import_torchaudio()  # transformers imports it too, and must find it mended
        from transformers import ASTConfig, ASTModel

        config = ASTConfig(
            hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=4 * width,
            num_mel_bins=mels, max_length=frames, frequency_stride=frequency_stride, time_stride=time_stride,
            patch_size=PATCH, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        self.frames, self.time_stride = frames, time_stride
        self.rows = (mels - PATCH) // frequency_stride + 1
        self.columns = (frames - PATCH) // time_stride + 1
        self.transformer = ASTModel(config)
        self.from_frame = nn.Sequential(
            nn.Conv1d(mels, width, kernel_size=5, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, kernel_size=5, padding=2),
            nn.GELU(),
        )
        self.refine = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, 2 * width), nn.GELU(), nn.LayerNorm(2 * width)
        )
        self.head = nn.Linear(2 * width, channels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled (for spawned processes) so that the import is mended before the transformer is read."""
        return _blank, (type(self),), self.__dict__

    def forward(self, mel: Tensor) -> Tensor:
        """Standardised log-mel (B, frames, mels) -> raw controls (B, frames, channels)."""
        tokens = self.transformer(mel).last_hidden_state[:, 2:]  # without the two special tokens
        context = self._at_frames(tokens.unflatten(1, (self.rows, self.columns)).mean(1))
        local = self.from_frame(mel.transpose(1, 2)).transpose(1, 2)
        return self.head(self.refine(torch.cat([context, local], dim=-1)))

    def _at_frames(self, columns: Tensor) -> Tensor:
        """Interpolate (B, columns, width) at the frames, each column standing at the middle of its patch."""
        frame = torch.arange(self.frames, device=columns.device, dtype=columns.dtype)
        position = ((frame - (PATCH - 1) / 2) / self.time_stride).clamp(0, self.columns - 1)
        left = position.floor().long().clamp(max=max(self.columns - 2, 0))
        right = (left + 1).clamp(max=self.columns - 1)
        return torch.lerp(columns[:, left], columns[:, right], (position - left)[:, None])

    def load_pretrained(self, name: str) -> None:
        """Take the transformer's weights from a `transformers` AST, by hub name or folder.

        Its grid of position embeddings is resampled to this input's. Width, depth and heads must agree, else
        `DdspZooError`.
        """
        from transformers import ASTModel

        try:
            source = ASTModel.from_pretrained(name)
        except OSError as error:
            raise DdspZooError(f"The pretrained transformer {name!r} cannot be loaded: {error}") from error
        old, new = source.config, self.transformer.config
        for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size"):
            if getattr(old, field) != getattr(new, field):
                raise DdspZooError(
                    f"{name} has {field} = {getattr(old, field)}, this model {getattr(new, field)}: "
                    "set width, depth and heads to those of the pretrained transformer."
                )
        state = source.state_dict()
        position = "embeddings.position_embeddings"
        rows = (old.num_mel_bins - old.patch_size) // old.frequency_stride + 1
        special, grid = state[position][:, :2], state[position][:, 2:]
        grid = grid.transpose(1, 2).unflatten(2, (rows, -1))
        grid = nn.functional.interpolate(grid, size=(self.rows, self.columns), mode="bilinear")
        state[position] = torch.cat([special, grid.flatten(2).transpose(1, 2)], dim=1)
        self.transformer.load_state_dict(state)


def _blank(kind: type[FrameAST]) -> FrameAST:
    import_torchaudio()
    return kind.__new__(kind)
