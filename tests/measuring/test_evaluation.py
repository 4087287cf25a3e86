"""Baselines, protocol, tables and figures, on small synthetic excerpts."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import baselines
from ddsp_zoo.measuring.metrics import LIMIT_DB, METRICS, SI_SDR, Metric, Window, si_sdr
from ddsp_zoo.measuring.protocol import SEEDS, Heard, evaluate
from ddsp_zoo.measuring.summary import source_names, summarise
from ddsp_zoo.measuring.systems import SYSTEMS
from ddsp_zoo.reports import comparison, evaluation, figures, report, tables
from ddsp_zoo.separation.masks import apply_masks, single_mask, soft_masks

RATE, HOP = 4000, 50
GIVEN_PITCH = {
    "comb_mask",
    "comb_mask_power",
    "nmf",
    "harmonic_ls",
    "harmonic_ls_masked",
    "harmonic_ls_masked_power",
    "harmonic_ls_shared",
}

BRIEFLY = {"seeds": (0,), "metrics": (SI_SDR,)}  # where neither is what is tested
OF_MODEL = BRIEFLY | {"parts": ("model",)}  # where baselines are not looked at


def tone(f0_hz: float, samples: int, harmonics: int = 8) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE
    partials = [torch.sin(2 * math.pi * k * f0_hz * time) / k for k in range(1, harmonics + 1)]
    return 0.1 * torch.stack(partials).sum(0).float()


def excerpt(*f0_hz: float, samples: int = 2 * RATE) -> dict[str, Tensor]:
    """A batch of one excerpt with one harmonic source for each f0; 0 is silence."""
    sources = torch.stack([tone(f, samples) for f in f0_hz])[None]
    pitch = torch.tensor(f0_hz)[None, :, None].expand(1, -1, samples // HOP)
    return {"mixture": sources.sum(1), "sources": sources, "f0_hz": pitch, "onset": torch.zeros_like(pitch)}


class Rendered(NamedTuple):
    sources: Tensor
    tonal: Tensor


class FakeModel:
    """Returns what ``answer`` makes of the mixture (B, T), and remembers what it was given."""

    sample_rate, hop_samples, mask_fft = RATE, HOP, 512

    def __init__(self, answer: Any, sources: tuple[str, ...] = ("high", "low")) -> None:
        self.answer, self.sources, self.given, self.powers = answer, sources, [], []

    def __call__(self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None) -> Rendered:
        self.given.append((audio, f0_hz, onset))
        return Rendered(self.answer(audio), self.tonal(audio))

    def tonal(self, audio: Tensor) -> Tensor:
        return self.answer(audio)

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        self.powers += powers
        window = {"n_fft": self.mask_fft, "hop": self.hop_samples}
        if len(self.sources) == 1:
            masks = [single_mask(rendered.sources, mixture, power, **window) for power in powers]
        else:
            masks = [soft_masks(rendered.tonal, power, **window) for power in powers]
        return [apply_masks(mixture, mask, **window) for mask in masks]


class FakeLoader(list):
    """Batches whose dataset knows their track."""

    def __init__(self, batches: list[dict[str, Tensor]], tracks: list[str] | None = None) -> None:
        super().__init__(batches)
        if tracks:
            self.dataset = self
            self.track_of = tracks.__getitem__


class FakeData:
    def __init__(self, batches: list[dict[str, Tensor]], tracks: list[str] | None = None) -> None:
        self.loader, self.calls = FakeLoader(batches, tracks), []

    def feed(self, model: Any, split: str | None = None) -> None:
        self.calls.append("feed")

    def prepare_data(self) -> None:
        self.calls.append("prepare")

    def setup(self, stage: str) -> None:
        self.calls.append(stage)

    def test_dataloader(self) -> FakeLoader:
        return self.loader

    val_dataloader = test_dataloader


def noisy_answer(audio: Tensor) -> Tensor:
    return torch.rand(len(audio), 2, audio.shape[-1]) - 0.5


def rows_of(model: Any, data: FakeData, **options: Any) -> list[dict[str, Any]]:
    return evaluate(model, data, progress=False, **options)


def column(rows: list[dict[str, Any]], system: str, metric: str = "si_sdr_db") -> list[float]:
    return [row[metric] for row in rows if row["system"] == system]


# Baselines


def test_ideal_masks_are_bounds_and_the_sum_form_keeps_the_mixture() -> None:
    batch = excerpt(440, 300)
    sources, mixture = batch["sources"], batch["mixture"]
    for power in (1.0, 2.0):
        ideal = baselines.irm_sum(sources, mixture, power, n_fft=512, hop=64)
        torch.testing.assert_close(ideal.sum(1), mixture, atol=1e-5, rtol=0)
    for mask in (ideal, baselines.irm_mixture(sources, mixture, n_fft=512, hop=64)):
        assert (si_sdr(mask, sources) > si_sdr(baselines.mixture_itself(mixture, 2), sources) + 10).all()


def test_ideal_mask_of_one_source_counts_the_rest_of_the_mixture() -> None:
    batch = excerpt(440, 300)
    one = baselines.irm_sum(batch["sources"][:, :1], batch["mixture"], n_fft=512, hop=64)
    both = baselines.irm_sum(batch["sources"], batch["mixture"], n_fft=512, hop=64)
    torch.testing.assert_close(one, both[:, :1], atol=1e-5, rtol=0)


def test_ideal_mask_against_the_mixture_is_the_exact_ratio() -> None:
    mixture = tone(200, 1000)[None]
    third = baselines.irm_mixture(mixture[:, None] / 3, mixture, power=2.0, n_fft=512, hop=64)
    torch.testing.assert_close(third[:, 0], mixture / 9, atol=1e-5, rtol=0)


def test_noise_is_uniform_of_amplitude_one_and_repeatable() -> None:
    like = torch.zeros(1, 2, 50_000)
    noise = baselines.white_noise(like, seed=3)
    assert -1 <= noise.min() < -0.99 and 0.99 < noise.max() <= 1
    assert noise.square().mean().item() == pytest.approx(1 / 3, rel=0.02)
    assert torch.equal(noise, baselines.white_noise(like, seed=3))
    assert not torch.equal(noise, baselines.white_noise(like, seed=4))


def test_comb_has_the_documented_spectrum() -> None:
    comb = baselines._harmonic_comb(torch.full((1, 1, 80), 100.0), RATE, HOP, RATE)[0, 0]
    spectrum = torch.fft.rfft(comb).abs() / (RATE / 2)  # 1-Hz bins
    peaks = spectrum[100:2000:100] * 19  # 19 harmonics lie below Nyquist and share the amplitude
    expected = 200 / (100 * torch.arange(1, 20)).clamp(min=200)
    torch.testing.assert_close(peaks, expected, atol=0.01, rtol=0)
    assert spectrum[150:2000:100].max() < 1e-3


def test_comb_is_silent_where_unvoiced_and_where_no_pitch_is_known() -> None:
    f0_hz = torch.zeros(2, 1, 60)
    f0_hz[1, :, 20:40] = 100
    comb = baselines._harmonic_comb(f0_hz, RATE, HOP, 80 * HOP)
    assert comb.shape == (2, 1, 80 * HOP) and (comb[0] == 0).all()
    assert (comb[1, 0, : 19 * HOP] == 0).all() and (comb[1, 0, 40 * HOP :] == 0).all()
    assert (comb[1, 0, 20 * HOP : 39 * HOP].unflatten(0, (-1, HOP)).abs().amax(1) > 0).all()


def test_comb_mask_separates_by_pitch_alone() -> None:
    batch = excerpt(430, 300)
    masked = baselines.comb_mask(batch["mixture"], batch["f0_hz"], RATE, HOP, power=2.0, n_fft=1024, hop=128)
    torch.testing.assert_close(masked.sum(1), batch["mixture"], atol=1e-5, rtol=0)
    assert (si_sdr(masked, batch["sources"]) > 10).all()


def test_systems_of_given_pitch_separate_and_share_the_mixture() -> None:
    batch = excerpt(430, 300)
    found = baselines.given_pitch(batch["mixture"], batch["f0_hz"], RATE, HOP, n_fft=512, hop=HOP)
    assert set(found) == GIVEN_PITCH
    for name, estimate in found.items():
        assert (si_sdr(estimate, batch["sources"]) > (8 if "harmonic" in name else 5)).all(), name
        if name != "harmonic_ls":
            torch.testing.assert_close(estimate.sum(1), batch["mixture"], atol=1e-5, rtol=0)


# Protocol


def test_one_row_for_each_track_source_window_and_system() -> None:
    data = FakeData([excerpt(440, 300), excerpt(330, 200)], ["a", "b"])
    model = FakeModel(noisy_answer)
    rows = rows_of(model, data, **BRIEFLY)
    assert data.calls == ["feed", "prepare", "test"]
    keys = {(row["track"], row["source"], row["frame"], row["system"]) for row in rows}
    assert keys == {
        (track, source, frame, system)
        for track in "ab"
        for source in ("high", "low")
        for frame in (0, 1)
        for system in SYSTEMS
    } and len(rows) == len(keys)
    mixture, f0_hz, onset = model.given[0]
    assert torch.equal(mixture, excerpt(440, 300)["mixture"]) and f0_hz.shape == onset.shape == (1, 2, 160)


def test_numbers_are_those_of_the_metric_on_the_window() -> None:
    batch = excerpt(440, 300)
    estimate = batch["sources"] + 0.3 * batch["mixture"][:, None]
    rows = rows_of(FakeModel(lambda audio: estimate), FakeData([batch]), **OF_MODEL)
    second = slice(RATE, 2 * RATE)
    expected = si_sdr(estimate[0, 1, second], batch["sources"][0, 1, second]).item()
    (got,) = [r for r in rows if (r["source"], r["frame"], r["system"]) == ("low", 1, "synthesised")]
    assert got["si_sdr_db"] == pytest.approx(expected, abs=1e-9)


def test_perfect_and_silent_estimates_stay_within_the_limit() -> None:
    batch = excerpt(440, 300)
    perfect = rows_of(FakeModel(lambda audio: batch["sources"]), FakeData([batch]), **OF_MODEL)
    silent = rows_of(FakeModel(lambda audio: 0 * batch["sources"]), FakeData([batch]), **OF_MODEL)
    assert set(column(perfect, "synthesised")) == {LIMIT_DB}
    assert set(column(silent, "synthesised")) == {-LIMIT_DB}
    # Equal shares for silent estimates: the mixture at half its level.
    assert column(silent, "masked") == pytest.approx(column(silent, "mixture"), abs=1e-3)
    assert min(column(perfect, "masked_power")) > max(column(perfect, "mixture")) + 10


def test_silent_targets_are_skipped() -> None:
    batch = excerpt(440, 300)
    batch["sources"][:, 1, RATE:] *= 1e-4  # -80 dB in the second frame
    rows = rows_of(FakeModel(noisy_answer), FakeData([batch]), **BRIEFLY)
    assert {(row["source"], row["frame"]) for row in rows} == {("high", 0), ("low", 0), ("high", 1)}


def test_windows_are_counted_through_a_track_and_tracks_limited() -> None:
    data = FakeData([excerpt(440, 300)] * 3, ["a", "a", "b"])
    rows = rows_of(FakeModel(noisy_answer), data, limit_tracks=1, **OF_MODEL)
    assert {(row["track"], row["frame"]) for row in rows} == {("a", n) for n in range(4)}


def test_batches_are_taken_apart_and_unnamed_excerpts_are_tracks() -> None:
    pair = [excerpt(440, 300), excerpt(330, 200)]
    batch = {key: torch.cat([one[key] for one in pair]) for key in pair[0]}
    model = FakeModel(lambda audio: audio[:, None].repeat(1, 2, 1))
    together, apart = (rows_of(model, FakeData(batches), seeds=(0,)) for batches in ([batch], pair))
    assert together == apart and {row["track"] for row in apart} == {"excerpt 0", "excerpt 1"}


def test_an_excerpt_shorter_than_a_window_is_one_window() -> None:
    rows = rows_of(FakeModel(noisy_answer), FakeData([excerpt(440, 300, samples=RATE // 2)]), seeds=(0,))
    assert {row["frame"] for row in rows} == {0}


def test_seeds_make_noise_repeatable_and_are_averaged() -> None:
    batch = excerpt(440, 300)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    one, two, both = (
        rows_of(FakeModel(noisy_answer), FakeData([batch]), seeds=seeds, metrics=(SI_SDR,))
        for seeds in ((1,), (2,), (1, 2))
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert one == rows_of(FakeModel(noisy_answer), FakeData([batch]), seeds=(1,), metrics=(SI_SDR,))
    for system in ("synthesised", "masked", "noise"):
        means = [(a + b) / 2 for a, b in zip(column(one, system), column(two, system))]
        assert column(one, system) != column(two, system)
        assert column(both, system) == pytest.approx(means)
    assert column(both, "irm") == pytest.approx(column(one, "irm"))


def test_masks_that_noise_does_not_change_are_made_once() -> None:
    class Steady(FakeModel):
        def tonal(self, audio: Tensor) -> Tensor:
            return torch.stack([tone(f, audio.shape[-1]) for f in (440, 300)])[None]

    batch = excerpt(440, 300)
    steady, shaky = Steady(noisy_answer), FakeModel(noisy_answer)
    options = {"parts": ("model",), "metrics": (SI_SDR,)}
    one, two = (rows_of(steady, FakeData([batch]), seeds=seeds, **options) for seeds in ((1,), (1, 2)))
    assert steady.powers == [1.0, 2.0] * 2
    assert column(two, "masked_power") == column(one, "masked_power")
    assert column(two, "synthesised") != column(one, "synthesised")
    rows_of(shaky, FakeData([batch]), seeds=(1, 2), **options)
    assert shaky.powers == [1.0, 2.0] * 2
    rows_of(shaky, FakeData([batch]), **options)
    assert len(shaky.powers) == 4 + 2 * len(SEEDS) and len(SEEDS) == 5


def test_without_a_seed_there_is_nothing_to_average() -> None:
    with pytest.raises(DdspZooError, match="seed"):
        rows_of(FakeModel(noisy_answer), FakeData([excerpt(440, 300)]), seeds=())


def test_one_source_without_pitch_has_no_comb_and_leaves_a_residual() -> None:
    batch = excerpt(440, 300)
    batch = {"mixture": batch["mixture"], "sources": batch["sources"][:, :1]}
    rows = rows_of(FakeModel(lambda audio: batch["sources"], sources=("high",)), FakeData([batch]), **BRIEFLY)
    assert {row["system"] for row in rows} == set(SYSTEMS) - GIVEN_PITCH
    assert min(column(rows, "masked")) > max(column(rows, "mixture")) + 10


@pytest.mark.parametrize(
    ("batches", "split", "message"),
    [
        ([], "test", "empty"),
        ([excerpt(0, 0)], "test", "silent"),
        ([excerpt(440)], "test", "1 sources: give it those of the model"),
        ([{"mixture": torch.zeros(1, RATE)}], "test", "0 sources"),
        ([excerpt(440, 300)], "train", "not on"),
    ],
)
def test_bad_data_ends_in_a_sentence(batches: list, split: str, message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        rows_of(FakeModel(noisy_answer), FakeData(batches), split=split)


def test_a_model_that_diverged_is_told() -> None:
    with pytest.raises(DdspZooError, match="not finite"):
        rows_of(FakeModel(lambda audio: noisy_answer(audio) * math.nan), FakeData([excerpt(440, 300)]))


def test_a_module_is_evaluated_without_dropout_or_gradient() -> None:
    class Module(torch.nn.Module):
        sources, sample_rate, hop_samples, mask_fft = ("high", "low"), RATE, HOP, 512
        masked_each, powers = FakeModel.masked_each, []

        def forward(self, audio: Tensor, **pitch: Tensor) -> Rendered:
            assert not self.training and not torch.is_grad_enabled()
            return Rendered(*[audio[:, None].repeat(1, 2, 1)] * 2)

    assert rows_of(Module().train(), FakeData([excerpt(440, 300)]), **OF_MODEL)


def test_what_is_listened_to_is_what_the_rows_are_made_from() -> None:
    model = FakeModel(noisy_answer)
    heard: list[Heard] = []
    data = FakeData([excerpt(440, 300), excerpt(330, 200)], ["a", "b"])
    options = {"parts": ("model",), "metrics": (SI_SDR,)}
    rows = rows_of(model, data, seeds=(3, 4), listeners=[heard.append], **options)
    assert [one.track for one in heard] == ["a", "b"] and len(model.given) == 4  # once an excerpt and seed
    assert rows == rows_of(FakeModel(noisy_answer), data, seeds=(3, 4), **options)
    first = rows_of(FakeModel(noisy_answer), data, seeds=(3,), **options)
    for system in ("synthesised", "masked", "masked_power"):
        where = {"track": "b", "source": "high", "frame": 0, "system": system}
        (row,) = [row for row in first if where.items() <= row.items()]
        audio, true = (x[0, 0, :RATE] for x in (heard[1].outputs[system], heard[1].batch["sources"]))
        assert si_sdr(audio, true).item() == pytest.approx(row["si_sdr_db"])
    assert torch.equal(heard[0].rendered.sources, heard[0].outputs["synthesised"])


# A metric of one's own


def test_a_metric_from_elsewhere_is_measured_summarised_tabulated_and_drawn(tmp_path, monkeypatch) -> None:
    def peaks(estimate: Tensor, window: Window) -> Tensor:
        assert window.reference.shape == estimate.shape[1:] and window.mixture.shape == estimate.shape[2:]
        assert window.sample_rate == RATE
        return estimate.abs().amax(-1) / window.reference.abs().amax(-1)

    own = Metric("peak_ratio", "times", False, peaks, "peaks")
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.update({Path(path).name: figure}))
    batch = excerpt(440, 300)
    model = FakeModel(lambda audio: 0.5 * batch["sources"])
    options = {"progress": False, "parts": ("model",), "metrics": (SI_SDR, own)}
    summary = evaluation.run(model, FakeData([batch]), tmp_path / "out", **options)
    half = found(summary["results"], "synthesised", "all", "peak_ratio")
    assert half["mean"] == pytest.approx(0.5) and half["count"] == 4
    header, *lines = tables.by_metric(summary["results"])
    assert header == ["system", "si_sdr_db", "peak_ratio"] and ["synthesised", "80.00", "0.50"] in lines
    (read,) = comparison.read([tmp_path / "out"])
    assert read.of("synthesised")[0]["peak_ratio"] == pytest.approx(0.5)
    assert read.metrics[1].described() == own.described()
    label = "peaks (times), lower is better"
    assert set(drawn) == {"si_sdr_db.png", "peak_ratio.png"}
    assert drawn["peak_ratio.png"].get_supxlabel().startswith(label)
    report.report([tmp_path / "out"], tmp_path / "page")
    page = (tmp_path / "page/report.md").read_text(encoding="utf-8")
    assert f"### {label}" in page and "| FakeModel: synthesised | 0.50 | 0.50 | 0.50 |" in page


def test_decibels_alone_are_limited() -> None:
    batch = excerpt(440, 300)
    endless = [Metric(unit, unit, True, lambda e, w: 1000 + 0 * e[..., 0]) for unit in ("dB", "Hz")]
    (row, *_) = rows_of(FakeModel(noisy_answer), FakeData([batch]), metrics=endless, parts=("model",))
    assert (row["dB"], row["Hz"]) == (LIMIT_DB, 1000)


def test_an_evaluation_replaces_only_its_own_files(tmp_path: Path, undrawn: None) -> None:
    data, folder = FakeData([excerpt(440, 300)]), tmp_path / "out"
    options = {"progress": False} | OF_MODEL
    for _ in range(2):
        evaluation.run(FakeModel(noisy_answer), data, folder, **options)
        (folder / "mine.csv").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    heard = []
    model = FakeModel(lambda audio: heard.append(audio))
    for other in ({"split": "validation"}, {"name": "another"}):
        with pytest.raises(DdspZooError, match="measured of FakeModel on FakeData, test.*`overwrite=`"):
            evaluation.run(model, data, folder, **options, **other)
    assert not heard and {path: path.read_bytes() for path in folder.iterdir()} == before
    evaluation.run(FakeModel(noisy_answer), data, folder, name="another", overwrite=True, **options)
    assert json.loads((folder / "summary.json").read_text())["protocol"]["model"] == "another"
    assert (folder / "mine.csv").read_text() == "mine"
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(DdspZooError, match="rows.csv would be replaced"):
        evaluation.run(model, data, tmp_path, **options)
    assert (tmp_path / "rows.csv").read_text() == "mine"


def test_evaluations_of_earlier_versions_are_read_by_the_names_of_their_metrics(tmp_path, undrawn) -> None:
    data = FakeData([excerpt(440, 300)])
    evaluation.run(FakeModel(noisy_answer), data, tmp_path, progress=False, parts=("model",), seeds=(0,))
    path = tmp_path / "summary.json"
    content = json.loads(path.read_text())
    del content["protocol"]["metrics"]
    path.write_text(json.dumps(content))
    (read,) = comparison.read([tmp_path])
    assert read.metrics == METRICS


# Tables and figures


def made_rows(tracks: int = 6, frames: int = 50, sources: tuple[str, ...] = ("a", "b", "rest")) -> list[dict]:
    """Rows whose tracks differ by far more than the frames of a track."""
    rng = np.random.default_rng(0)
    level = rng.normal(5, 3, tracks)
    return [
        {
            "track": f"t{track}",
            "source": source,
            "frame": frame,
            "system": system,
            "si_sdr_db": level[track] + offset + 10 * (source == "rest") + rng.normal(0, 0.1),
            "sdr_db": 1.0,
        }
        for track in range(tracks)
        for frame in range(frames)
        for source in sources
        for system, offset in (("masked", 0.0), ("irm", 4.0))
    ]


def found(summary: list[dict], system: str, source: str, metric: str = "si_sdr_db") -> dict[str, Any]:
    (row,) = [r for r in summary if (r["system"], r["source"], r["metric"]) == (system, source, metric)]
    return row


def test_summary_is_over_rows_and_all_leaves_the_rest_out() -> None:
    rows = made_rows()
    named = [row["si_sdr_db"] for row in rows if row["system"] == "irm" and row["source"] != "rest"]
    got = found(summarise(rows), "irm", "all")
    assert got["mean"] == pytest.approx(np.mean(named)) and got["median"] == pytest.approx(np.median(named))
    assert got["std"] == pytest.approx(np.std(named)) and (got["count"], got["tracks"]) == (600, 6)


def test_interval_comes_from_tracks_not_from_windows() -> None:
    rows = made_rows()
    got = found(summarise(rows), "masked", "a")
    masked = [row for row in rows if (row["system"], row["source"]) == ("masked", "a")]
    by_track = [np.mean([row["si_sdr_db"] for row in masked if row["track"] == f"t{t}"]) for t in range(6)]
    half_width = 1.96 * np.std(by_track) / math.sqrt(6)
    assert got["low"] < got["mean"] < got["high"]
    assert (got["high"] - got["low"]) / 2 == pytest.approx(half_width, rel=0.15)
    assert got == found(summarise(rows), "masked", "a")  # seeded


def test_one_track_has_no_interval_and_missing_values_are_not_counted() -> None:
    rows = made_rows(tracks=1)
    for row in rows[:6]:
        row["sdr_db"] = math.nan
    summary = summarise(rows)
    got = found(summary, "masked", "a", "sdr_db")
    assert math.isnan(got["low"]) and math.isnan(got["high"]) and got["mean"] == 1 and got["count"] == 49
    for row in rows:
        row["sdr_db"] = math.nan
    assert found(summarise(rows), "masked", "a", "sdr_db")["count"] == 0
    assert tables.by_metric(summarise(rows))[1][-1] == "-"
    assert tables.by_source(summarise(rows), "sdr_db")[1] == ["masked", "-", "-", "-", "-"]


def test_tables_are_aligned_and_valid_markdown() -> None:
    summary = summarise(made_rows())
    text = tables.render_text(tables.by_metric(summary)).splitlines()
    markdown = tables.render_markdown(tables.by_metric(summary, "rest")).splitlines()
    mean = f"{found(summary, 'masked', 'all')['mean']:.2f} ["
    assert text[0].split() == ["system", "si_sdr_db", "sdr_db"]
    assert text[1].index(mean) == text[0].index("si_sdr_db")
    assert len({line.count("|") for line in markdown}) == 1 and markdown[1] == "|---|---|---|"
    assert f"| {found(summary, 'irm', 'rest')['mean']:.2f} [" in markdown[3]


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    path = tmp_path / "new" / "rows.csv"
    tables.write_csv(made_rows(tracks=1, frames=1), path)
    whole = path.read_text()
    with path.open() as file:
        assert [row["system"] for row in csv.DictReader(file)] == ["masked", "irm"] * 3

    def full_disk(self: Any, content: bytes) -> None:
        open(self, "wb").write(content[:5])
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(DdspZooError, match="no space"):
        tables.write_csv(made_rows(), path)
    assert path.read_text() == whole and [p.name for p in path.parent.iterdir()] == ["rows.csv"]


def test_table_by_source_holds_each_mean_and_spread() -> None:
    summary = summarise(made_rows())
    header, masked, irm = tables.by_source(summary, order=["b", "rest", "a", "c"])
    assert header == ["system", "all", "b", "rest", "a"]
    assert masked == ["masked"] + [f"{found(summary, 'masked', s)['mean']:.2f}" for s in header[1:]]
    spread = tables.by_source(summary, show=tables.median_and_deviation)
    row = found(summary, "irm", "rest")
    assert spread[2][spread[0].index("rest")] == f"{row['median']:.2f} ({row['std']:.2f})" and irm[0] == "irm"


def test_sources_together_are_named_where_they_are_several() -> None:
    assert source_names(made_rows(sources=("bass", "rest"))) == ["bass", "rest"]
    assert source_names(made_rows(sources=("b", "a")), ["a", "b"]) == ["all", "a", "b"]


def colours_of(path: Any) -> set[tuple[int, ...]]:
    from matplotlib.image import imread

    pixels = (imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    return set(map(tuple, pixels.tolist()))


def test_box_plot_shows_every_system(tmp_path) -> None:
    figures.box_plot(made_rows(), SI_SDR, tmp_path / "box.png", "title")
    drawn = colours_of(tmp_path / "box.png")
    colour = {system: tuple(bytes.fromhex(code[1:])) for system, code in figures.COLOURS.items()}
    assert colour["masked"] in drawn and colour["irm"] in drawn and colour["synthesised"] not in drawn


def test_boxes_are_percentiles_and_the_mean() -> None:
    box = figures._box(list(range(101)))
    assert box == (5, 25, 50, 75, 95, 50)


def test_the_axis_ends_where_the_mixture_is_at_its_worst() -> None:
    def box(shift: float) -> figures.Box:
        return figures._box([shift + x for x in range(11)])

    boxes = {
        ("a", "mixture"): box(-10),
        ("b", "mixture"): box(-5),
        ("a", "noise"): box(-50),
        ("a", "irm"): box(20),
    }
    edge = figures._edge(boxes, rises=True)
    assert edge == -9.5
    assert [figures._beyond(x, edge, True) for x in boxes.values()] == [False, False, True, False]
    low, high = figures._limits(list(boxes.values()), edge, True)
    assert -12 < low < -9.5 and 29.5 < high < 32
    edge = figures._edge(boxes, rises=False)  # as if it were a distance
    assert edge == 4.5 and figures._beyond(boxes["a", "irm"], edge, False)
    assert figures._limits(list(boxes.values()), edge, False)[1] < 10
    assert not figures._beyond(box(-50), figures._edge({}, True), True)


def test_a_box_plot_of_one_window_or_of_nothing_is_a_picture(tmp_path) -> None:
    from matplotlib.image import imread

    rows = made_rows(tracks=1, frames=1)
    figures.box_plot(rows, SI_SDR, tmp_path / "one.png")
    figures.box_plot([row | {"si_sdr_db": math.nan} for row in rows], SI_SDR, tmp_path / "none.png")
    sizes = {imread(tmp_path / name).shape[:2] for name in ("one.png", "none.png")}
    assert len(sizes) == 1 and min(sizes.pop()) > 200


def test_run_leaves_rows_summary_and_figures(tmp_path, monkeypatch, undrawn) -> None:
    data = FakeData([excerpt(440, 300), excerpt(330, 200)], ["a", "b"])
    monkeypatch.setattr("ddsp_zoo.zoo.load", lambda name: FakeModel(noisy_answer))
    summary = evaluation.run("fake_model", data, tmp_path / "out", progress=False, seeds=(0, 1))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    metrics = {row["metric"] for row in summary["results"]}
    own = {"ddsp_zoo.json", "rows.csv", "summary.csv", "summary.json"}
    assert written == own | {f"{metric}.png" for metric in metrics}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == json.loads(json.dumps(summary))
    protocol = summary["protocol"]
    assert (protocol["model"], protocol["seeds"], protocol["mask_fft"]) == ("fake_model", [0, 1], 512)
    assert (protocol["tracks"], protocol["frames"], set(protocol["systems"])) == (2, 4, set(SYSTEMS))
    assert len(metrics) == 6 and found(summary["results"], "irm", "all")["count"] == 8
    (again,) = comparison.read([tmp_path / "out"])
    assert again.name == "fake_model" and again.rows == rows_of(FakeModel(noisy_answer), data, seeds=(0, 1))
