"""Short-time Fourier transform and its inverse, with one convention for the whole package.

It has a periodic Hann window, frame ``n`` centred at sample ``n * hop``, and zeros beyond both ends.
"""

import torch
from torch import Tensor


def stft(audio: Tensor, n_fft: int, hop: int, window: Tensor | None = None) -> Tensor:
    """Returns the complex spectrogram (..., F, N) of real audio (..., T), F = n_fft // 2 + 1, N = ceil(T / hop) + 1.

    ``window`` (n_fft,) replaces the Hann window. Zeros instead of a mirrored signal beyond the ends allow any
    length, even one below a frame. The end is completed to a whole hop, so that every sample lies well inside
    some window and ``istft`` is exact.
    """
    rows = audio.reshape(-1, audio.shape[-1])
    rows = torch.nn.functional.pad(rows, (0, -audio.shape[-1] % hop))
    if window is None:
        window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    spec = torch.stft(rows, n_fft, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    return spec.unflatten(0, audio.shape[:-1]) if audio.ndim > 1 else spec[0]


def istft(spec: Tensor, n_fft: int, hop: int, length: int) -> Tensor:
    """Returns the real audio (..., length) whose ``stft`` is nearest to ``spec`` (..., F, N).

    ``hop`` is at most ``n_fft // 2`` and ``length`` at most ``(N - 1) * hop``.
    """
    rows = spec.reshape(-1, *spec.shape[-2:])
    window = torch.hann_window(n_fft, dtype=spec.real.dtype, device=spec.device)
    audio = torch.istft(rows, n_fft, hop, window=window, center=True, length=length)
    return audio.reshape(*spec.shape[:-2], length)
