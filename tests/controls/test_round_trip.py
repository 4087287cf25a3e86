"""What is saved sounds as it did: every released model, from its separation through the folder and back."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from released import one_of_a_kind
from tiny import music

import ddsp_zoo
from ddsp_zoo.api.ladder import separate, separate_file
from ddsp_zoo.controls import render as render_module
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Separator
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.zoo import load

RATE = 22050  # the input's, which no model has
TOLERANCE = 1e-4  # of full scale
SHORT = 32  # frames of a segment, where the model takes any length


pytestmark = pytest.mark.usefixtures("undrawn")


def shortened(name: str) -> Separator:
    """A released model, with segments of half a second where its network allows it: so it has many joins."""
    model = load(name)
    if not name.startswith("ast"):
        model.segment_samples = SHORT * model.hop_samples
    return model


def seconds_for(model: Separator) -> float:
    """Long enough for a join of segments at least."""
    return 1.3 * max(1.0, model.segment_samples / model.sample_rate)


def pitches(model: Separator) -> PitchTrack | None:
    """Notes of half a second to two seconds with rests between, for each source another."""
    if not model.needs_pitch:
        return None
    count = int(np.ceil(seconds_for(model) * model.sample_rate / model.hop_samples))
    frame, rows = np.arange(count), np.arange(len(model.sources))[:, None]
    f0_hz = (100.0 + 40 * rows) * 2 ** (((frame + 13 * rows) // (31 + 20 * rows)) % 5 / 12)
    f0_hz = np.where((frame + 13 * rows) % (31 + 20 * rows) < 6, 0, f0_hz)
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz), model.hop_samples / model.sample_rate)


@pytest.mark.parametrize("name", one_of_a_kind())
def test_a_saved_separation_plays_as_it_was_synthesised(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shortened(name)
    song = tmp_path / "song.wav"
    sf.write(song, music(round(seconds_for(model) * RATE), 2, RATE).T, RATE, "FLOAT")
    separate_file(model, song, tmp_path / "out", pitch=pitches(model), seed=7)
    opened = ddsp_zoo.open(tmp_path / "out")
    assert (opened.maker.model, opened.maker.seed, opened.sample_rate) == (name, 7, RATE)
    assert set(opened.controls) == set(model.targets)
    for frames in (3, 1024):
        monkeypatch.setattr(render_module, "FRAMES", frames)
        for source, synthesised in opened.synthesised.items():
            if model.synth is None:
                with pytest.raises(DdspZooError, match="no synthesiser"):
                    opened.render(source)
            else:
                played = opened.render(source)
                assert played.shape == synthesised.shape
                np.testing.assert_allclose(played, synthesised, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["ast_ddsp_bass", "umss_2v", "exB4", "exE6"])
def test_an_edit_is_heard_and_another_seed_is_another_noise(name: str) -> None:
    model = shortened(name)
    result = separate(model, music(round(seconds_for(model) * RATE), 1, RATE), RATE, pitch=pitches(model))
    source = model.targets[0]
    as_it_was = result.synthesised[source]
    assert np.abs(as_it_was).max() > 1e-4
    assert np.abs(result.render(source, seed=1) - as_it_was).max() > 1e-7
    for control in model.declared.values():
        if control.role == "level" and control.origin != "heard":
            result.controls[source][control.name] = 0.5 * result.controls[source][control.name]
    np.testing.assert_allclose(result.render(source), 0.5 * as_it_was, rtol=0, atol=TOLERANCE)
