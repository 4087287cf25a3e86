"""What each quirk of the published synthesiser does, alone and beside the others."""

import pytest
import torch
from torch import Tensor

from ddsp_zoo.dsp.noise import noise_frames
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.sinusoids import QUIRKS, SinusoidsPlusNoise

RATE, HOP, FRAMES = 8000, 250, 16
EVERY = pytest.mark.parametrize("quirks", [(), *((q,) for q in QUIRKS), tuple(QUIRKS)], ids="+".join)


def make(*quirks: str, sinusoids: int = 4, bands: int = 9, bins: int = 8) -> SinusoidsPlusNoise:
    return SinusoidsPlusNoise(RATE, HOP, sinusoids, bands, bins, quirks)


def controls_of(synth: SinusoidsPlusNoise, seed: int = 0, scale: float = 1.0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return synth.constrain(scale * torch.randn(2, 1, FRAMES, synth.controls.channels, generator=random))


def envelope(audio: Tensor) -> Tensor:
    """Root mean square of each frame (..., N)."""
    return audio.unflatten(-1, (-1, HOP)).square().mean(-1).sqrt()


@EVERY
def test_a_sound_can_be_made_and_learnt_from(quirks: tuple[str, ...]) -> None:
    synth = make(*quirks)
    for scale in (1.0, 1e4):
        raw = scale * torch.randn(
            2, 1, FRAMES, synth.controls.channels, generator=torch.Generator().manual_seed(0)
        )
        raw.requires_grad_()
        controls = synth.constrain(raw)
        sizes = {control.name: control.size for control in synth.controls.controls}
        assert {k: tuple(v.shape) for k, v in controls.items()} == {
            k: (2, 1, FRAMES, n) for k, n in sizes.items()
        }
        audio = synth.render(controls, torch.Generator().manual_seed(0)).audio
        assert audio.shape == (2, 1, FRAMES * HOP) and audio.isfinite().all()
        audio.square().mean().backward()
        assert raw.grad.isfinite().all() and (scale > 1 or raw.grad.abs().amin((0, 1, 2)).max() > 0)


@EVERY
def test_every_sound_is_linear_in_its_levels(quirks: tuple[str, ...]) -> None:
    synth = make(*quirks)
    controls, level = controls_of(synth), torch.tensor([0.1, 3.0])
    plain, scaled = (
        synth.render(c, torch.Generator().manual_seed(1)).audio
        for c in (controls, synth.scale(controls, level))
    )
    torch.testing.assert_close(scaled, plain * level[:, None, None], atol=1e-6, rtol=1e-4)


def test_one_loudness_can_neither_decay_nor_rest() -> None:
    """Every sinusoid of the clip fades by the network's will, and the sound goes on as before."""
    fading = torch.zeros(1, 1, FRAMES, make().controls.channels)
    last = {}
    for quirks in ((), ("clip_loudness",)):
        synth = make(*quirks)
        raw = fading.clone()
        start = [control.name for control in synth.controls.controls].index("loudness")
        channel = sum(control.channels for control in synth.controls.controls[:start])
        raw[..., channel] = torch.linspace(3, -12, FRAMES)
        raw[..., 4 * 8 : 4 * 8 + 4] = torch.linspace(3, -12, FRAMES)[:, None]
        level = envelope(synth.render(synth.constrain(raw)).tonal)[0, 0]
        last[quirks] = (level[-1] / level[0]).item()
    assert last[()] < 0.01 and last[("clip_loudness",)] == pytest.approx(1, abs=0.2)


def test_one_noise_filter_cannot_play_a_hit() -> None:
    for quirks, flat in (((), False), (("clip_noise",), True)):
        synth = make(*quirks)
        raw = torch.zeros(1, 1, FRAMES, synth.controls.channels)
        raw[..., -9:] = -20.0
        raw[:, :, 4, -9:] = 5.0
        sound = synth.render(synth.constrain(raw), torch.Generator().manual_seed(0))
        level = envelope(sound.audio - sound.tonal)[0, 0]
        assert bool(level.max() < 1.5 * level.min()) is flat
        assert flat or level.argmax() == 4


@pytest.mark.parametrize("more", [(), ("clip_noise",)])
def test_half_a_noise_filter_answers_only_afterwards(more: tuple[str, ...]) -> None:
    """Against the noise that went in, a whole zero-phase filter answers on both sides of each sample."""
    bands, heard = 65, {}
    for quirks in (more, ("half_noise_filter", *more)):
        synth = make(*quirks, bands=bands)
        controls = synth.constrain(torch.zeros(1, 1, 400, synth.controls.channels))
        controls["amplitude"], controls["loudness"] = 0 * controls["amplitude"], 0 * controls["loudness"]
        shape = torch.zeros(bands)
        shape[8:24] = 1
        controls["noise_magnitude"] = shape.expand(1, 1, 400, bands)
        audio = synth.render(controls, torch.Generator().manual_seed(0)).audio[0, 0]
        noise = noise_frames(torch.zeros(1), 400, HOP, torch.Generator().manual_seed(0)).flatten()
        size = 2 * len(noise)
        answer = torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(noise, size).conj(), size)
        after, before = answer[1:40].square().sum(), answer[-39:].square().sum()
        heard[quirks] = (before / after).item()
    assert heard[more] == pytest.approx(1, abs=0.1) and heard[("half_noise_filter", *more)] < 0.05


def test_shares_of_a_sample_follow_the_louder_frame() -> None:
    """From a loud frame of one sinusoid to a soft one of another: normalised frames would meet half way."""
    controls = {
        "frequency_hz": torch.tensor([0.0, 1000.0]).expand(1, 1, 2, 2),  # the first does not sound
        "amplitude": torch.tensor([[1.0, 0.0], [0.0, 0.01]])[None, None],
        "loudness": torch.ones(1, 1, 2, 1),
        "noise_magnitude": torch.zeros(1, 1, 2, 9),
    }
    audio = make("sample_shares", sinusoids=2).render(controls).tonal[0, 0]
    middle = slice(HOP // 2 - 8, HOP // 2 + 8)
    assert audio[middle].abs().max() < 0.03 and audio[HOP:].abs().max() > 0.99


def test_shares_of_a_sample_are_those_of_the_frame_where_nothing_changes() -> None:
    plain, published = make(), make("sample_shares")
    raw = torch.randn(1, 1, 1, plain.controls.channels).expand(1, 1, FRAMES, -1)
    torch.testing.assert_close(
        published.render(published.constrain(raw)).tonal,
        plain.render(plain.constrain(raw)).tonal,
        atol=1e-4,
        rtol=0,
    )


def test_what_lies_beyond_nyquist_has_no_share() -> None:
    synth = make("sample_shares", sinusoids=2)
    controls = {
        "frequency_hz": torch.tensor([500.0, 5000.0]).expand(1, 1, 4, 2),
        "amplitude": torch.tensor([0.1, 0.9]).expand(1, 1, 4, 2),
        "loudness": torch.ones(1, 1, 4, 1),
        "noise_magnitude": torch.zeros(1, 1, 4, 9),
    }
    assert synth.render(controls).audio.abs().max().item() == pytest.approx(1, abs=0.01)
    controls["frequency_hz"] = torch.full((1, 1, 4, 2), 5000.0)
    assert not synth.render(controls).audio.any()


def test_late_frequencies_glide_half_a_frame_later() -> None:
    """A glide in frequency: where it crosses 1 kHz."""
    controls = {
        "frequency_hz": torch.linspace(500, 1500, 41)[:, None].expand(1, 1, 41, 1),
        "amplitude": torch.ones(1, 1, 41, 1),
        "loudness": torch.ones(1, 1, 41, 1),
        "noise_magnitude": torch.zeros(1, 1, 41, 9),
    }
    crossing = []
    for quirks in ((), ("late_frequencies",)):
        audio = make(*quirks, sinusoids=1).render(controls).tonal[0, 0]
        rises = ((audio[:-1] < 0) & (audio[1:] >= 0)).nonzero()[:, 0].float()
        position = rises + audio[rises.long()].abs() / (audio[rises.long() + 1] - audio[rises.long()])
        frequency = RATE / position.diff()
        crossing.append(((position[1:] + position[:-1]) / 2)[frequency > 1000][0].item())
    assert crossing[1] - crossing[0] == pytest.approx(HOP / 2, abs=0.1 * HOP)


def test_a_bare_start_puts_all_on_one_frequency_and_is_loud() -> None:
    bare, plain = (
        s.constrain(torch.zeros(1, 1, 2, s.controls.channels)) for s in (make("bare_start"), make())
    )
    one = (20 * RATE / 2) ** 0.5
    torch.testing.assert_close(bare["frequency_hz"], torch.full_like(bare["frequency_hz"], one))
    assert plain["frequency_hz"].min() < 0.5 * one and plain["frequency_hz"].max() > 2 * one
    for name in ("loudness", "noise_magnitude"):
        assert bare[name].min() > 4 * plain[name].max()


def test_an_unknown_quirk_is_told() -> None:
    with pytest.raises(DdspZooError, match="no quirk 'reverb'.*clip_loudness"):
        make("reverb")
