"""Pictures of a separation: spectrograms on a log-frequency axis, with the controls that made the sound.

Figures are matplotlib `Figure`s on an Agg canvas: the user's backend and settings are not touched, and no
window opens. Work and memory are bounded by the size of the picture, not by the length of the audio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.log_spectrogram import BANDS, COLUMNS, LOWEST_HZ, highest_hz, log_spectrogram
from ddsp_zoo.export.played import FrettedNote, is_guitar, read_played
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.music.drum_set import DRUM_SET, hits_in_frames
from ddsp_zoo.separation.result import Separated
from ddsp_zoo.synths.control import Control

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec


RANGE_DB = 80.0
STRIPS = 4  # controls drawn beside a stem
MOST_FRETS = 60  # numbers along a panel
OPACITIES = 12  # of strokes
OVERLAID = ("pitch", "partials")  # roles that are drawn over the spectrogram
MAP = "magma"
OVERLAY = "#7fe7ff"
INK, GREY = "#222222", "#777777"
Named = Mapping[str, np.ndarray]
Declared = Mapping[str, Control]
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def plot_separation(separation: Separated, path: str | Path | None = None) -> Figure:
    """Draws the mixture, then each stem with its pitch or sinusoids over it and its other controls beside it.

    Strings of a guitar have the frets of their notes over them.

    All spectrograms share one scale, 0 dB being the loudest point of the mixture. `path` (.png, .pdf, .svg),
    if any, takes the picture. Raises DdspZooError for a path that cannot be written or has another ending.
    """
    sources, rate, declared = list(separation.stems), separation.sample_rate, separation.maker.declared
    seconds = separation.mixture.shape[-1] / rate
    mixture = log_spectrogram(separation.mixture, rate)
    figure, panels, places = _layout(len(sources) + 1)
    image = _draw_spectrogram(panels[0], mixture, mixture.max(), seconds, rate, "mixture")
    _draw_colour_bar(figure, image)
    levels = bottom = figure.add_subplot(places[0], sharex=panels[0])
    tab = _tab(separation)
    for row, source in enumerate(sources, start=1):
        colour = COLOURS[(row - 1) % len(COLOURS)]
        stem, controls = separation.stems[source], separation.controls[source]
        _draw_spectrogram(panels[row], log_spectrogram(stem, rate), mixture.max(), seconds, rate, source)
        _draw_pitch(panels[row], controls, declared, separation.control_rate_hz)
        _draw_frets(panels[row], tab.get(source, ()), seconds)
        _draw_level(levels, stem, rate, colour, source)
        strips = _draw_controls(
            figure,
            places[row],
            controls,
            declared,
            separation.control_rate_hz,
            colour,
            panels[0],
            STRIPS,
            OVERLAID,
        )
        bottom = strips[-1]
    _finish_levels(levels)
    _finish_time(panels[-1], bottom)
    panels[0].set_xlim(0, seconds)  # the last control frame may reach beyond the audio
    if path is not None:
        save_figure(figure, path)
    return figure


def plot_controls(controls: Named, declared: Declared, control_rate_hz: float, title: str = "") -> Figure:
    """Draws the controls of one source, `{name: (N,) or (N, k)}`, each in a strip of its own over time."""
    figure = _figure(9.0, 1.0 + 1.15 * max(1, len(controls)))
    grid = figure.add_gridspec(1, 1)
    strips = _draw_controls(
        figure, grid[0, 0], controls, declared, control_rate_hz, COLOURS[0], None, len(controls)
    )
    _finish_time(strips[-1])
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def plot_spectrograms(audio: Mapping[str, np.ndarray], sample_rate: int) -> Figure:
    """Draws signals, `{name: (T,) or (channels, T)}`, under each other on one scale; the first sets 0 dB."""
    powers = {name: log_spectrogram(np.atleast_2d(samples), sample_rate) for name, samples in audio.items()}
    first = next(iter(audio))
    figure = _figure(9.0, 0.6 + 1.8 * len(audio))
    panels = list(figure.subplots(len(audio), 1, sharex=True, sharey=True, squeeze=False)[:, 0])
    for axes, (name, power) in zip(panels, powers.items(), strict=True):
        seconds = np.shape(audio[name])[-1] / sample_rate
        image = _draw_spectrogram(axes, power, powers[first].max(), seconds, sample_rate, name)
    _finish_time(panels[-1])
    bar = figure.colorbar(image, ax=panels, pad=0.01)
    bar.set_label(f"dB re loudest point of {first}", fontsize=8, color=GREY)
    bar.ax.tick_params(labelsize=7, colors=GREY)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure to .png, .pdf or .svg; DdspZooError for another ending or an unwritable path."""
    path = Path(path)
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise DdspZooError(
            f"Pictures are written to .png, .pdf or .svg files, not {path.name!r}: change its ending."
        )
    with replaced_when_done(path) as temporary:
        figure.savefig(temporary, dpi=120)


def figure_to_rgb(figure: Figure) -> np.ndarray:
    """Returns the picture as pixels (height, width, 3), uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """A figure in inches that belongs to no window and no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _layout(rows: int) -> tuple[Figure, list[Axes], list[SubplotSpec]]:
    """(figure, a panel per row on the left, a place per row on the right), in inches so that all align."""
    width, height = 14.0, 0.95 + 2.2 * rows
    figure = _figure(width, height, layout=None)
    edges = {"left": 0.6 / width, "right": 1 - 0.15 / width, "bottom": 0.5 / height, "top": 1 - 0.45 / height}
    grid = figure.add_gridspec(rows, 2, width_ratios=(1.5, 1), wspace=0.09, hspace=0.07, **edges)
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[row, 0], sharex=panels[0], sharey=panels[0]) for row in range(1, rows)]
    return figure, panels, [grid[row, 1] for row in range(rows)]


def _draw_colour_bar(figure: Figure, image: QuadMesh) -> None:
    """A small bar above the mixture, which all spectrograms share."""
    width, height = figure.get_size_inches()
    place = figure.add_axes((0.6 / width, 1 - 0.22 / height, 2.2 / width, 0.09 / height))
    bar = figure.colorbar(image, cax=place, orientation="horizontal", ticks=range(-80, 1, 20))
    bar.ax.tick_params(labelsize=7, colors=GREY, length=2, pad=1)
    bar.outline.set_visible(False)
    at = ((0.6 + 2.3) / width, 1 - 0.17 / height)
    figure.text(*at, "dB below the loudest point of the mixture", fontsize=7, color=GREY, va="center")


def _draw_spectrogram(
    axes: Axes, power: np.ndarray, loudest: float, seconds: float, rate: int, title: str
) -> QuadMesh:
    """`power` as an image on log axes; returns what a colour bar needs."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    time = np.linspace(0, seconds, power.shape[1] + 1)
    frequency = np.geomspace(LOWEST_HZ, highest_hz(rate), BANDS + 1)
    decibels = np.clip(power - loudest, -RANGE_DB, 0)
    image = axes.pcolormesh(time, frequency, decibels, cmap=MAP, vmin=-RANGE_DB, vmax=0, rasterized=True)
    axes.set_yscale("log")
    axes.set(xlim=(0, seconds), ylim=(LOWEST_HZ, highest_hz(rate)))
    ticks = [hz for hz in (50, 100, 200, 500, 1000, 2000, 5000, 10000) if hz <= highest_hz(rate)]
    axes.set_yticks(ticks)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda hz, _: f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}")
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("Hz", fontsize=8, color=GREY, labelpad=1)
    axes.tick_params(labelsize=7, colors=GREY, labelbottom=False)
    _label(axes, title, "white", size=10)
    return image


def _draw_pitch(axes: Axes, controls: Named, declared: Declared, rate_hz: float) -> None:
    """Sinusoids, the 24 strongest, as strokes with their amplitude for opacity; the pitch above them."""
    partials, pitch = (_with_role(controls, declared, role) for role in ("partials", "pitch"))
    if partials is not None:
        frequency, step = _every(partials)
        levels = [value for name, value in controls.items() if declared[name].role == "level"]
        amplitude = next((x for x in levels if np.shape(x) == np.shape(partials)), np.ones_like(partials))
        level = _every(amplitude)[0]
        strongest = np.argsort(-np.square(level).sum(0))[:24]
        frequency, level = frequency[:, strongest], level[:, strongest]
        decibels = 20 * np.log10(np.maximum(level, 1e-9) / max(level.max(initial=0), 1e-9))
        _draw_strokes(axes, frequency, np.clip(0.9 + decibels / 55, 0, 1), step / rate_hz, 0.9, OVERLAY)
    if pitch is not None:
        f0_hz, step = _every(np.reshape(pitch, (-1, 1)))
        width, solid = 1.6 if step == 1 else 1.0, np.ones_like(f0_hz)
        _draw_strokes(axes, f0_hz, 0.7 * solid, step / rate_hz, 2.2 * width, "black")
        _draw_strokes(axes, f0_hz, solid, step / rate_hz, width, OVERLAY)


def _tab(separation: Separated) -> dict[str, tuple[FrettedNote, ...]]:
    """The notes of each string of a guitar; {} of everything else, and where no pitch is known."""
    declared, first = separation.maker.declared, next(iter(separation.controls.values()), {})
    if not is_guitar(separation.stems) or _with_role(first, declared, "pitch") is None:
        return {}
    played = read_played(separation.controls, declared, separation.control_rate_hz, separation.maker.neck)
    return dict(zip(separation.stems, played.strings, strict=True))


def _draw_frets(axes: Axes, notes: tuple[FrettedNote, ...], seconds: float) -> None:
    """The fret of each note where it begins, but for notes that begin too close to the one before to be read."""
    last = -math.inf
    for note in notes:
        if note.start_seconds - last < seconds / MOST_FRETS:
            continue
        last = note.start_seconds
        _write(axes, last, midi_to_hz(note.midi) / 1.12, str(note.fret), "white", 7, clip_on=True)


def _with_role(controls: Named, declared: Declared, role: str) -> np.ndarray | None:
    """The first control of a role, None where there is none."""
    return next((np.asarray(value) for name, value in controls.items() if declared[name].role == role), None)


def _draw_strokes(
    axes: Axes, frequency_hz: np.ndarray, opacity: np.ndarray, seconds: float, width: float, colour: str
) -> None:
    """A level stroke per frame of (N, K): none between frames, which may lie far apart.

    A line for each of a few opacities holds its strokes, which is many times faster than a line for each stroke.
    """
    step = np.ceil(opacity * OPACITIES)
    step[~np.isfinite(frequency_hz) | (frequency_hz <= 0) | (opacity <= 0.02)] = 0
    style = {"color": colour, "linewidth": width, "solid_capstyle": "round", "rasterized": True}
    for level in np.unique(step[step > 0]):
        frame, partial = np.nonzero(step == level)
        hertz, nothing = frequency_hz[frame, partial], np.full(len(frame), np.nan)
        time = np.stack([(frame - 0.5) * seconds, (frame + 0.5) * seconds, nothing], axis=1)
        ends = np.stack([hertz, hertz, nothing], axis=1)
        axes.plot(time.ravel(), ends.ravel(), alpha=level / OPACITIES, scaley=False, **style)


def _draw_controls(
    figure: Figure,
    place: SubplotSpec,
    controls: Named,
    declared: Declared,
    rate_hz: float,
    colour: str,
    shared: Axes | None,
    most: int,
    without: Collection[str] = (),
) -> list[Axes]:
    """A strip per control, single values as lines and others as images, at most `most`; an empty strip for none.

    Roles ``without`` are left out. Where the pitch is given, a control is drawn while there is one: what it is in a
    rest is not heard.
    """
    pitch = next((np.reshape(controls[n], -1) for n in controls if _is_given_pitch(declared[n])), None)
    names = [name for name in controls if declared[name].role not in without]
    names = [name for name in names if _says_more(declared[name], controls[name])]
    if pitch is not None and not (pitch > 0).any():
        names = []
    images = {name: declared[name].size > 1 and declared[name].role != "hits" for name in names}
    names.sort(key=lambda name: (declared[name].origin == "constant", images[name]))
    drawn = names[:most]
    grid = place.subgridspec(max(1, len(drawn)), 1, hspace=0.12)
    strips = [figure.add_subplot(grid[row, 0], sharex=shared) for row in range(max(1, len(drawn)))]
    for axes, name in zip(strips, drawn, strict=False):
        value, control = np.asarray(controls[name], dtype=np.float64), declared[name]
        value = value.reshape(len(value), -1)
        if pitch is not None and control.role != "gate":
            value = np.where(pitch[:, None] > 0, value, np.nan)
        if control.role == "pitch":
            value = np.where(value > 0, value, np.nan)
        draw = _draw_line if control.size == 1 or control.unit == "Hz" else _draw_image
        draw = _draw_hits if control.role == "hits" else draw
        draw(axes, value, rate_hz, control, colour)
        axes.tick_params(labelsize=7, colors=GREY, labelbottom=False)
    if not drawn:
        strips[0].set_axis_off()
        _label(strips[0], "" if pitch is None or (pitch > 0).any() else "does not play", INK)
    if len(names) > most:
        strips[0].set_title(f"and {len(names) - most} more", fontsize=7, color=GREY, loc="right", pad=2)
    return strips


def _says_more(control: Control, value: np.ndarray) -> bool:
    """Whether a control shows what is not seen elsewhere: a pitch that is heard breaks off where its notes end."""
    return not (control.origin == "heard" and (control.role == "gate" or not np.any(value)))


def _is_given_pitch(control: Control) -> bool:
    return control.role == "pitch" and control.origin == "given"


def _draw_line(axes: Axes, value: np.ndarray, rate_hz: float, control: Control, colour: str) -> None:
    curve, step = _every(value, reduce=np.max if control.role == "gate" else np.mean)
    time = np.arange(len(curve)) * step / rate_hz
    axes.plot(time, curve, color=colour, linewidth=1.0 if curve.shape[1] == 1 and step == 1 else 0.6)
    axes.set_xlim(0, len(value) / rate_hz)
    low, high = axes.get_ylim()
    if curve.shape[1] > 1 and low > 0:
        axes.set(yscale="log", ylim=(low, high * (high / low)))  # room for the caption
    else:
        axes.locator_params(axis="y", nbins=3)
        axes.set_ylim(low - 0.1 * (high - low), high + 0.7 * (high - low))
    axes.spines[["top", "right"]].set_visible(False)
    _label(axes, _caption(control), INK)


def _draw_hits(axes: Axes, value: np.ndarray, rate_hz: float, control: Control, colour: str) -> None:
    """A row of strokes for each instrument of the drum set, as dark as it is hit."""
    for row, hits in enumerate(hits_in_frames(value, rate_hz).values()):
        style = {"colors": colour, "alpha": 0.2 + 0.8 * hits.strength, "linewidth": 1.0}
        if len(hits.seconds):  # matplotlib takes no empty list of shades
            axes.vlines(hits.seconds, row + 0.15, row + 0.85, **style)
    first, *_, last = DRUM_SET
    axes.set(xlim=(0, len(value) / rate_hz), ylim=(0, 1.6 * len(DRUM_SET)), yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
    _label(axes, f"{control.name} of the instruments, from {first} (lowest) to {last}", INK)


def _draw_image(axes: Axes, value: np.ndarray, rate_hz: float, control: Control, colour: str) -> None:
    """Channels upwards; an amplitude is shown in dB below its largest."""
    image, unit = np.nan_to_num(_every(value)[0]), control.unit
    if control.curve == "amplitude":
        image = np.maximum(
            20 * np.log10(np.maximum(image, 1e-9) / max(image.max(initial=0), 1e-9)), -RANGE_DB
        )
        unit = "dB"
    extent = (0, len(value) / rate_hz, 0, value.shape[1])
    axes.imshow(image.T, origin="lower", aspect="auto", extent=extent, cmap=MAP, interpolation="nearest")
    axes.locator_params(axis="y", nbins=3, integer=True)
    _label(axes, _caption(control, unit), "white")


def _caption(control: Control, unit: str | None = None) -> str:
    """What is drawn, in words, with its unit where it has one."""
    unit = control.unit if unit is None else unit
    words = f"{control.name}: {control.text}" if control.text else control.name
    return words if unit == "1" else f"{words} ({unit})"


def _label(axes: Axes, name: str, colour: str, size: int = 8) -> None:
    """A name inside the upper left corner of a panel."""
    _write(axes, 0.008, 0.95, name, colour, size, transform=axes.transAxes)


def _write(axes: Axes, x: float, y: float, text: str, colour: str, size: int, **options: Any) -> None:
    """A text whose upper left corner is at (x, y), outlined so that it can be read on anything."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2, foreground="white" if colour == INK else "black")]
    axes.text(x, y, text, fontsize=size, color=colour, va="top", path_effects=outline, **options)


def _draw_level(axes: Axes, audio: np.ndarray, rate: int, colour: str, source: str) -> None:
    """The level of a stem, in dB of full scale, over blocks of a picture's point or 50 ms."""
    samples = audio.shape[-1]
    block = max(1, int(rate * 0.05), samples // COLUMNS)
    starts = np.arange(0, max(1, samples), block)
    power = [float(np.mean(np.square(audio[..., s : s + block], dtype=np.float32))) for s in starts]
    level = 10 * np.log10(np.nan_to_num(power) + 1e-10)
    axes.plot((starts + block / 2) / rate, level, color=colour, linewidth=1.0, label=source)


def _finish_levels(axes: Axes) -> None:
    top = max((np.max(line.get_ydata()) for line in axes.lines), default=0.0)
    axes.set_ylim(top - 55, top + 18)
    axes.set_ylabel("level, dB", fontsize=8, color=GREY, labelpad=1)
    axes.tick_params(labelsize=7, colors=GREY, labelbottom=False)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(
            loc="upper center", ncols=6, fontsize=8, frameon=False, handlelength=1.2, columnspacing=1.2
        )


def _finish_time(*bottom: Axes) -> None:
    for axes in bottom:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("time (seconds)", fontsize=8, color=GREY)


def _every(value: np.ndarray, reduce: Callable[..., np.ndarray] | None = None) -> tuple[np.ndarray, int]:
    """At most twice COLUMNS rows of (N, k) and their step n: every n-th, or blocks of n reduced to one."""
    step = max(1, math.ceil(len(value) / (2 * COLUMNS)))
    if reduce is None or step == 1:
        return np.asarray(value[::step], dtype=np.float64), step
    starts = range(0, len(value), step)
    return np.array([reduce(value[start : start + step], axis=0) for start in starts], dtype=np.float64), step
