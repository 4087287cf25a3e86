"""The protocol for bands: models of different sources, and stems from elsewhere, on the same whole tracks."""

import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from torch import Tensor

from ddsp_zoo.api.ladder import separate
from ddsp_zoo.cli import main
from ddsp_zoo.corpora import MusicDelta
from ddsp_zoo.corpora.folder import StemFolder
from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.dsp.noise import Generators, noise_frames
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import band_rows, metrics
from ddsp_zoo.measuring.metrics import (
    IMPROVEMENT,
    LEVEL_IN_SILENCE,
    LIMIT_DB,
    SDR_V4,
    SI_SDR,
    Metric,
)
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.measuring.whole_tracks import BothMasks, of_folder, of_model, read_piece
from ddsp_zoo.measuring.windows import measure, silent_windows, sounding_windows
from ddsp_zoo.reports import band_pages, bands, figures
from ddsp_zoo.reports.tables import by_source
from ddsp_zoo.separation.masks import apply_masks, soft_masks
from ddsp_zoo.separation.result import Rendered
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet
from ddsp_zoo.synths.streaming import Frames, Window

RATE = 8000
HERTZ = {"bass": 100, "drums": 1000, "guitar": 500}
Capture = pytest.CaptureFixture[str]


class Waves(Synth):
    """Plays frames of samples as they are, and a little noise."""

    after = 0

    def __init__(self, sample_rate: int, hop: int) -> None:
        super().__init__(sample_rate, hop)
        self.controls = ControlSet((Control("wave", "1", "its samples", low=-1.0, size=hop, role="level"),))

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        noise = 0.01 * noise_frames(controls["wave"], controls["wave"].shape[1], self.hop, generator)
        return controls | {"noise": noise}, None

    def play(self, window: Window, sound: None) -> tuple[Tensor, Tensor, None]:
        tonal = window.now("wave").flatten(1)
        return tonal + window.now("noise").flatten(1), tonal, None


class Bands(torch.nn.Module):
    """A band of frequencies a source: below 300 Hz, above 700 Hz, between; what is named "rest" is the last one."""

    needs_pitch, hop_samples, mask_fft = False, 64, 512
    device, power = torch.device("cpu"), 1.0

    def __init__(self, sources: tuple[str, ...] = ("bass", "rest"), sample_rate: int = RATE) -> None:
        super().__init__()
        self.sources, self.sample_rate, self.segment_samples = sources, sample_rate, sample_rate
        self.expected_masks = True
        self.targets = tuple(name for name in sources if name != "rest")
        self.synth = Waves(sample_rate, self.hop_samples)
        self.declared = {control.name: control for control in self.synth.controls}
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.hparams = {"sources": sources, "sample_rate": sample_rate}

    @property
    def rows(self) -> list[int]:
        return [self.sources.index(name) for name in self.targets]

    def forward(self, audio: Tensor, generator: torch.Generator | None = None) -> Rendered:
        controls = self.predict_controls(audio)
        sound = self.synth.render(controls, generator)
        return Rendered(sound.audio, controls, sound.tonal)

    def hearing(self, mixture: Tensor) -> Tensor:
        return one_channel(mixture)

    def predict_controls(self, audio: Tensor) -> Controls:
        hertz = torch.fft.rfftfreq(audio.shape[-1], 1 / self.sample_rate)
        shares = {"bass": hertz < 300, "drums": hertz > 700, "guitar": (hertz >= 300) & (hertz <= 700)}
        named = [shares[name] for name in self.targets]
        spectra = torch.fft.rfft(audio)[:, None] * torch.stack([*named, ~torch.stack(named).any(0)])
        audio = self.gain.detach() * torch.fft.irfft(spectra, audio.shape[-1])[:, : len(self.sources)]
        return {"wave": audio.unflatten(-1, (-1, self.hop_samples))}

    def cut(self, mixture: Tensor, rendered: Rendered) -> tuple[Tensor, Controls]:
        return self.masked_each(mixture, rendered, (self.power,))[0][:, self.rows], {}

    def masked_each(
        self, mixture: Tensor, rendered: SimpleNamespace, powers: Sequence[float]
    ) -> list[Tensor]:
        window = {"n_fft": self.mask_fft, "hop": self.hop_samples}
        masks = [soft_masks(rendered.tonal, power, **window) for power in powers]
        return [apply_masks(mixture, mask, **window) for mask in masks]


def write_track(
    folder: Path, seconds: float = 2.2, rate: int = RATE, silent: str = ""
) -> dict[str, np.ndarray]:
    """Three tones; the first second of ``silent`` is."""
    folder.mkdir(parents=True)
    time = np.arange(round(seconds * rate)) / rate
    stems = {name: 0.1 * np.sin(2 * np.pi * hz * time) for name, hz in HERTZ.items()}
    for name, audio in stems.items():
        if name == silent:
            audio[:rate] = 0
        sf.write(folder / f"{name}.wav", audio, rate, "FLOAT")
    return stems


def data_in(root: Path, rate: int = RATE) -> StemFolder:
    write_track(root / "test/one", rate=rate)
    write_track(root / "test/two", 1.2, rate, silent="drums")
    return StemFolder(root)


def row_of(path: Path, **wanted: str) -> dict[str, str]:
    with path.open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if wanted.items() <= row.items()]
    return row


# The report


def test_models_of_different_sources_side_by_side(tmp_path: Path) -> None:
    data, out = data_in(tmp_path / "data"), tmp_path / "out"
    for track in data.tracks("test"):
        folder = tmp_path / "theirs" / track.name
        folder.mkdir(parents=True)
        guitar, rate = sf.read(track.stems["guitar"][0])
        sf.write(folder / "guitar.flac", 0.5 * guitar, rate)
        sf.write(folder / "residual.wav", guitar, rate)  # not a source of the data
    models = {"one": Bands(), "two": Bands(("drums", "bass", "rest"))}
    written = bands.report(models, [data], out, {"theirs": tmp_path / "theirs"}, progress=False)
    assert [path.name for path in written] == [
        "report.md",
        "si_sdr_db_StemFolder_8000.png",
        "mel_cepstral_distance_StemFolder_8000.png",
        "summary.csv",
    ]
    assert all(path.stat().st_size > 1000 for path in written)
    page = written[0].read_text(encoding="utf-8")
    overview, bass, drums, guitar, systems = (part for part in page.split("\n##")[1:])
    assert "| system | bass | drums | guitar |" in overview
    (theirs,) = [line for line in overview.splitlines() if line.startswith("| theirs |")]
    assert theirs.startswith("| theirs | - | - | ") and "| - | - | - |" not in theirs
    names = [f"{name}: {output}" for name in models for output in ("synthesised", "masked", "masked_power")]
    found = [
        [line.split(" | ")[0][2:] for line in part.splitlines() if line.startswith("| ")][1:]
        for part in (bass, drums, guitar)
    ]
    known = ["noise", "mixture", "irm", "irm_power"]
    assert [set(rows) for rows in found] == [
        {*known, *names},
        {*known, *names[3:]},
        {*known, "theirs"},
    ]
    assert f"- theirs: stems in `{tmp_path / 'theirs'}`" in systems and "rest" not in page
    where = {"source": "bass", "metric": "si_sdr_improvement_db", "sample_rate": "8000"}
    assert float(row_of(out / "summary.csv", system="one: masked_power", **where)["mean"]) > 30
    assert float(row_of(out / "summary.csv", system="mixture", **where)["mean"]) == 0


def test_a_model_of_a_higher_rate_is_measured_at_its_own_too(tmp_path: Path, undrawn: None) -> None:
    data, out = data_in(tmp_path / "data", 16000), tmp_path / "out"
    bands.report({"low": Bands(), "high": Bands(sample_rate=16000)}, [data], out, progress=False)
    folders = {path.parent.relative_to(out).as_posix() for path in out.rglob("rows.csv")}
    assert folders == {
        f"StemFolder/{where}"
        for where in ("8000/baselines", "8000/low", "8000/high", "16000/baselines", "16000/high")
    }
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "## StemFolder at 16 kHz" in page and "low: masked" not in page.partition("at 16 kHz")[2]
    data = data_in(tmp_path / "dull")
    bands.report({"high": Bands(sample_rate=16000)}, [data], tmp_path / "out_2", progress=False)
    assert not (tmp_path / "out_2/StemFolder/16000").exists()


def test_only_what_changed_is_measured_again(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, models = data_in(tmp_path / "data"), {"a": Bands(), "b": Bands(("guitar", "rest"))}
    measured: list[str] = []

    def rows_of(piece: Any, system: Any, rate: int, seeds: Any) -> Any:
        measured.append(system.name if system else "baselines")
        return band_rows.rows_of(piece, system, rate, seeds)

    monkeypatch.setattr(bands, "rows_of", rows_of)

    def again(**change: Any) -> list[str]:
        measured.clear()
        bands.report(models, [data], tmp_path / "out", progress=False, limit_tracks=1, **change)
        return measured.copy()

    assert again() == ["baselines", "a", "b"] and again() == []
    models["b"].gain.data += 1
    assert again() == ["b"] and again() == []
    assert again(seeds=(0, 1)) == ["baselines", "a", "b"]
    sf.write(tmp_path / "data/test/one/bass.wav", np.ones(round(2.2 * RATE)) / 9, RATE, "FLOAT")
    assert again(seeds=(0, 1)) == ["baselines", "a", "b"]


# What is measured


def test_stems_from_elsewhere_are_measured_as_they_are(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    tracks = data.tracks("test")[1:]
    noise = 0.01 * np.random.default_rng(0).standard_normal(round(1.2 * RATE))
    (tmp_path / "theirs/two").mkdir(parents=True)
    drums = sf.read(tracks[0].stems["drums"][0])[0]
    sf.write(tmp_path / "theirs/two/drums.wav", drums + noise, RATE, "FLOAT")
    write_track(tmp_path / "test/three", silent="drums")
    track = data.tracks("test")[1]
    (tmp_path / "theirs/three").mkdir(parents=True)
    sf.write(tmp_path / "theirs/three/drums.wav", 0.1 * read_piece(track).mixture, RATE, "FLOAT")
    assert track.name == "three"
    system = of_folder("theirs", tmp_path / "theirs", [track])
    rows = list(band_rows.rows_of(read_piece(track), system, RATE, (0,)))
    own = {(row["frame"], row["source"]): row for row in rows if row["system"] == "theirs"}
    assert set(own) == {(0, "drums"), (1, "drums")}
    assert own[0, "drums"]["silence_leak_db"] == pytest.approx(-20, abs=0.01)
    assert math.isnan(own[0, "drums"]["si_sdr_db"]) and math.isnan(own[1, "drums"]["silence_leak_db"])
    assert own[1, "drums"]["si_sdr_improvement_db"] == pytest.approx(0, abs=0.01)
    mixture = {(row["frame"], row["source"]): row for row in rows if row["system"] == "mixture"}
    assert mixture[0, "drums"]["silence_leak_db"] == 0 and len(mixture) == 6
    assert mixture[1, "bass"]["si_sdr_db"] == pytest.approx(10 * np.log10(1 / 2), abs=0.01)


def test_improvement_is_over_the_mixture_in_the_same_window(tmp_path: Path) -> None:
    stems = write_track(tmp_path / "test/one")
    noise = np.random.default_rng(0).standard_normal(len(stems["bass"]))
    noise *= 0.1 * np.sqrt(np.mean(stems["bass"] ** 2) / np.mean(noise**2))
    (tmp_path / "theirs/one").mkdir(parents=True)
    sf.write(tmp_path / "theirs/one/bass.wav", stems["bass"] + noise, RATE, "FLOAT")
    tracks = StemFolder(tmp_path).tracks("test")
    system = of_folder("theirs", tmp_path / "theirs", tracks)
    rows = [
        row
        for row in band_rows.rows_of(read_piece(tracks[0]), system, RATE, (0,))
        if row["system"] == "theirs"
    ]
    assert [row["frame"] for row in rows] == [0, 1]
    for row in rows:
        assert row["si_sdr_db"] == pytest.approx(20, abs=0.2)
        assert row["sdr_v4_db"] == pytest.approx(20, abs=0.2)
        assert row["si_sdr_improvement_db"] == pytest.approx(23, abs=0.2)


def test_masks_of_both_powers_are_those_of_separate(tmp_path: Path) -> None:
    write_track(tmp_path / "one", 3.3, 11025)
    (piece,) = map(read_piece, StemFolder(tmp_path.parent).tracks(tmp_path.name))
    model = Bands(("rest", "drums", "bass"))
    model.targets = ("drums", "bass")
    outputs = dict(of_model("one", model, [3]).estimate(piece))
    for output, model.power in (("masked", 1.0), ("masked_power", 2.0)):
        expected = separate(model, piece.mixture, piece.sample_rate, seed=3)
        for name in model.targets:
            np.testing.assert_allclose(outputs[output][name], expected.stems[name][0], atol=1e-6)
            np.testing.assert_allclose(outputs["synthesised"][name], expected.synthesised[name][0], atol=1e-6)
    assert np.abs(outputs["masked"]["bass"] - outputs["masked_power"]["bass"]).max() > 1e-4


def test_both_masks_cut_what_one_set_of_controls_plays() -> None:
    both, mixture = BothMasks(Bands()), torch.randn(2, 1, RATE)
    controls = both.predict_controls(mixture[:, 0])
    sound = both.synth.render(controls)
    assert both.cut(mixture, Rendered(sound.audio, controls, sound.tonal))[0].shape == (2, 2, 1, RATE)
    result = separate(both, mixture[0, 0], RATE)
    assert len(result.stems) == len(result.synthesised) == 2
    for source in both.model.targets:
        once, twice = (result.controls[source, mask] for mask in ("masked", "masked_power"))
        assert once and all(np.array_equal(once[name], twice[name]) for name in once)


def test_silent_windows_are_those_in_which_others_play() -> None:
    sources = torch.ones(1, 2, 50)
    sources[0, 0, 10:30] = 0
    sources[0, 1, 20:30] = 0
    sources[0, 1, 40:] = 1e-4
    batch = {"sources": sources, "mixture": sources.sum(1)}
    assert [(frame, silent) for frame, _, silent in silent_windows(batch, 10)] == [(1, [0]), (4, [1])]
    batch["mixture"] = batch["mixture"] * 0
    assert list(silent_windows(batch, 10)) == []


def test_systems_that_the_package_does_not_know_are_measured_in_their_order() -> None:
    sources = torch.randn(1, 1, 20)
    estimates = [
        (name, sources * gain) for name, gain in (("zebra", 1), ("ape", 2), ("mixture", 3), ("ape", 4))
    ]
    batch = {"sources": sources, "mixture": sources[:, 0]}
    level = Metric("level", "", True, lambda estimate, x: estimate.mean(-1) / x.reference.mean(-1))
    rows = measure(estimates, batch, ["bass"], 10, RATE, [level])
    assert [(row["system"], round(row["level"])) for row in rows] == 2 * [
        ("mixture", 3),
        ("zebra", 1),
        ("ape", 3),
    ]


def test_sdr_v4_is_the_median_over_tracks_of_medians_over_windows() -> None:
    values = {"a": [1, 2, 30], "b": [5], "c": [9, 10, 11, 12, math.nan]}
    rows = [
        {
            "track": track,
            "source": "bass",
            "frame": frame,
            "system": "x",
            "sdr_v4_db": value,
            "si_sdr_db": value,
        }
        for track, frames in values.items()
        for frame, value in enumerate(frames)
    ]
    summary = {row["metric"]: row for row in band_pages.summarise(rows)}
    assert set(summary) == {"sdr_v4_db", "si_sdr_db"}
    assert summary["sdr_v4_db"]["median"] == 5 and summary["sdr_v4_db"]["count"] == 3
    assert summary["si_sdr_db"]["median"] == 9.5 and summary["si_sdr_db"]["source"] == "bass"
    table = band_pages.instrument_table(
        band_pages.summarise(rows), "bass", (SI_SDR, SDR_V4, LEVEL_IN_SILENCE)
    )
    assert "| 5.00 |" in table and table.endswith("| - |")


def test_snr_in_windows_is_musevals_sdr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "musdb", ModuleType("musdb"))  # wants a program, and is not needed
    bss_eval = pytest.importorskip("museval.metrics", reason="museval is not installed").bss_eval
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(3, 4000, generator=generator, dtype=torch.float64)
    estimate = 0.8 * reference + 0.3 * torch.randn(3, 4000, generator=generator, dtype=torch.float64)
    whole = [x.reshape(1, -1, 1).numpy() for x in (reference, estimate)]
    expected = bss_eval(*whole, window=4000, hop=4000)[0][0]
    np.testing.assert_allclose(metrics.snr(estimate, reference), expected, atol=1e-6)


def test_snr() -> None:
    reference = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    estimate = torch.tensor([[3.0, 4.5], [1.0, 0.0], [1.0, 0.0]])
    found = metrics.snr(estimate, reference)
    assert found[0].item() == pytest.approx(20) and found[1].isnan() and found[2] == torch.inf


def test_columns_and_panels_of_all_sources_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"track": "t", "source": source, "frame": 0, "system": "mixture", "si_sdr_db": 1.0}
        for source in HERTZ
    ]
    assert by_source(summarise(rows))[0] == ["system", "all", *HERTZ]
    assert by_source(summarise(rows), together=False)[0] == ["system", *HERTZ]
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure))
    for together in (True, False):
        figures.box_plot(rows, SI_SDR, tmp_path / "x.png", together=together)
    assert [[axes.get_title() for axes in figure.axes] for figure in drawn] == [["all", *HERTZ], [*HERTZ]]


def test_less_is_better_in_silence() -> None:
    assert figures.axis_label(LEVEL_IN_SILENCE).endswith("lower is better")
    assert figures.axis_label(IMPROVEMENT).endswith("higher is better")


def test_a_stem_that_is_silent_where_it_should_be_is_limited(tmp_path: Path) -> None:
    write_track(tmp_path / "test/one", silent="drums")
    tracks = StemFolder(tmp_path).tracks("test")
    stems = tmp_path / "test"  # the right answer
    rows = band_rows.rows_of(read_piece(tracks[0]), of_folder("right", stems, tracks), RATE, (0,))
    own = [row for row in rows if row["system"] == "right"]
    assert [row["silence_leak_db"] for row in own if not math.isnan(row["silence_leak_db"])] == [-LIMIT_DB]
    assert {row["si_sdr_db"] for row in own if not math.isnan(row["si_sdr_db"])} == {LIMIT_DB}


# What cannot be measured


def test_stems_that_do_not_fit_the_tracks(tmp_path: Path) -> None:
    tracks = data_in(tmp_path / "data").tracks("test")
    folder = tmp_path / "theirs"
    assert of_folder("x", folder, tracks) is None
    write_track(folder / "one")
    with pytest.raises(DdspZooError, match=r"no .*two/bass.wav or .flac: x needs the same stems"):
        of_folder("x", folder, tracks)
    write_track(folder / "two", 0.9)
    with pytest.raises(DdspZooError, match=r"two/bass.wav is 0.9 s long, and its track 1.2 s"):
        of_folder("x", folder, tracks)


@pytest.mark.parametrize(
    ("models", "estimates", "message"),
    [
        ({}, {}, "nothing to report on"),
        ({"a": Bands()}, {"a": "."}, "a is the name of something else"),
        ({"a": Bands()}, {"mixture": "."}, "mixture is the name of something else"),
        ({"a": Bands()}, {"b": "nowhere"}, "nowhere has no stems of any of these tracks"),
        ({"a": Bands(("flute", "rest"))}, {}, "a separates flute, and StemFolder has bass, drums, guitar"),
    ],
)
def test_what_cannot_be_reported_on(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, models: Any, estimates: Any, message: str
) -> None:
    monkeypatch.setattr(bands, "_measure_all", lambda *_: pytest.fail("measured before it was checked"))
    with pytest.raises(DdspZooError, match=message):
        bands.report(models, [data_in(tmp_path / "data")], tmp_path / "out", estimates, progress=False)


def test_models_that_need_pitch_are_refused() -> None:
    model = Bands()
    model.needs_pitch = True
    with pytest.raises(DdspZooError, match="a needs the pitch"):
        of_model("a", model, (0,))


def test_silence_alone_is_told(tmp_path: Path) -> None:
    (tmp_path / "test/one").mkdir(parents=True)
    sf.write(tmp_path / "test/one/bass.wav", np.zeros(RATE), RATE)
    with pytest.raises(DdspZooError, match="All tracks of the test split are silent"):
        bands.report({"a": Bands()}, [StemFolder(tmp_path)], tmp_path / "out", progress=False)


# The command


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from ddsp_zoo import zoo

    given: list[Any] = []
    monkeypatch.setattr(
        bands, "report", lambda *arguments: given.extend(arguments) or [Path("report.md"), Path("a.png")]
    )
    monkeypatch.setattr(bands, "find_checkpoints", lambda names, paths: dict.fromkeys(names or ["all"]))
    monkeypatch.setattr(zoo, "load", lambda name, checkpoint, kind: name)
    arguments = ["--data", "StemFolder", "--root", str(tmp_path), "--songs", "songs", "--out", "there"]
    assert (
        main(["report", "bands", "--models", "m", "--estimates", "x=folder", *arguments, "--tracks", "2"])
        == 0
    )
    assert "there: report.md, a.png of m, x" in capsys.readouterr().out
    models, (data, songs), *rest = given
    assert models == {"m": "m"} and data.root == tmp_path and isinstance(songs, MusicDelta)
    assert songs.root == "songs" and rest == ["there", {"x": "folder"}, 2, range(1), "cpu"]
    for options, expected in ((["--estimates", "x=folder"], {}), ([], {"all": "all"})):
        given.clear()
        main(["report", "bands", *options, "--songs", "songs"])
        assert given[0] == expected and len(given[1]) == 1


def test_all_models_of_a_band_are_found_and_no_choir() -> None:
    found = bands.find_checkpoints()
    assert {"ast_ddsp_all", "ast_ddsp_all_8k"} <= set(found) and not {"umss_4v", "exB4"} & set(found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name data with --data, or real songs with --songs"),
        (["--songs", ".", "--estimates", "folder"], "'folder' is not NAME=FOLDER"),
        (["--songs", ".", "--models", "ast_ddsp_basss"], "There is no model 'ast_ddsp_basss'"),
        (["--songs", ".", "--estimates", "a=b"], "There is no <song>/<song>_METADATA.yaml"),
    ],
)
def test_refusals(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "bands", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_source_beside_which_nothing_sounds_is_not_measured_where_there_is_a_rest() -> None:
    sources = torch.ones(1, 2, 30)
    sources[0, 1, 10:20] = 10 ** (-31 / 20)
    sources[0, 1, 20:] = 0
    batch = {"sources": sources, "mixture": sources.sum(1)}
    frames = [(frame, heard) for frame, _, heard in sounding_windows(batch, 10, contested=True)]
    assert frames == [(0, [0, 1]), (1, [1])]
    assert [heard for _, _, heard in sounding_windows(batch, 10)] == [[0, 1], [0, 1], [0]]
