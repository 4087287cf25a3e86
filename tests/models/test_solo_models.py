"""The DDSP autoencoder and inverse audio synthesis: what is theirs alone."""

import math

import numpy as np
import pytest
import torch

from ddsp_zoo.corpora.base import BatchSpec
from ddsp_zoo.corpora.rendered.synthetic_notes import NoteDataset, NoteSettings
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import DdspAutoencoder, InverseSynthesis
from ddsp_zoo.models.inverse_synthesis import TermWeights
from ddsp_zoo.networks.solo import a_weights, loudness_db

SMALL = {
    "segment_seconds": 0.512,
    "sinusoids": 8,
    "sinusoid_bins": 16,
    "harmonics": 12,
    "noise_bands": 9,
    "widths": (4, 4),
    "width": 16,
}
SECONDS = torch.arange(16000) / 16000


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_small_autoencoder_is_as_small_as_the_thesis_says_and_the_large_one_as_large() -> None:
    assert 220_000 < count(DdspAutoencoder()) < 260_000  # 240 k
    large = DdspAutoencoder(width=512, layers=3, harmonics=100, timbre=16, room_seconds=3.0)
    assert 6_000_000 < count(large) < 8_000_000  # 7 M


@pytest.mark.parametrize(("hz", "db"), [(1000, 0.0), (100, -19.1), (4000, 1.0), (63.1, -26.2)])
def test_loudness_hears_as_the_standard_says(hz: float, db: float) -> None:
    assert 10 * math.log10(a_weights(torch.tensor([hz])).item()) == pytest.approx(db, abs=0.1)
    loudness = loudness_db(torch.sin(2 * torch.pi * hz * SECONDS)[None], 16000, 256)
    assert loudness.shape == (1, 62)
    assert loudness[0, 31].item() == pytest.approx(db - 3.01, abs=0.5)


def test_silence_has_the_lowest_loudness() -> None:
    assert loudness_db(torch.zeros(1, 4096), 16000, 256).unique().tolist() == [-80]


@pytest.mark.parametrize("kind", [DdspAutoencoder, InverseSynthesis])
def test_a_model_of_a_solo_takes_one_source_and_gives_its_recording_back(kind: type) -> None:
    with pytest.raises(DdspZooError, match="hears one source alone.*not 2"):
        kind(sources=("high", "low"))
    options = SMALL if kind is InverseSynthesis else {"segment_seconds": 0.512, "width": 8, "room_seconds": 0}
    torch.manual_seed(0)
    model = kind(**options)
    audio = (0.3 * torch.sin(2 * torch.pi * 220 * SECONDS)).numpy()
    pitch = "crepe" if model.needs_pitch else None
    if pitch:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "ddsp_zoo.pitch.given.track_f0", lambda x, hop: np.full(-(-len(x) // hop), 220.0, np.float32)
            )
            result = model.separate(audio, 16000, pitch=pitch)
    else:
        result = model.separate(audio, 16000)
    (source,) = model.sources
    np.testing.assert_allclose(result.stems[source][0], audio, atol=1e-6)
    np.testing.assert_allclose(result.residual, 0, atol=1e-6)
    assert np.abs(result.synthesised[source]).max() > 1e-4
    np.testing.assert_allclose(result.render(source), result.synthesised[source], atol=1e-6)


def notes(count: int = 2, **settings: int) -> dict[str, torch.Tensor]:
    drawn = {"harmonics": 12, "noise_bands": 9} | settings
    spec = BatchSpec(("melody",), 16000, 512, 8192, False)
    data = NoteDataset(spec, NoteSettings(**drawn), count, 0, 0)
    return torch.utils.data.default_collate([data[index] for index in range(count)])


def inverse(**settings: object) -> InverseSynthesis:
    torch.manual_seed(0)
    return InverseSynthesis(**(SMALL | settings))


def test_no_gradient_flows_from_the_note_to_the_sinusoids() -> None:
    model = inverse(weights=TermWeights(spectral=0, consistency=0, noise=0))
    terms = model.terms(notes(), torch.Generator())
    assert terms.keys() == {"amplitude", "distribution", "f0", "bins"}
    sum(terms.values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.sinusoidal.parameters())
    assert any(p.grad.any() for p in model.harmonic.parameters())


def test_the_true_controls_have_no_distance_left() -> None:
    model, batch = inverse(), notes()
    f0_hz = batch["note_f0_hz"][:, 0, 0]
    note = {
        "f0_hz": f0_hz[..., None],
        "amplitude": batch["note_amplitude"][:, 0, 0, :, None],
        "harmonic_distribution": batch["note_distribution"][:, 0, 0],
    }
    sinusoids = {
        "frequency_hz": f0_hz[..., None] * torch.arange(1, 13),
        "amplitude": note["amplitude"] * note["harmonic_distribution"],
        "noise_magnitude": batch["noise_magnitude"][:, 0],
    }
    bins = -40 * (model._place(f0_hz, 128)[..., None] - torch.arange(128)).abs()
    terms = model._of_notes(sinusoids, note, bins, batch, torch.ones(len(f0_hz)))
    assert terms.keys() == {"amplitude", "distribution", "f0", "consistency", "noise", "bins"}
    for name in terms.keys() - {"bins"}:
        assert terms[name].item() == pytest.approx(0, abs=1e-4)
    sinusoids["frequency_hz"] = 1.1 * sinusoids["frequency_hz"]
    assert model._of_notes(sinusoids, note, bins, batch, torch.ones(len(f0_hz)))["consistency"] > 1


@pytest.mark.parametrize("wrong", [{"harmonics": 13}, {"noise_bands": 10}, {"voices": 2}])
def test_notes_of_another_form_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(
        DdspZooError, match="set data.voices to 1, data.harmonics to 12 and data.noise_bands to 9"
    ):
        inverse().terms(notes(**wrong), torch.Generator())


def test_what_is_soft_has_no_pitch_and_the_pitch_is_that_of_the_likeliest_bins() -> None:
    model = inverse(pitch_bins=64)
    raw = torch.zeros(1, 1, 16, model.synth.controls.channels)
    raw[..., 8:, 0] = -20  # the second half is soft
    raw[..., -64 + 20] = 8.0
    raw[..., -64 + 50] = 7.0  # another, an octave or more above
    full = model.synth.controls.controls[-1].constrain(raw[..., -64:])
    near = model.synth.constrain(model.near_peak(raw))["f0_hz"]
    low, high = 30 * 40 ** (19 / 63), 30 * 40 ** (21 / 63)
    assert ((near > low) & (near < high)).all() and (full > high).all()
    model.raw_controls = lambda *_: raw
    f0_hz = model.predict_controls(torch.ones(1, 8192))["f0_hz"][0, 0, :, 0]
    assert (f0_hz[:8] > 0).all() and (f0_hz[8:] == 0).all()
