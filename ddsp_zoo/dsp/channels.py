"""One channel that holds what is heard in any of several."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_computing
from ddsp_zoo.dsp.stft import istft, stft

N_FFT, HOP = 2048, 512
FAINT = 1e-20  # power that is none


def one_channel(audio: Tensor) -> Tensor:
    """Returns audio (..., T) with the mean power of all channels of (..., C, T) at every time and frequency.

    The mean of the channels would lose what is in them with opposite signs: a guitar that is turned upside down on one
    side, or everything where a cable was wired the wrong way round. So a channel is turned wherever it opposes the
    louder one, and their sum, which gives the phase, is brought to the mean power. Channels that agree give themselves.
    What is not finite spreads over the frames that hear it. Raises `DdspZooError` for shapes or types that do not fit.
    """
    check_computing("The sum of channels", audio)
    check(
        audio.ndim > 1 and 0 not in audio.shape[:-1],
        f"Channels are audio (..., C, T) that is not empty; got {tuple(audio.shape)}.",
    )
    first = audio[..., 0, :]
    if (
        audio.shape[-2] == 1
        or not audio.shape[-1]
        or torch.equal(audio, first[..., None, :].expand_as(audio))
    ):
        return first
    spectra = stft(audio, N_FFT, HOP)
    loudest = audio.square().sum(-1, keepdim=True).argmax(-2, keepdim=True)[..., None]
    reference = spectra.take_along_dim(loudest, dim=-3)
    agree = (spectra * reference.conj()).real >= 0
    together = torch.where(agree, spectra, -spectra).sum(-3)
    power = (spectra.real.square() + spectra.imag.square()).mean(-3)
    scale = (power / (together.real.square() + together.imag.square() + FAINT)).sqrt()
    return istft(together * scale, N_FFT, HOP, audio.shape[-1])
