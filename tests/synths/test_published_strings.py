"""The string of every published recipe against what the authors' code does, written out sample by sample."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.synths.karplus_strong import KarplusStrong

HOP, FRAMES_A_CHUNK, FRAMES = 256, 5, 18
FOLDER = Path(__file__).resolve().parents[2] / "recipes/as_published"
NAMES = sorted(path.stem for path in FOLDER.glob("ex*.yaml"))
each = pytest.mark.parametrize("name", NAMES)
Numbers = dict[str, float]
resample = import_torchaudio().functional.resample


def synth_of(name: str) -> KarplusStrong:
    """The string of a recipe, in chunks of five frames."""
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["model"]["init_args"]
    known = KarplusStrong.__init__.__annotations__
    options = {key: value for key, value in given.items() if key in known}
    return KarplusStrong(**options | {"hop": HOP, "chunk_seconds": FRAMES_A_CHUNK * HOP / 16000})


def es(x: float, most: float = 2.0) -> float:
    return most * (1 / (1 + math.exp(-x))) ** math.log(10) + 1e-7


def clip(x: float) -> float:
    return min(max(x, -1.0), 1.0)


# What the heads give, in the order of the recipe, and how a sample is made: x is the noise of the pluck, d what comes
# out of the delay; hp, ha, hd and lp are filters that remember.
HEADS: dict[str, Callable[..., Numbers]] = {
    "exA1": lambda f: {"f_c": es(f, 8000)},
    "exA2": lambda f: {"f_c": es(f, 16000)},
    "exB0": lambda: {},
    "exB1": lambda a: {"a": es(a)},
    "exB2": lambda a, rho: {"a": 0.9 * es(a), "rho": 0.8 * es(rho)},
    "exB2_1": lambda a, rho: {"a": 0.95 * es(a), "rho": 0.95 * es(rho)},
    "exB3": lambda a, b: {"a": 0.99 * es(a), "b": 0.1 + 0.9 * es(b)},
    "exB4": lambda a, b, r: {"a": 0.99 * es(a), "b": 0.1 + 0.9 * es(b), "r": 0.95 * es(r)},
    "exC2": lambda b, r: {"b": 0.1 + 0.9 * es(b), "r": 0.95 * es(r)},
    "exD1": lambda b: {"a": 0.999, "b": 0.001 + 0.998 * es(b)},
    "exD2": lambda a, b: {"a": 0.999 * es(a), "b": 0.001 + 0.998 * es(b)},
}
HEADS["exC1"] = HEADS["exB4"]


class Filters:
    """One-pole low-pass, high-pass, one-zero filter and excitation filter, each with its memory."""

    def __init__(self, rate: int, high_pass_hz: float) -> None:
        self.rate, self.alpha = rate, 1 / (1 + 2 * math.pi * high_pass_hz / rate)
        self.low = self.passed = self.heard = self.summed = self.soft = 0.0

    def lp(self, x: float, f_c: float) -> float:
        c = 2 * math.pi * f_c / self.rate
        self.low = c / (c + 1) * x + (1 - c / (c + 1)) * self.low
        return self.low

    def hp(self, x: float) -> float:
        self.passed, self.heard = self.alpha * (self.passed + x - self.heard), x
        return self.passed

    def ha(self, x: float, b: float) -> float:
        y, self.summed = (1 - b) * x + b * self.summed, x
        return y

    def hd(self, x: float, r: float) -> float:
        self.soft = (1 - r) * x + r * self.soft
        return self.soft


def sample(name: str, of: Filters, x: float, d: float, p: Numbers) -> float:
    """The equations of all experiments."""
    if name in ("exA1", "exA2"):
        return x + of.hp(of.lp(d, p["f_c"]))
    back = of.hp(d)
    if name == "exB0":
        return of.ha(x + back, 0.5)
    if name == "exB1":
        return of.ha(p["a"] * x + back, 0.5)
    if name == "exB2":
        return of.ha(p["a"] * x + p["rho"] * back, 0.5)
    if name == "exB2_1":
        return of.ha(p["a"] * x + p["rho"] * clip(back), 0.5)
    if name == "exB3":
        return of.ha(p["a"] * x + 0.99 * clip(back), p["b"])
    if name in ("exD1", "exD2"):
        return of.ha(p["a"] * x + 0.999 * clip(back), p["b"])
    if name == "exC2":  # x has been multiplied by its gain
        return of.ha(of.hd(x, p["r"]) + clip(0.99 * back), p["b"])
    return of.ha(p["a"] * of.hd(x, p["r"]) + clip(0.99 * back), p["b"])


def onsets_of(name: str, gate: list[bool], before: bool) -> list[bool]:
    """Series A remembers the frame before the chunk; the others look at the chunk alone and are a frame early."""
    if name in ("exA1", "exA2"):
        return [now and not last for last, now in zip([before, *gate], gate)]
    return [later and not now for now, later in zip(gate, gate[1:])] + [False]


def excited(name: str, onset: bool, burst: Tensor, noise: Tensor, raw: Tensor, hop: int) -> list[float]:
    """What goes into a string in one frame."""
    if name == "exC2":
        gains = torch.tensor([0.9 * es(x) for x in raw[:64].tolist()])
        return (resample(gains, 4000, 32000) * noise).tolist()
    return burst.tolist() + [0.0] * (hop - len(burst)) if onset else [0.0] * hop


def as_the_authors(name: str, raw: Tensor, f0_hz: list[float], burst: Tensor, noise: Tensor) -> Tensor:
    """One string (T,) from what its heads say (N, channels) and its pitch, chunk by chunk."""
    rate = 16000 if name == "exA1" else 32000
    hop, of = HOP * rate // 16000, Filters(rate, 5.0 if name in ("exA1", "exA2") else 20.0)
    line, last_f0, latched, gate_before, sound = [0.0] * 2000, 20.0, 20.0, False, []
    for start in range(0, len(f0_hz), FRAMES_A_CHUNK):
        chunk = f0_hz[start : start + FRAMES_A_CHUNK]
        onsets, y, audio = onsets_of(name, [f > 0 for f in chunk], gate_before), 0.0, []
        for frame, (f0, onset) in enumerate(zip(chunk, onsets), start=start):
            last_f0 = f0 or last_f0
            latched = last_f0 if onset else latched
            period = rate / (latched if name == "exC1" else last_f0)
            whole, eta = int(period), period % 1
            channels = raw[frame, 64:] if name == "exC2" else raw[frame]
            p = HEADS[name](*channels.tolist())
            for x in excited(name, onset, burst, noise[frame], raw[frame], hop):
                line.append(y)
                y = sample(name, of, x, (1 - eta) * line[-1 - whole] + eta * line[-whole], p)
                audio.append(y)
        gate_before = chunk[-1] > 0
        audio = torch.tensor(audio)
        sound.append(audio if rate == 16000 else resample(audio, rate, 16000))
    return torch.cat(sound)


def curves() -> Tensor:
    """Pitches of three strings (3, N): notes that begin inside a chunk, on its first frame and after one another."""
    f0 = torch.zeros(3, FRAMES)
    f0[0, 2:8], f0[0, 11:] = 110.3, 147.1
    f0[1, 5:9], f0[1, 10:14], f0[1, 16:] = 329.6, 246.9, 311.1
    f0[2, 3:12] = 82.4 + torch.arange(9) * 0.7
    return f0


def given(f0: Tensor) -> dict[str, Tensor]:
    onset = (f0 > 0) & ~torch.cat([torch.zeros_like(f0[:, :1]), f0[:, :-1]], dim=1).bool()
    return {"f0_hz": f0[None, ..., None], "onset": onset[None, ..., None].float()}


def raw_of(synth: KarplusStrong) -> Tensor:
    """What a network may say; no more of r than what does not diverge."""
    draw = torch.Generator().manual_seed(3)
    raw = 0.7 * torch.randn(1, 3, FRAMES, synth.controls.channels, generator=draw)
    return raw.clamp(max=0.4)


@each
def test_a_published_string_is_that_of_the_authors_code_to_the_sample(name: str) -> None:
    synth, f0 = synth_of(name), curves()
    raw = raw_of(synth)
    draw = torch.Generator().manual_seed(7)
    ours = synth.render(synth.constrain(raw) | given(f0), draw).audio[0]
    draw = torch.Generator().manual_seed(7)
    noise = torch.rand(3, FRAMES, 512, generator=draw) * 2 - 1
    length = math.ceil(0.005 * synth.loop_rate)
    burst = torch.rand(length, generator=torch.Generator().manual_seed(4)) * 2 - 1
    for row, string in enumerate(ours):
        expected = as_the_authors(name, raw[0, row], f0[row].tolist(), burst, noise[row])
        assert expected.abs().max() > 0.05
        torch.testing.assert_close(string, expected, atol=2e-4 * expected.abs().max().item(), rtol=0)


def pieces_of(controls: dict[str, Tensor], sizes: list[int]) -> Iterator[tuple[dict[str, Tensor], bool]]:
    start = 0
    for size in sizes:
        yield (
            {key: value[:, :, start : start + size] for key, value in controls.items()},
            start + size == FRAMES,
        )
        start += size


@pytest.mark.parametrize("sizes", [[5, 5, 5, 3], [1] * FRAMES, [7, 0, 11]])
@pytest.mark.parametrize("name", ["exA2", "exB4", "exC1", "exC2"])
def test_chunks_lie_where_the_stream_began_however_it_comes_in_pieces(name: str, sizes: list[int]) -> None:
    synth = synth_of(name)
    controls = synth.constrain(raw_of(synth)) | given(curves())
    whole = synth.render(controls, [torch.Generator().manual_seed(row) for row in range(3)]).audio
    generators = [torch.Generator().manual_seed(row) for row in range(3)]
    audio, state = [], None
    for piece, last in pieces_of(controls, sizes):
        sound = synth.render(piece, generators, state, last)
        audio, state = [*audio, sound.audio], sound.state
        assert last or sound.audio.shape[-1] % (FRAMES_A_CHUNK * HOP) == 0
    torch.testing.assert_close(torch.cat(audio, dim=-1), whole, atol=1e-6, rtol=0)


@each
def test_heads_reach_where_those_of_the_authors_do(name: str) -> None:
    synth = synth_of(name)
    ends = [synth.constrain(torch.full((1, 1, 1, synth.controls.channels), x)) for x in (-1e4, 0.0, 1e4)]
    names = {"a": "excitation_gain", "b": "damping", "r": "dynamics", "rho": "feedback", "f_c": "cutoff_hz"}
    arguments = HEADS[name].__code__.co_argcount
    said = [HEADS[name](*[x] * arguments) for x in (-700.0, 0.0, 700.0)]
    for ours, theirs in zip(ends, said, strict=True):
        for key, value in theirs.items():
            assert ours[names[key]][0, 0, 0, 0].item() == pytest.approx(value, abs=2e-6, rel=1e-5)


def test_nothing_of_a_burst_is_in_a_checkpoint_but_its_seed_draws_it() -> None:
    synth = synth_of("exB1")
    controls = synth.constrain(raw_of(synth)) | given(curves())
    sounds = [
        KarplusStrong(**synth.arguments | {"burst_seed": seed})
        .render(controls, torch.Generator().manual_seed(draw))
        .audio
        for seed, draw in ((4, 0), (4, 1), (0, 0))
    ]
    assert torch.equal(sounds[0], sounds[1]) and not torch.allclose(sounds[0], sounds[2], atol=1e-3)
