"""f0 of single voices by CREPE (Kim et al. 2018), through torchcrepe."""

import numpy as np
import torch

from ddsp_zoo._compat import import_torchaudio

CREPE_LOWEST_HZ, CREPE_HIGHEST_HZ = 32.7, 2000.0  # below C1 the network has no bins
RATE = 16000
WINDOW = 1024  # samples that the network hears a frame
SILENCE = 1e-4  # -80 dB; CREPE levels each frame and would hear pitch in a resampler's rounding errors


def track_f0(
    audio: np.ndarray, hop_samples: int, threshold: float = 0.4, model: str = "tiny", batch: int = 512
) -> np.ndarray:
    """Returns f0_hz (ceil(T / hop),) of monophonic audio (T,) at 16 kHz, 0 where unvoiced.

    A frame is voiced where CREPE's confidence reaches ``threshold`` (0.4 in thesis eq. 5.7) and its peak
    reaches -80 dB. Each frame's f0 is the weighted mean around its strongest bin. ``model`` is "tiny" or
    "full".
    """
    import_torchaudio()
    import torchcrepe

    count = -(-len(audio) // hop_samples)
    f0, confidence = torchcrepe.predict(
        torch.as_tensor(audio, dtype=torch.float32)[None],
        RATE,
        hop_samples,
        CREPE_LOWEST_HZ,
        CREPE_HIGHEST_HZ,
        model,
        decoder=torchcrepe.decode.weighted_argmax,
        return_periodicity=True,
        batch_size=batch,
    )
    f0, confidence = f0[0, :count].numpy(), confidence[0, :count].numpy()
    padded = np.pad(np.abs(audio), WINDOW // 2)
    peak = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop_samples].max(1)[:count]
    return np.where((confidence >= threshold) & (peak >= SILENCE), f0, 0).astype(np.float32)
