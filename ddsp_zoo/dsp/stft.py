"""Short-time Fourier transform and its inverse, with one convention for the whole package.

It has a periodic Hann window, frame ``n`` centred at sample ``n * hop``, and zeros beyond both ends.
"""

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_computing, check_shape


def stft(audio: Tensor, n_fft: int, hop: int, window: Tensor | None = None) -> Tensor:
    """Returns the complex spectrogram (..., F, N) of real audio (..., T), F = n_fft // 2 + 1, N = ceil(T / hop) + 1.

    ``window`` (n_fft,) replaces the Hann window. Zeros instead of a mirrored signal beyond the ends allow any
    length, even one below a frame. The end is completed to a whole hop, so that every sample lies well inside
    some window and ``istft`` is exact. What is not finite spreads over the frames whose windows reach it. Raises
    `DdspZooError` for audio that is empty or neither float32 nor float64, and for windows that do not fit.
    """
    check_computing("A short-time Fourier transform", audio, window)
    check(
        audio.ndim > 0 and audio.numel() > 0 and n_fft >= 1 and hop >= 1,
        f"A short-time Fourier transform needs audio (..., T) that is not empty, and at least one sample in a frame "
        f"and in a hop; got {tuple(audio.shape)}, {n_fft} and {hop}.",
    )
    check_shape("The window of a short-time Fourier transform", window, (n_fft,))
    rows = audio.reshape(-1, audio.shape[-1])
    rows = torch.nn.functional.pad(rows, (0, -audio.shape[-1] % hop))
    if window is None:
        window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    spec = torch.stft(rows, n_fft, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    return spec.unflatten(0, audio.shape[:-1]) if audio.ndim > 1 else spec[0]


def istft(spec: Tensor, n_fft: int, hop: int, length: int) -> Tensor:
    """Returns the real audio (..., length) whose ``stft`` is nearest to ``spec`` (..., F, N).

    ``hop`` is at most ``n_fft // 2`` and ``length``, at least 1, at most ``(N - 1) * hop``. Raises `DdspZooError`
    for others, and for a spectrogram that is empty or not complex.
    """
    bins = n_fft // 2 + 1
    check(
        spec.dtype in (torch.complex64, torch.complex128)
        and spec.ndim > 1
        and spec.shape[-2] == bins
        and 0 not in spec.shape,
        f"An inverse transform with {n_fft} samples in a frame needs a complex spectrogram (..., {bins}, N) that is "
        f"not empty; got {tuple(spec.shape)} of {spec.dtype}.",
    )
    longest = (spec.shape[-1] - 1) * hop
    check(
        1 <= hop <= n_fft // 2 and 1 <= length <= longest,
        f"An inverse transform needs a hop between 1 and {n_fft // 2} samples and a length between 1 and {longest}; "
        f"got {hop} and {length}.",
    )
    rows = spec.reshape(-1, *spec.shape[-2:])
    window = torch.hann_window(n_fft, dtype=spec.real.dtype, device=spec.device)
    audio = torch.istft(rows, n_fft, hop, window=window, center=True, length=length)
    return audio.reshape(*spec.shape[:-2], length)
