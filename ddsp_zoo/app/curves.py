"""Curves of controls as small pictures in SVG, so many points that one can see them and no more."""

from html import escape

import numpy as np

from ddsp_zoo.synths.control import Control

POINTS = 300  # along a curve
WIDTH, HEIGHT = 300.0, 56.0


def curve(control: Control, before: np.ndarray, after: np.ndarray | None = None) -> str:
    """Returns the HTML of a control over time: its name, unit, text and range, and its curve (N, k), before and after.

    Of several values in a frame it is their median, and the range that they cover is shaded.
    """
    values = [np.reshape(own, (len(own), -1)) for own in (before, after) if own is not None]
    low, high = min(float(own.min()) for own in values), max(float(own.max()) for own in values)
    paths = _shade(values[-1], low, high) if values[-1].shape[1] > 1 else ""
    for own, name in zip(values, ("before", "after"), strict=False):
        middle = np.median(_few(own), axis=1)
        paths += f'<polyline class="{name}" points="{_points(middle, low, high)}"/>'
    unit = "" if control.unit == "1" else f" {control.unit}"
    title = f"<b>{escape(control.name)}</b> {escape(control.text)}, {low:.4g} to {high:.4g}{escape(unit)}"
    return (
        f'<figure class="curve" data-control="{escape(control.name, quote=True)}"><figcaption>{title}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" aria-hidden="true">{paths}</svg></figure>'
    )


def _few(values: np.ndarray) -> np.ndarray:
    """As many frames as are shown, each the mean of those that it stands for; what is shorter stays."""
    if len(values) <= POINTS:
        return values
    edges = np.linspace(0, len(values), POINTS + 1).astype(int)[:-1]
    counts = np.diff([*edges, len(values)])
    return np.add.reduceat(values.astype(np.float64), edges) / counts[:, None]


def _shade(values: np.ndarray, low: float, high: float) -> str:
    few = _few(values)
    top, bottom = _points(few.max(1), low, high), _points(few.min(1), low, high)
    return f'<polygon class="range" points="{top} {" ".join(reversed(bottom.split()))}"/>'


def _points(values: np.ndarray, low: float, high: float) -> str:
    x = np.linspace(0, WIDTH, len(values))
    y = HEIGHT - 2 - (HEIGHT - 4) * (values - low) / (high - low if high > low else 1)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
