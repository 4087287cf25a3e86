"""The conditioned U-Net: size, masks, pitch as condition, and the model around it."""

import pytest
import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models.unet_choir import UNetChoir
from ddsp_zoo.networks.unet import ConditionedUNet, blurred_one_hot

SHORT = {"sources": ("high", "low"), "segment_seconds": 0.512}


def tiny(**settings: object) -> UNetChoir:
    torch.manual_seed(0)
    return UNetChoir(**(SHORT | settings))


def batch_of(*f0_hz: float, samples: int = 8192) -> dict[str, Tensor]:
    time = torch.arange(samples) / 16000
    sources = torch.stack(
        [sum(0.1 * torch.sin(2 * torch.pi * k * f * time) for k in (1, 2, 3)) for f in f0_hz]
    )
    pitch = torch.tensor(f0_hz)[None, :, None].expand(1, -1, samples // 256).contiguous()
    return {"mixture": sources.sum(0)[None], "sources": sources[None], "f0_hz": pitch, "onset": 0 * pitch}


def test_it_has_the_published_size() -> None:
    assert sum(p.numel() for p in ConditionedUNet().parameters()) == 10_319_171


def test_pitch_is_a_blurred_one_hot() -> None:
    pitch = blurred_one_hot(torch.tensor([[0.0, 32.7, 65.4, 20000.0]]))
    assert pitch.shape == (1, 361, 4)
    assert pitch[0].argmax(0).tolist() == [0, 1, 61, 360] and (pitch.amax(1) == 1).all()
    assert pitch[0, 62, 2].item() == pytest.approx(torch.tensor(-0.5).exp().item())
    assert pitch[0, :, 2].count_nonzero() == 9


def test_masks_lie_between_zero_and_one_and_follow_the_pitch() -> None:
    torch.manual_seed(0)
    network = ConditionedUNet().eval()
    magnitude = torch.rand(2, 513, 20) * torch.tensor([1.0, 1e6])[:, None, None]
    with torch.no_grad():
        mask = network(magnitude, torch.full((2, 20), 200.0))
        other = network(magnitude, torch.full((2, 20), 300.0))
        silent = network(0 * magnitude, torch.zeros(2, 20))
    assert mask.shape == magnitude.shape and mask.min() >= 0 and mask.max() <= 1 and silent.isfinite().all()
    assert (mask - other).abs().max() > 1e-4


def test_the_slope_of_the_authors_leaves_a_linear_encoder() -> None:
    assert {layer[2].negative_slope for layer in tiny(as_published_slope=True).network.down} == {1.0}
    assert {layer[2].negative_slope for layer in tiny().network.down} == {0.2}


def test_stems_share_the_mixture_in_every_channel() -> None:
    model, batch = tiny().eval(), batch_of(440, 300)
    with torch.no_grad():
        out = model(batch["mixture"], batch["f0_hz"], batch["onset"])
        stems = model.masked(torch.stack([batch["mixture"], -batch["mixture"]], 1), out)
    assert out.sources.shape == (1, 2, 8192) and stems.shape == (1, 2, 2, 8192)
    torch.testing.assert_close(stems[:, :, 0].sum(1), batch["mixture"], atol=1e-5, rtol=0)
    torch.testing.assert_close(stems[:, :, 1], -stems[:, :, 0], atol=1e-5, rtol=0)
    assert set(model.declared) == {"f0_hz", "onset"}


def test_one_step_lowers_the_loss_and_silence_keeps_it_finite() -> None:
    model, batch = tiny(), batch_of(440, 300)
    model.log_dict = lambda *arguments, **options: None
    optimiser, losses = torch.optim.Adam(model.parameters(), 1e-3), []
    for _ in range(4):
        loss = model._step(batch, "train", torch.Generator())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad.isfinite().all() for p in model.parameters())
    silent = {name: 0 * values for name, values in batch.items()}
    assert model._step(silent, "validation", torch.Generator()).isfinite()


def test_missing_or_misshapen_pitch_ends_in_a_sentence() -> None:
    model, batch = tiny(), batch_of(440, 300)
    with pytest.raises(DdspZooError, match="needs the pitch"):
        model(batch["mixture"])
    with pytest.raises(DdspZooError, match="must have shape"):
        model(batch["mixture"], batch["f0_hz"][..., 1:], batch["onset"])
