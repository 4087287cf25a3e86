"""Files of controls: all that is needed to play them, and every fault named before anything is played."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import RATE, music, tiny_ast

import ddsp_zoo
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.base import Synth

SAMPLES = 3 * RATE


@pytest.fixture(scope="module")
def song() -> Separation:
    return separate(tiny_ast(), music(SAMPLES, 2), RATE, seed=3)


@pytest.fixture
def saved(song: Separation, tmp_path: Path, undrawn: None) -> Path:
    return song.save(tmp_path / "song")


def edit(folder: Path, change: Callable[[dict, dict], object]) -> None:
    """Rewrites a file of controls after a change of its description and its arrays."""
    path = folder / "controls.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays.pop("about")))
    change(about, arrays)
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)


def test_what_is_opened_is_what_was_saved(song: Separation, saved: Path) -> None:
    opened = ddsp_zoo.open(str(saved))
    for name in ("mixture", "residual"):
        np.testing.assert_allclose(getattr(opened, name), getattr(song, name), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(opened.stems["bass"], song.stems["bass"])
    np.testing.assert_array_equal(opened.synthesised["bass"], song.synthesised["bass"])
    assert opened.controls["bass"].keys() == song.controls["bass"].keys()
    for name, values in song.controls["bass"].items():
        np.testing.assert_array_equal(opened.controls["bass"][name], values)
    assert opened.maker.declared == song.maker.declared
    assert (opened.samples, opened.sample_rate, opened.control_rate_hz) == (SAMPLES, RATE, 62.5)
    assert opened.maker.version == ddsp_zoo.__version__
    with pytest.raises(KeyError):
        opened.stems["drums"]


def test_what_is_opened_can_be_saved_drawn_and_turned_into_notes(saved: Path, tmp_path: Path) -> None:
    opened = ddsp_zoo.open(saved)
    again = ddsp_zoo.open(opened.save(tmp_path / "again", "flac"))
    np.testing.assert_allclose(again.stems["bass"], opened.stems["bass"], rtol=0, atol=2**-23)
    again.to_midi(tmp_path / "song.mid")
    again.plot(tmp_path / "song.png")
    assert (tmp_path / "song.mid").exists() and (tmp_path / "song.png").stat().st_size > 5000
    again.controls["bass"]["f0_hz"] *= 0
    with pytest.raises(DdspZooError, match="no notes to write: nothing in bass has a pitch"):
        again.to_midi(tmp_path / "none.mid")
    assert not (tmp_path / "none.mid").exists()


def test_the_file_says_who_made_it_and_holds_single_precision(saved: Path) -> None:
    with np.load(saved / "controls.npz", allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert {file[name].dtype for name in file.files if name != "about"} == {np.dtype(np.float32)}
    assert about["model"] == "AstDdsp" and about["seed"] == 3 and about["model_sample_rate"] == RATE
    declared = {control["name"]: control for control in about["controls"]}
    assert declared["f0_hz"]["role"] == "pitch" and declared["f0_hz"]["origin"] == "heard"
    assert declared["amplitude"]["unit"] == "1" and declared["amplitude"]["role"] == "level"


def of_newer_version(about: dict, arrays: dict) -> None:
    about["format"], about["version"] = 99, "7.0"


def with_nan(about: dict, arrays: dict) -> None:
    arrays["bass/amplitude"][20, 3] = np.nan


def out_of_range(about: dict, arrays: dict) -> None:
    arrays["bass/frequency_hz"][10, 0] = 9000


def below_zero(about: dict, arrays: dict) -> None:
    arrays["bass/noise_magnitude"][0, 0] = -1


def unheard_pitch(about: dict, arrays: dict) -> None:
    arrays["bass/f0_hz"][5] = 3


def a_frame_less(about: dict, arrays: dict) -> None:
    arrays["bass/amplitude"] = arrays["bass/amplitude"][1:]


def a_control_less(about: dict, arrays: dict) -> None:
    del arrays["bass/amplitude"]


def of_another_source(about: dict, arrays: dict) -> None:
    arrays["flute/amplitude"] = arrays["bass/amplitude"]


def of_another_model(about: dict, arrays: dict) -> None:
    about["synth"] = {
        "class_path": "ddsp_zoo.synths.source_filter.SourceFilter",
        "init_args": {"sample_rate": RATE, "hop": 128},
    }


def with_other_settings(about: dict, arrays: dict) -> None:
    about["synth"]["init_args"]["bands"] = 12


def of_a_stranger(about: dict, arrays: dict) -> None:
    about["synth"]["class_path"] = "antigravity.Synth"


def that_is_no_synth(about: dict, arrays: dict) -> None:
    about["synth"]["class_path"] = "ddsp_zoo.synths.control.Control"


def without_seed(about: dict, arrays: dict) -> None:
    del about["seed"]


@pytest.mark.parametrize(
    "change, words",
    [
        (of_newer_version, "ddsp_zoo 7.0.*update"),
        (with_nan, "bass/amplitude is nan at 0.320 s"),
        (out_of_range, "bass/frequency_hz is 9000 at 0.160 s.*4000 Hz"),
        (below_zero, "bass/noise_magnitude is -1"),
        (unheard_pitch, "bass/f0_hz is 3 at 0.080 s.*0 where it rests"),
        (a_frame_less, "bass/.* has shape"),
        (a_control_less, "bass/amplitude is missing"),
        (of_another_source, "flute/amplitude is no control"),
        (of_another_model, "harmonic_amplitude is not what the synthesiser SourceFilter takes"),
        (with_other_settings, "frequency_hz is not what"),
        (of_a_stranger, "'antigravity.Synth' is not built"),
        (that_is_no_synth, "Control' is not built, because a file may name BandedSinusoids"),
        (without_seed, "seed"),
    ],
)
def test_a_file_that_cannot_be_played_is_refused_with_a_sentence(
    saved: Path, change: Callable[[dict, dict], None], words: str
) -> None:
    edit(saved, change)
    with pytest.raises(DdspZooError, match=f"controls.npz.*{words}") as error:
        ddsp_zoo.open(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 10, 5000])
def test_a_file_that_is_cut_short_is_named(saved: Path, kept: int) -> None:
    path = saved / "controls.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DdspZooError, match="controls.npz is damaged or cut short"):
        ddsp_zoo.open(saved)


def test_a_folder_without_controls_and_a_file_of_other_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="There is no .*controls.npz"):
        ddsp_zoo.open(tmp_path)
    np.savez(tmp_path / "controls.npz", a=np.ones(3))
    with pytest.raises(DdspZooError, match="holds no controls"):
        ddsp_zoo.open(tmp_path)


def test_an_edit_out_of_range_is_refused_before_it_is_played(song: Separation) -> None:
    edited = Separation(**(vars(song) | {"controls": {"bass": dict(song.controls["bass"])}}))
    edited.controls["bass"]["frequency_hz"] = edited.controls["bass"]["frequency_hz"] * 100
    with pytest.raises(DdspZooError, match="bass/frequency_hz"):
        edited.render("bass")
    with pytest.raises(DdspZooError, match="'flute'.*bass"):
        edited.render("flute")


def test_a_synthesiser_of_ones_own_is_built_where_the_user_names_it(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_synth.py").write_text(
        "from ddsp_zoo.synths.banded import BandedSinusoids\n\n\nclass Mine(BandedSinusoids):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def mine(about: dict, arrays: dict) -> None:
        about["synth"]["class_path"] = "my_synth.Mine"

    edit(saved, mine)
    for imported in (False, True):
        assert ("my_synth" in sys.modules) is imported
        with pytest.raises(DdspZooError, match="'my_synth.Mine' is not built"):
            ddsp_zoo.open(saved)
        import my_synth

    opened = ddsp_zoo.open(saved, kind=my_synth.Mine)
    assert isinstance(opened.maker.synth, my_synth.Mine) and issubclass(my_synth.Mine, Synth)
    np.testing.assert_allclose(opened.render("bass"), opened.synthesised["bass"], rtol=0, atol=1e-4)


def test_a_file_of_an_earlier_version_opens_as_before(song: Separation, saved: Path) -> None:
    """Arrays were packed by another method and in rows."""
    edit(saved, lambda about, arrays: None)
    for name, values in ddsp_zoo.open(saved).controls["bass"].items():
        np.testing.assert_array_equal(values, song.controls["bass"][name])


def test_a_file_is_packed_by_column_and_less_than_half_of_its_numbers(saved: Path) -> None:
    with np.load(saved / "controls.npz") as file:
        numbers = sum(file[name].nbytes for name in file.files if name != "about")
        assert all(file[name].flags.f_contiguous for name in file.files)
    assert (saved / "controls.npz").stat().st_size < numbers / 2
