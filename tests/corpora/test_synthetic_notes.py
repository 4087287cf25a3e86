"""Invented notes: what the batch says is what is played."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ddsp_zoo.corpora.base import BatchSpec, Excerpts
from ddsp_zoo.corpora.rendered.synthetic_notes import NOTE_SECONDS, SyntheticNotes, play
from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.parameter_losses import consistency, line_spectrum, note_distances

RATE, HOP, SAMPLES = 8000, 128, 128 * 125


def model(needs_pitch: bool = False, sources: tuple[str, ...] = ("bass", "rest")) -> SimpleNamespace:
    return SimpleNamespace(
        sources=sources, sample_rate=RATE, hop_samples=HOP, segment_samples=SAMPLES, needs_pitch=needs_pitch
    )


def notes(needs_pitch: bool = False, **settings: object) -> SyntheticNotes:
    data = SyntheticNotes(**({"harmonics": 20, "noise_bands": 9, "excerpts": Excerpts(4, 8)} | settings))
    data.feed(model(needs_pitch)).setup("fit")
    return data


def test_a_batch_has_audio_and_what_it_is_played_from():
    batch = next(iter(notes(voices=3).train_dataloader()))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "mixture": (4, SAMPLES),
        "sources": (4, 2, SAMPLES),
        "note_f0_hz": (4, 2, 3, 125),
        "note_amplitude": (4, 2, 3, 125),
        "note_distribution": (4, 2, 3, 125, 20),
        "noise_magnitude": (4, 2, 125, 9),
    }
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in batch.values())
    torch.testing.assert_close(batch["sources"].sum(1), batch["mixture"])


def test_playing_the_controls_gives_the_sources_but_for_the_draw_of_the_noise():
    data = notes(voices=2)
    for index in range(4):
        item = data.datasets["train"][index]
        spec = BatchSpec(("bass", "rest"), RATE, HOP, SAMPLES, False)
        silent = item | {"noise_magnitude": torch.zeros_like(item["noise_magnitude"])}
        heard, tonal = item["sources"], play(silent, spec)
        floor = item["noise_magnitude"].mean().item()
        assert (heard - tonal).square().mean().sqrt() < 2 * floor and tonal.abs().max() > 0.01


def test_notes_are_in_range_and_so_are_their_parts():
    data = notes(low_midi=40, high_midi=60, harmonics=40)
    items = [data.datasets["train"][index] for index in range(24)]
    f0 = torch.stack([item["note_f0_hz"] for item in items])
    midi = hz_to_midi(f0[f0 > 0])
    assert 39 <= midi.min() < 43 and 57 < midi.max() <= 61
    sounding = torch.stack([item["note_amplitude"] for item in items]) > 0
    assert torch.equal(sounding, f0 > 0) and 0.6 < sounding.float().mean() < 0.95
    shares = torch.stack([item["note_distribution"] for item in items])
    torch.testing.assert_close(shares.sum(-1), torch.ones_like(f0))
    _, levels = line_spectrum(f0, torch.ones_like(f0), shares, RATE)
    torch.testing.assert_close(levels.sum(-1)[f0 > 0], torch.ones(int((f0 > 0).sum())))


def test_notes_last_as_long_as_they_should():
    """Between two onsets there is a note, and perhaps rests."""
    data, longest, gaps = notes(needs_pitch=True), round(NOTE_SECONDS[1] * RATE / HOP), []
    for index in range(24):
        item = data.datasets["train"][index]
        assert torch.equal(item["f0_hz"], item["note_f0_hz"][:, 0])
        assert (item["f0_hz"][item["onset"] > 0] > 0).all()
        for f0, onset in zip(item["f0_hz"], item["onset"]):
            starts = onset.nonzero()[:, 0].tolist()
            for start, end in zip(starts, starts[1:]):
                gaps.append(int((f0[start:end] > 0).sum()))
    assert round(NOTE_SECONDS[0] * RATE / HOP) <= min(gaps) < 20 and 40 < max(gaps) <= longest


def test_about_half_of_the_notes_have_vibrato_of_a_semitone_at_most():
    data, spans = notes(needs_pitch=True), []
    for index in range(60):
        item = data.datasets["train"][index]
        midi, onset = hz_to_midi(item["f0_hz"]), item["onset"]
        for row, marks in zip(midi, onset):
            starts = marks.nonzero()[:, 0].tolist()
            for start, end in zip(starts, starts[1:]):
                note = row[start:end][row[start:end] > 0]
                if len(note) * HOP / RATE > 0.4:
                    spans.append((note.max() - note.min()).item())
    assert max(spans) <= 2.001 and max(spans) > 1.5 and 0.35 < np.mean(np.array(spans) > 1e-3) < 0.65


def test_epochs_differ_and_an_excerpt_is_always_the_same():
    data = notes()
    loader = data.train_dataloader()
    first = [batch["mixture"] for batch in loader]
    loader.sampler.set_epoch(1)
    second = [batch["mixture"] for batch in loader]
    assert len(first) == 2 and not any(torch.equal(a, b) for a, b in zip(first, second))
    again = notes()
    assert torch.equal(again.datasets["train"][3]["mixture"], data.datasets["train"][3]["mixture"])
    for other in (
        again.datasets["validation"][3],
        notes(excerpts=Excerpts(4, 8, seed=1)).datasets["train"][3],
    ):
        assert not torch.equal(other["mixture"], data.datasets["train"][3]["mixture"])
    assert torch.equal(
        next(iter(again.val_dataloader()))["mixture"], next(iter(data.val_dataloader()))["mixture"]
    )


def test_the_truth_has_no_distance_from_itself():
    item = notes(voices=2).datasets["train"][0]
    truth = tuple(item[f"note_{name}"] for name in ("f0_hz", "amplitude", "distribution"))
    assert not any(value.item() for value in note_distances(*truth, *truth).values())
    lines = [
        x.flatten(1, 2) for x in (y.transpose(2, 3).transpose(1, 2) for y in line_spectrum(*truth, RATE))
    ]
    assert consistency(*lines, *lines).abs().max() < 1e-4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"low_midi": 60, "high_midi": 50}, "low_midi up to high_midi"),
        ({"voices": 0}, "a voice"),
        ({"excerpts": Excerpts(16, 0)}, "an example"),
        ({"noise_bands": 1}, "two noise_bands"),
    ],
)
def test_settings_that_make_no_notes_are_told(settings, message):
    with pytest.raises(DdspZooError, match=message):
        SyntheticNotes(**settings)


def test_what_the_model_cannot_take_is_told():
    with pytest.raises(DdspZooError, match="beyond the 4000 Hz.*lower high_midi"):
        notes(high_midi=108)
    with pytest.raises(DdspZooError, match="one pitch a source"):
        notes(needs_pitch=True, voices=2)
