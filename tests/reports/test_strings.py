"""The protocol for guitar strings: what is measured once, what stands in the report, what is drawn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from torch import Tensor

from ddsp_zoo import zoo
from ddsp_zoo.cli import main
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.corpora.folder import StemFolder
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import baselines
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.measuring.protocol import evaluate
from ddsp_zoo.measuring.survey import (
    Example,
    ExampleListener,
    Survey,
    SurveyListener,
    correlation,
    level_errors,
    off_diagonal,
)
from ddsp_zoo.models.separator import Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.reports import string_figures, strings, survey_files
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, ControlSet, given_notes
from ddsp_zoo.synths.streaming import Window

RATE, HOP, SEGMENT = 4000, 64, 4096
NAMES = tuple(GUITAR_STRINGS_HZ)
Capture = pytest.CaptureFixture[str]


class Tones(Synth):
    """A sine at f0, of a declared gain, with controls beside it that change nothing; ``level`` is fixed."""

    def __init__(self, controls: tuple[Control, ...]) -> None:
        super().__init__(RATE, HOP)
        self.controls = ControlSet(controls, given_notes(RATE))

    def play(self, window: Window, sound: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        f0_hz = window.moving("f0_hz")
        gain = window.moving("gain") if "gain" in window.frames else torch.ones_like(f0_hz)
        bank = {"phase": sound, "lookahead": window.lookahead}
        audio, phase = harmonic_bank(f0_hz[..., 0], gain * (f0_hz > 0), RATE, HOP, **bank)
        return audio, audio, phase


class Guitar(Separator):
    """Gain that follows the mixture, the same for all strings; a control that never moves, one of eight values."""

    needs_pitch = True

    def __init__(
        self, gain: float = 0.5, plain: bool = False, mask_fft: int = 512, sources: tuple[str, ...] = NAMES
    ) -> None:
        super().__init__(sources, RATE, HOP, SEGMENT / RATE, False, masks=Masks(fft=mask_fft))
        declared = (
            Control("shape", "1", "eight values", size=8),
            Control("tone_hz", "Hz", "still", high=800.0),
            Control("gain", "1", "level", high=gain, role="level"),
        )
        self.synth = Tones(() if plain else declared)
        self.offset = torch.nn.Parameter(torch.zeros(1))
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        raw = torch.zeros(*f0_hz.shape, self.synth.controls.channels)
        if raw.shape[-1]:
            frames = torch.linspace(0, 2, f0_hz.shape[-1])
            raw[..., -1] = 20 + self.offset.detach()  # the sigmoid's end
            raw[:, 0, :, :8], raw[:, 1:, :, :8] = frames[:, None], -frames[:, None]
        return raw


def write_track(folder: Path, playing: tuple[str, ...], amplitude: float = 0.1) -> None:
    """2.1 s of sines at the open strings from the third frame on, all but ``playing`` silent."""
    folder.mkdir(parents=True)
    time, frames = np.arange(int(2.1 * RATE)) / RATE, np.arange(int(2.1 * RATE) // HOP + 2) * HOP / RATE
    start = 3 * HOP / RATE
    pitch = [GUITAR_STRINGS_HZ[name] if name in playing else 0.0 for name in NAMES]
    rows = [["time_seconds", *NAMES], *([t, *(hz * (t >= start) for hz in pitch)] for t in frames)]
    for name, hz in zip(NAMES, pitch):
        gain = amplitude * (hz > 0) * (time >= start)
        sf.write(folder / f"{name}.wav", gain * np.sin(2 * np.pi * hz * time), RATE, "FLOAT")
    with (folder / "f0.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StemFolder:
    root = tmp_path_factory.mktemp("strings")
    write_track(root / "test/00_BN1_comp_hex", NAMES)
    write_track(root / "test/01_BN1_solo", NAMES[2:3], 0.2)
    return StemFolder(root, Excerpts(2))


def listen(model: Guitar, data: StemFolder, seconds: float = 5.0) -> tuple[Survey, Example]:
    """Survey and example of one evaluation."""
    survey, example = SurveyListener(model), ExampleListener(model, seconds)
    options = {"seeds": (0,), "parts": ("model",), "metrics": (SI_SDR,), "progress": False}
    evaluate(model, data, listeners=(survey, example), **options)
    return survey.survey(), example.example()


# What is measured


@pytest.mark.parametrize("pictures", ["undrawn", pytest.param("drawn", marks=pytest.mark.slow)])
def test_report_of_a_model_with_controls_and_of_one_without(
    pictures: str,
    data: StemFolder,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    out = tmp_path_factory.mktemp("out")
    if pictures == "undrawn":
        request.getfixturevalue("undrawn")
    monkeypatch.setattr(  # tested elsewhere
        baselines,
        "given_pitch",
        lambda mixture, f0_hz, *rest, **window: {
            "comb_mask_power": 0.1 * torch.randn(1, 6, mixture.shape[-1]) + mixture[:, None]
        },
    )
    models = {"half": Guitar(), "plain": Guitar(plain=True)}
    losses = {"half": [{"epoch": 0.0, "step": 9.0, "train/loss": 2.0, "validation/loss": 3.0}]}
    written = strings.report(models, data, out, losses, seeds=[0], progress=False)
    assert [path.relative_to(out).as_posix() for path in written] == [
        "report.md",
        "si_sdr_db.png",
        "mel_cepstral_distance.png",
        "learning_curves.png",
        "half/sources.png",
        "half/controls.png",
        "half/between_strings.png",
        "half/between_controls.png",
        "plain/sources.png",
        "plain/controls.png",
    ]
    assert all(path.stat().st_size > 1000 for path in written)
    page = written[0].read_text(encoding="utf-8")
    assert all(f"]({path.relative_to(out).as_posix()})" in page for path in written[1:])
    assert systems(out / "half") == ["mixture", "synthesised", "masked", "masked_power"]
    assert {"comb_mask_power", "irm_power", "noise"} <= set(systems(out / "baselines"))
    assert not {"synthesised", "masked"} & set(systems(out / "baselines"))
    assert (
        page.count("\n| irm_power |") == page.count("\n| half: masked |") == 5
    )  # two metrics, medians, two by style
    assert "| system | all | comp | solo |" in page
    (still,) = [line for line in page.splitlines() if line.startswith("| half | tone_hz |")]
    assert still == "| half | tone_hz | - | - | - |"
    assert "| half | shape | 0.33 | -1.00 | 1.00 |" in page  # the first string against the five others
    assert "| plain | " not in page.partition("## Controls of different strings")[2]


def systems(folder: Path) -> list[str]:
    with (folder / "rows.csv").open(newline="") as file:
        return list(dict.fromkeys(row["system"] for row in csv.DictReader(file)))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured, in place of measuring it."""
    found: list[str] = []
    monkeypatch.setattr(strings, "run", lambda *arguments, name, parts, **options: found.append(name))
    monkeypatch.setattr(ExampleListener, "example", lambda self: None)
    monkeypatch.setattr(survey_files, "save", lambda *arguments: None)
    return found


def test_only_what_changed_is_measured_again(tmp_path: Path, measured: list[str]) -> None:
    write_track(tmp_path / "data/test/one_solo", NAMES[:1])
    data, models = StemFolder(tmp_path / "data"), {"a": Guitar(), "b": Guitar(plain=True)}
    options = {"limit_tracks": None, "seeds": [0], "device": "cpu", "progress": False}

    def again(**change: Any) -> list[str]:
        measured.clear()
        strings._measure_all(models, data, tmp_path / "out", options | change)
        return measured.copy()

    assert again() == ["a", "b", "baselines"] and again() == []
    with torch.no_grad():
        models["a"].offset += 1
    assert again() == ["a"] and again() == []
    assert again(seeds=[0, 1]) == again(seeds=[0]) == ["a", "b", "baselines"]
    models["c"] = Guitar(mask_fft=256)
    assert again() == ["c", "baselines_2"]
    sf.write(tmp_path / "data/test/one_solo/E4.wav", np.ones(int(2.1 * RATE)) / 2, RATE, "FLOAT")
    assert again() == ["a", "b", "c", "baselines", "baselines_2"]


def test_a_model_that_diverged_is_named(tmp_path: Path, data: StemFolder) -> None:
    broken = Guitar()
    broken.offset.data[:] = torch.nan
    options = {"limit_tracks": 1, "seeds": [0], "device": "cpu", "progress": False}
    with pytest.raises(DdspZooError, match="^broken: .*finite"):
        strings._measure_all({"broken": broken}, data, tmp_path, options)
    assert not (tmp_path / "broken" / strings.STAMP).exists()


def test_models_of_something_else_are_refused(data: StemFolder, tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="choir separates E2, A2, and the protocol"):
        strings.report({"choir": Guitar(sources=NAMES[:2])}, data, tmp_path / "out")
    with pytest.raises(DdspZooError, match="no model"):
        strings.report({}, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Levels and correlations


def test_survey_of_a_string_at_half_its_level(tmp_path: Path) -> None:
    write_track(tmp_path / "test/one", NAMES[2:3], 0.2)
    found, _ = listen(Guitar(), StemFolder(tmp_path))
    assert {row["source"] for row in found.levels} == {"D3"} and len(found.levels) == 2
    overall, error = level_errors(found.levels, NAMES)
    assert overall == {"D3": pytest.approx(-6.02, abs=0.3)} and error == pytest.approx(6.02, abs=0.3)
    shape, still = found.between_sources["shape"], found.between_sources["tone_hz"]
    assert shape[0, 1] == pytest.approx(-1) and shape[1, 2] == pytest.approx(1) and np.isnan(still).all()
    assert list(found.between_controls) == list(NAMES) and found.between_controls["E2"].shape == (3, 3)
    assert listen(Guitar(plain=True), StemFolder(tmp_path))[0].between_controls == {}


def test_errors_of_level_do_not_cancel_within_a_string() -> None:
    pairs = ((-10.0, -4.0), (-4.0, -10.0), (-30.0, -27.0))
    rows = [{"source": "E2", "target_db": target, "synthesised_db": found} for target, found in pairs]
    overall, error = level_errors(rows, NAMES)
    assert overall == {"E2": pytest.approx(0, abs=0.05)} and error == pytest.approx(6)


def test_correlation_is_pearsons() -> None:
    series = np.random.default_rng(0).normal(size=(3, 50))
    np.testing.assert_allclose(correlation(series), np.corrcoef(series), atol=1e-12)
    steady = correlation(np.stack([series[0], np.full(50, 0.99)]).astype(np.float32))
    assert steady[0, 0] == pytest.approx(1) and np.isnan(steady[1]).all() and len(off_diagonal(steady)) == 0


def test_values_of_one_control_are_taken_about_their_own_means() -> None:
    motion = np.random.default_rng(0).normal(size=(2, 500, 1))
    values = np.concatenate([motion, motion], axis=2) + np.array(
        [0.0, 1000.0]
    )  # apart, and not moving together
    np.testing.assert_allclose(correlation(values), np.corrcoef(motion[..., 0]), atol=1e-9)


# Figures


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures in place of files."""
    found: list[Any] = []
    monkeypatch.setattr(string_figures, "save", lambda figure, path: found.append(figure))
    return found


def test_example_is_the_start_of_the_first_file(data: StemFolder) -> None:
    _, shown = listen(Guitar(), data, seconds=1.0)
    frames = RATE // HOP
    assert shown.track == "00_BN1_comp_hex" and shown.target.shape == shown.masked.shape == (6, frames * HOP)
    assert list(shown.controls) == ["shape", "tone_hz", "gain"] and shown.units["tone_hz"] == "Hz"
    assert shown.controls["shape"].shape == (6, frames, 8) and shown.pitch["onset"].sum() == 6
    _, longest = listen(Guitar(), data, seconds=60.0)
    assert longest.target.shape[-1] == 2 * SEGMENT  # its whole excerpts
    assert longest.pitch["onset"].sum() == 12  # in each of which the strings are plucked


def test_example_is_what_the_rows_were_made_from(data: StemFolder) -> None:
    model = Guitar()
    _, shown = listen(model, data, seconds=SEGMENT / RATE)
    batch = next(iter(data.test_dataloader()))
    torch.manual_seed(0)
    with torch.no_grad():
        rendered = model(*(batch[name][:1] for name in ("mixture", "f0_hz", "onset")))
        masked = model.masked(batch["mixture"][:1], rendered, 2.0)
    np.testing.assert_array_equal(shown.synthesised, rendered.sources[0].numpy())
    np.testing.assert_array_equal(shown.masked, masked[0].numpy())
    np.testing.assert_array_equal(shown.target, batch["sources"][0].numpy())


def test_survey_and_example_come_back_from_their_files(data: StemFolder, tmp_path: Path) -> None:
    found = listen(Guitar(), data)
    survey_files.save(*found, tmp_path)
    for one, again in zip(found, survey_files.read(tmp_path), strict=True):
        for name, value in one._asdict().items():
            other = getattr(again, name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, other)
            elif isinstance(value, dict) and name != "units":
                assert list(value) == list(other)
                for key in value:
                    np.testing.assert_array_equal(value[key], other[key])
            else:
                assert value == other, name
    file = tmp_path / "example.npz"
    for content in (file.read_bytes()[:-100], b"", b"something else"):
        file.write_bytes(content)
        with pytest.raises(DdspZooError, match="damaged: delete it"):
            survey_files.read(tmp_path)


def test_controls_take_as_many_figures_as_they_need(
    data: StemFolder, tmp_path: Path, drawn: list[Any]
) -> None:
    _, shown = listen(Guitar(), data, seconds=0.5)
    many = {f"gain_{number}": shown.controls["gain"] for number in range(3)} | shown.controls
    written = string_figures.draw_controls(shown._replace(controls=many), tmp_path)
    assert [path.name for path in written] == ["controls.png", "controls_2.png"]
    titles = [[axes.get_title() for axes in figure.axes if axes.get_title()] for figure in drawn]
    assert [title.split()[0].rstrip(",;") for title in titles[0]] == ["f0", "gain_0", "gain_1", "gain_2"]
    assert titles[1][0].startswith("shape, 8 values") and titles[1][1].startswith("tone_hz (Hz)")
    strokes = [line for line in drawn[0].axes[0].lines if line.get_color() == string_figures.RED]
    assert len(strokes) == 1 and strokes[0].get_xdata()[0] == pytest.approx(3 * HOP / RATE)


def test_axes_of_controls() -> None:
    assert string_figures._span(np.array([1.0, 2.0, 3.0]))[2] == "linear"
    low, high, scale = string_figures._span(np.geomspace(1e-7, 1, 50))
    assert scale == "log" and low == pytest.approx(1e-4 / 1.5) and high > 1
    low, high, _ = string_figures._span(np.zeros(3))
    assert low < 0 < high


def test_cells_without_a_value_stay_empty(tmp_path: Path, drawn: list[Any]) -> None:
    matrix = np.array([[1.0, np.nan], [np.nan, np.nan]])
    string_figures.draw_matrices({"one": matrix, "two": np.eye(2)}, ["a", "b"], tmp_path / "matrices.png")
    texts = [[text.get_text() for text in axes.texts] for axes in drawn[0].axes[:2]]
    assert texts == [["1.00"], ["1.00", "0.00", "0.00", "1.00"]]


# What is reported on


def test_models_by_name_and_by_path(tmp_path: Path) -> None:
    released = strings.find_checkpoints()
    assert "exB4" in released and "ast_ddsp_bass" not in released and released["exB4"] == zoo.find("exB4")
    paths = [tmp_path / "own/exB4", tmp_path / "runs/long/checkpoints/best.ckpt", tmp_path / "weights.ckpt"]
    assert strings.find_checkpoints(paths=paths) == dict(zip(("exB4", "long", "weights"), paths))
    assert list(strings.find_checkpoints(["exB4"], paths[:1])) == ["exB4", "exB4_2"]


def test_losses_of_checkpoints_and_runs(tmp_path: Path) -> None:
    for name in ("with", "without", "run"):
        (tmp_path / name).mkdir()
    text = "step,train/loss,validation/loss\n9,5,6\n19,3,4\n"
    (tmp_path / "with/curve.csv").write_text(text)
    (tmp_path / "run/metrics.csv").write_text(text)
    checkpoints = {name: tmp_path / name for name in ("with", "without")}
    losses = strings.find_losses(checkpoints, [tmp_path / "run"])
    assert list(losses) == ["with", "run"] and [row["epoch"] for row in losses["with"]] == [0, 1]
    (tmp_path / "with/curve.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(DdspZooError, match="holds no loss"):
        strings.find_losses(checkpoints)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    given: list[Any] = []
    monkeypatch.setattr(
        strings, "report", lambda *arguments: given.extend(arguments) or [Path("report.md")] * 3
    )
    write_track(tmp_path / "test/one", NAMES[:1])
    arguments = [
        "--data",
        "StemFolder",
        "--root",
        str(tmp_path),
        "--out",
        "there",
        "--tracks",
        "2",
        "--seeds",
        "3",
    ]
    assert main(["report", "strings", "--models", "exB4", *arguments]) == 0
    assert "there: report.md and 2 figures of exB4" in capsys.readouterr().out
    models, data, *rest = given
    assert list(models) == ["exB4"] and data.root == tmp_path and set(rest.pop(1)) == {"exB4"}
    assert rest == ["there", 2, range(3), "cpu"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["strings"], "--data"),
        (["strings", "--data", "StemFolder", "--models", "exB9"], "There is no model 'exB9'"),
        (
            ["strings", "--data", "StemFolder", "--root", ".", "--checkpoints", "none"],
            "none is no checkpoint",
        ),
        (["strings", "--data", "StemFolders", "--models", "exB4"], "did you mean StemFolder"),
        (
            ["strings", "--data", "StemFolder", "--root", ".", "--models", "ast_ddsp_bass"],
            "separates bass, drums, guitar, rest",
        ),
        (["./strings"], "strings holds no evaluation"),
    ],
)
def test_refusals(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and not (tmp_path / "report").exists()
