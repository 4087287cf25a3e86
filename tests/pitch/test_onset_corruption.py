"""Mixtures as pickups and amplifiers give them."""

import torch

from ddsp_zoo.pitch.onset_corruption import amplified


def test_amplified_mixtures_keep_their_level_within_reason_and_differ():
    mixture = 0.1 * torch.sin(torch.arange(16000) * 0.1).repeat(64, 1)
    out = amplified(mixture, torch.Generator().manual_seed(0))
    assert out.shape == mixture.shape and out.isfinite().all()
    assert torch.equal(out, amplified(mixture, torch.Generator().manual_seed(0)))
    same = (out == mixture).all(-1).float().mean()
    assert 0.1 < same < 0.6
    change_db = 10 * torch.log10(out.square().mean(-1) / mixture.square().mean(-1))
    assert change_db.abs().max() < 24
    overtones = torch.fft.rfft(out * torch.hann_window(16000)).abs()
    third = overtones[:, 3 * 255 - 3 : 3 * 255 + 3].amax(-1) / overtones.amax(-1)
    assert 0.05 < (third > 0.05).float().mean() < 0.4  # those that are overdriven


def test_silence_stays_silent():
    assert not amplified(torch.zeros(8, 1000), torch.Generator().manual_seed(1)).any()
