"""Arguments of the documented domain of every public function of ``ddsp_zoo.dsp``, extreme ones among them."""

from typing import Any

import torch
from fuzzing import Draw, Seeded
from torch import Tensor

from ddsp_zoo.dsp import (
    feedback,
    frames,
    lsf,
    string,
)

HOPS = (1, 2, 3, 7, 16, 64, 130)
RATES = (8000.0, 16000.0, 44100.0)
MOST_SAMPLES = 140


def sizes(draw: Draw, lookahead: bool) -> tuple[int, int, int, int]:
    """Rows, frames, hop, and samples; with ``lookahead`` the last frame is at times only a goal."""
    hop = draw.one_of(*HOPS)
    count = draw.whole(1, max(1, min(5, MOST_SAMPLES // hop)))
    goal = lookahead and count > 1 and draw.often()
    return draw.whole(1, 5), count, hop, (count - goal) * hop


def some(draw: Draw, value: Any) -> Any:
    """The value, or at times none."""
    return value if draw.often() else None


def f0(draw: Draw, *shape: int, rate: float = 16000.0) -> Tensor:
    """Pitches with jumps between silence and 2 kHz, or beyond the Nyquist frequency."""
    high = draw.one_of(60.0, 500.0, 2000.0, 2000.0, 0.6 * rate, 1000 * rate)
    return draw.tensor(*shape, low=draw.one_of(0.0, 50.0), high=high)


# ---- filters


def allpole_(draw: Draw) -> dict[str, Any]:
    rows, count, hop, samples = sizes(draw, True)
    order = draw.whole(1, 8)
    reach = draw.one_of(0.5, 0.95, 1.0)
    return {
        "excitation": draw.tensor(rows, samples),
        "reflection": draw.tensor(rows, count, order, low=-reach, high=reach),
        "hop": hop,
        "state": some(draw, draw.tensor(rows, order)),
    }


def framewise(draw: Draw) -> dict[str, Any]:
    given = allpole_(draw)
    given.pop("state")
    given["excitation"] = draw.tensor(len(given["reflection"]), given["reflection"].shape[1] * given["hop"])
    return given


def lsf_(draw: Draw) -> dict[str, Any]:
    return {"lsf": lsf.lsf_from_logits(draw.tensor(2, 3, draw.whole(2, 9), low=-2, high=2))}


def coefficients(draw: Draw) -> dict[str, Any]:
    reflection = draw.tensor(2, 3, draw.whole(1, 6), low=-0.9, high=0.9)
    return {"coefficients": lsf.reflection_to_coefficients(reflection)}


def one_pole_(draw: Draw) -> dict[str, Any]:
    rows, count, hop, samples = sizes(draw, True)
    return {
        "x": draw.tensor(rows, samples),
        "pole": draw.tensor(rows, count, low=0, high=0.9999),
        "hop": hop,
        "onset": some(draw, draw.tensor(rows, count, low=0, high=1)),
        "state": some(draw, draw.tensor(rows)),
    }


def dc_block(draw: Draw) -> dict[str, Any]:
    rows, _, _, samples = sizes(draw, False)
    return {
        "x": draw.tensor(rows, samples),
        "cutoff_hz": draw.number(1.0, 3000.0),
        "sample_rate": draw.one_of(*RATES),
        "state": some(draw, draw.tensor(rows)),
    }


def recursion(draw: Draw) -> dict[str, Any]:
    time, rows = draw.whole(1, 40), draw.whole(1, 3)
    return {"x": draw.tensor(time, rows), "pole": draw.tensor(time, rows), "last": draw.tensor(rows)}


# ---- oscillators and noise


def sinusoids(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    partials, rate = draw.whole(1, 12), draw.one_of(*RATES)
    return {
        "frequency_hz": f0(draw, rows, count, partials, rate=rate),
        "amplitude": draw.tensor(rows, count, partials) * draw.one_of(1.0, 1e-30, 1e6),
        "sample_rate": rate,
        "hop": hop,
        "phase": some(draw, draw.tensor(rows, partials, low=-3, high=3).double()),
        "lookahead": draw.often(),
    }


def harmonics(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    partials, rate = draw.one_of(1, 2, 7, 100), draw.one_of(*RATES)
    stiff = draw.often(0.3)
    phase = draw.tensor(*((rows, partials) if stiff else (rows,)), low=-3, high=3).double()
    return {
        "f0_hz": f0(draw, rows, count, rate=rate) / (100 if stiff else 1),
        "amplitude": draw.tensor(rows, count, partials),
        "sample_rate": rate,
        "hop": hop,
        "inharmonicity": draw.tensor(rows, count, low=0, high=1e-3) if stiff else None,
        "phase": some(draw, phase),
        "lookahead": draw.often(),
    }


def magnitudes(draw: Draw, rows: int, count: int) -> Tensor:
    return draw.tensor(rows, count, draw.whole(2, 17), low=0) * draw.one_of(1.0, 1e-30, 1e6)


def shaped_noise(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    one = draw.often(0.3)
    return {
        "magnitudes": magnitudes(draw, rows, 1 if one else count),
        "hop": hop,
        "generator": Seeded(1),
        "count": count if one else None,
    }


def filtered_frames(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    return {"noise": draw.tensor(rows, count, hop), "magnitudes": magnitudes(draw, rows, count)}


def noise_seen(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    return {
        "magnitudes": draw.tensor(rows, count, draw.whole(2, 17), low=0),
        "hop": hop,
        "n_fft": 2 * hop * draw.whole(1, 2),
    }


def power_seen(draw: Draw) -> dict[str, Any]:
    given = noise_seen(draw)
    given["power"] = given.pop("magnitudes")
    return given


# ---- strings


def string_(draw: Draw) -> dict[str, Any]:
    """Delays jump between one sample and far beyond the beginning; with a state, as far as it remembers."""
    rows, count, hop, samples = sizes(draw, True)
    history = draw.one_of(0, 0, 12, 300)
    longest = history - 2.0 if history else draw.one_of(1.0, 5.0, 40.0, 5000.0, 1e30)
    silent = draw.often()
    state = None
    if history:
        past, tail = draw.tensor(rows, history), draw.tensor(rows, 2)
        state = string.StringState(past * 0, tail * 0) if silent else string.StringState(past, tail)
    return {
        "excitation": draw.tensor(rows, samples),
        "delay": draw.tensor(rows, count, low=1.0, high=longest),
        "gain": draw.tensor(rows, count, low=-0.95, high=0.95),
        "smoothing": draw.tensor(rows, count, low=0, high=1),
        "hop": hop,
        "loop_filter": draw.one_of("one_zero", "one_pole"),
        "onset": some(draw, draw.tensor(rows, count, low=0, high=1)),
        "dc_pole": draw.one_of(0.0, 0.0, 0.9),
        "clip": draw.often(0.3),
        "state": state,
    }


def feedback_(draw: Draw) -> dict[str, Any]:
    """As `string_`, with a limit and another filter."""
    options = string_(draw)
    del options["loop_filter"], options["clip"]
    if (state := options["state"]) is not None:
        tail = torch.cat([state.tail, state.tail], dim=1)
        options["state"] = feedback.FeedbackState(state.history, tail)
    return options | {"limit": draw.one_of(*feedback.LIMITS), "filters_sum": draw.often()}


def block(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    delay = draw.tensor(rows, count, low=1, high=40)
    control = [delay, draw.tensor(rows, count, low=-0.9, high=0.9), draw.tensor(rows, count, low=0, high=1)]
    start, goal = frames.ramps(torch.stack(control), hop, count * hop)
    return {
        "excitation": draw.tensor(rows, count * hop),
        "start": start,
        "goal": goal,
        "history": draw.tensor(rows, 50),
        "tail": draw.tensor(rows, 2),
        "hop": hop,
        "one_pole": draw.often(),
        "dc_pole": 0.0,
        "clip": draw.often(),
    }


def loop_gain(draw: Draw) -> dict[str, Any]:
    """Not the zero that the one-zero filter has at s = 1/2 and the Nyquist frequency, where no slope is defined."""
    return {
        "smoothing": draw.tensor(3, 4, low=0, high=0.49),
        "omega": draw.tensor(3, 4, low=1e-3, high=3.1),
        "loop_filter": draw.one_of("one_zero", "one_pole"),
    }


def tuning(draw: Draw) -> dict[str, Any]:
    return {
        "f0_hz": draw.tensor(3, 4, low=20, high=2000),
        "smoothing": draw.tensor(3, 4, low=0, high=0.9),
        "sample_rate": draw.one_of(*RATES),
        "loop_filter": draw.one_of("one_zero", "one_pole"),
    }


# ---- harmonic least squares


def least_squares(draw: Draw) -> dict[str, Any]:
    batch, sources, count, hop = draw.whole(1, 2), draw.whole(1, 3), draw.whole(1, 3), draw.one_of(16, 33)
    partials = draw.whole(1, 6)
    stiff = some(draw, draw.tensor(batch, sources, count, low=0, high=1e-3))
    prior = draw.tensor(batch, sources, count, partials, low=0, high=draw.one_of(1e-6, 1.0, 1e6))
    spectrum = draw.tensor(batch, count, 9, low=0, high=draw.one_of(1e-6, 1.0))
    prior = some(draw, prior)
    return {
        "mixture": draw.tensor(batch, count * hop - draw.whole(0, hop - 1))
        * draw.one_of(1.0, 1.0, 1e-20, 1e6),
        "f0_hz": f0(draw, batch, sources, count),
        "sample_rate": 16000.0,
        "hop": hop,
        "prior": prior,
        "noise": None if prior is None else some(draw, spectrum),
        "windows": draw.one_of((64,), (32, 48)),
        "harmonics": partials,
        "inharmonicity": stiff,
        "ridge": draw.one_of(0.15, 1e-4),
        "refinements": draw.one_of(0, 0, 0, 1),
    }


def fit_(draw: Draw) -> dict[str, Any]:
    given = least_squares(draw)
    given.pop("refinements")
    given["window"] = given.pop("windows")[0]
    return given


def basis(draw: Draw) -> dict[str, Any]:
    batch, sources, count, partials, hop = draw.whole(1, 2), draw.whole(1, 3), draw.whole(1, 4), 5, 8
    return {
        "cycles": draw.tensor(batch, sources, count, low=0, high=0.3).double(),
        "bend": draw.tensor(batch, sources, count, low=-1e-4, high=1e-4).double(),
        "multiple": torch.arange(1, partials + 1).expand(batch, sources, count, -1).float(),
        "weight": draw.tensor(2 * hop, low=0),
        "hop": hop,
    }


def correlation(draw: Draw) -> dict[str, Any]:
    given = basis(draw)
    batch, _, count = given["cycles"].shape
    return {"audio": draw.tensor(batch, 1, (count - 1) * given["hop"] + 16), **given}


def synthesis(draw: Draw) -> dict[str, Any]:
    given = basis(draw)
    return {"amplitudes": draw.tensor(*given["multiple"].shape, 2), **given}


def system(draw: Draw) -> dict[str, Any]:
    """Diagonals that outweigh their neighbours."""
    rows, size = draw.whole(1, 3), draw.whole(1, 6)
    off = torch.complex(draw.tensor(rows, size, 2), draw.tensor(rows, size, 2))
    diagonal = torch.full((rows, size, 1), 5.0).to(off)
    return {
        "band": torch.cat([diagonal, off], -1),
        "load": draw.tensor(rows, size, low=1e-3),
        "right": torch.complex(draw.tensor(rows, size), draw.tensor(rows, size)),
    }


# ---- frames, spectra, scales


def controls(draw: Draw) -> dict[str, Any]:
    rows, count, hop, _ = sizes(draw, False)
    return {"frames": draw.tensor(rows, count) * draw.one_of(1.0, 1e6), "hop": hop}


def ramped(draw: Draw) -> dict[str, Any]:
    given = controls(draw)
    count = given["frames"].shape[1]
    given["samples"] = given["hop"] * draw.one_of(count, count - 1)
    return {**given, "onset": some(draw, draw.tensor(*given["frames"].shape, low=0))}


def followed(draw: Draw) -> dict[str, Any]:
    given = controls(draw)
    start = given["frames"]
    return {"start": start, "goal": draw.tensor(*start.shape), "hop": given["hop"]}


def jumping(draw: Draw) -> dict[str, Any]:
    given = controls(draw)
    jump = some(draw, draw.tensor(*given["frames"].shape, low=0))
    return {**given, "jump": jump, "lookahead": draw.often()}


def looking_ahead(draw: Draw) -> dict[str, Any]:
    return {**controls(draw), "lookahead": draw.often()}


def overlapping(draw: Draw) -> dict[str, Any]:
    _, count, hop, _ = sizes(draw, False)
    return {"frames": draw.tensor(2, count, draw.whole(1, 3 * hop)), "hop": hop}


def marks(draw: Draw) -> dict[str, Any]:
    return {"marked": draw.tensor(draw.whole(1, 3), draw.whole(1, 6), low=0)}


def held(draw: Draw) -> dict[str, Any]:
    given = marks(draw)
    values = draw.tensor(*given["marked"].shape)
    return {"values": values, **given, "before": some(draw, draw.tensor(len(values)))}


def counted(draw: Draw) -> dict[str, Any]:
    given = marks(draw)
    return {**given, "before": some(draw, torch.arange(len(given["marked"])))}


def timed(draw: Draw) -> dict[str, Any]:
    return {**marks(draw), "frame_seconds": draw.number(1e-3, 1.0)}


def spectrogram(draw: Draw) -> dict[str, Any]:
    n_fft = draw.one_of(4, 16, 60)
    return {
        "audio": draw.tensor(*draw.one_of((1,), (7,), (2, 100), (2, 1, 33))) * draw.one_of(1.0, 1e10, 1e-30),
        "n_fft": n_fft,
        "hop": draw.whole(1, n_fft // 2),
        "window": some(draw, draw.tensor(n_fft, low=0)),
    }


def channels_(draw: Draw) -> dict[str, Any]:
    return {"audio": draw.tensor(2, draw.whole(1, 3), draw.whole(0, 600)) * draw.one_of(1.0, 1e6, 1e-30)}


def inverse(draw: Draw) -> dict[str, Any]:
    n_fft, count = draw.one_of(4, 16, 60), draw.whole(2, 5)
    hop, shape = draw.whole(1, n_fft // 2), (2, n_fft // 2 + 1, count)
    spec = torch.complex(draw.tensor(*shape), draw.tensor(*shape))
    return {"spec": spec, "n_fft": n_fft, "hop": hop, "length": draw.whole(1, (count - 1) * hop)}


def bands(draw: Draw) -> dict[str, Any]:
    given = {"low_hz": draw.number(0.0, 300.0), "high_hz": draw.number(1000.0, 8000.0)}
    return {**given, "bands": draw.whole(1, 40)}


def filter_bank(draw: Draw) -> dict[str, Any]:
    return {**bands(draw), "points": draw.whole(1, 200), "nyquist_hz": draw.number(1000.0, 22050.0)}


def one(name: str, low: float, high: float) -> Any:
    """One tensor."""
    return lambda draw: {name: draw.tensor(draw.whole(1, 3), draw.whole(1, 9), low=low, high=high)}


def pitches(draw: Draw) -> dict[str, Any]:
    return {**one("frequency_hz", 0, 20000)(draw), "low_hz": draw.number(1.0, 60.0), "high_hz": 8000.0}


def white(draw: Draw) -> dict[str, Any]:
    return {"like": draw.tensor(2, 3), "shape": (draw.whole(0, 3), 4), "generator": Seeded(0)}


def white_frames(draw: Draw) -> dict[str, Any]:
    return {
        "like": draw.tensor(draw.whole(1, 3), 2),
        "count": draw.whole(0, 4),
        "hop": draw.whole(1, 9),
        "generator": Seeded(0),
        "row_by_row": draw.often(),
    }
