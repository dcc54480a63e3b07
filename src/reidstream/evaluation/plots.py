"""Plots as inline SVG, for reports that need nothing but a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 30, 44
_COLOURS = ("#1668b0", "#d9822b", "#2e8b57", "#a33")

Values = npt.NDArray[np.floating] | npt.NDArray[np.integer] | Sequence[float]


def bars(title: str, values: Mapping[str, float], unit: str = "") -> str:
    """One horizontal bar per entry, with its value; the axis begins at 0."""
    most = max([*values.values(), 1e-9])
    row, label = 26, 190
    height = _TOP + row * len(values) + 10
    parts = [_head(title, height)]
    for number, (name, value) in enumerate(values.items()):
        y = _TOP + row * number
        length = (_WIDTH - label - 70) * max(value, 0.0) / most
        parts.append(_text(label - 8, y + 15, name, "end"))
        parts.append(f'<rect x="{label}" y="{y + 3}" width="{length:.1f}" height="16" fill="{_COLOURS[0]}"/>')
        parts.append(_text(label + length + 6, y + 15, f"{value:.3g}{unit}", "start"))
    return _closed(parts)


def counts(title: str, axis: str, values: Values) -> str:
    """How often each whole number occurs, as upright bars."""
    numbers, heights = np.unique(np.asarray(values, np.int64), return_counts=True)
    if len(numbers) == 0:
        return _empty(title)
    low, high = int(numbers[0]), int(numbers[-1])
    edges = np.arange(low, high + 2, dtype=np.float64) - 0.5
    return _columns(title, axis, edges, {"": np.histogram(np.repeat(numbers, heights), edges)[0].astype(np.float64)})


def histogram(title: str, axis: str, series: Mapping[str, Values], low: float, high: float, bins: int = 40) -> str:
    """Shares of each series per bin between ``low`` and ``high``, drawn over one another."""
    edges = np.linspace(low, high, bins + 1)
    found = {}
    for name, values in series.items():
        array = np.clip(np.asarray(values, np.float64), low, high)
        if len(array):
            found[name] = (np.histogram(array, edges)[0] / len(array)).astype(np.float64)
    return _columns(title, axis, edges, found) if found else _empty(title)


def curve(title: str, axis: str, x: Values, y: Values) -> str:
    """A line through points whose y is 0..1."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(xs) == 0:
        return _empty(title)
    span = max(float(xs[-1] - xs[0]), 1e-9)
    points = " ".join(
        f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * (a - xs[0]) / span:.1f},{_HEIGHT - _BOTTOM - (_plot_height()) * b:.1f}"
        for a, b in zip(xs.tolist(), ys.tolist(), strict=True)
    )
    parts = [_head(title, _HEIGHT), *_grid(float(xs[0]), float(xs[-1]), 1.0, axis)]
    parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[0]}" stroke-width="2"/>')
    return _closed(parts)


def reliability_diagram(title: str, bins: Sequence[tuple[float, float, float, float]]) -> str:
    """What was said against what is so, with whiskers; on the diagonal, probabilities are true.

    bins: (said, right, least, most) of each, 0..1.
    """
    if not bins:
        return _empty(title)
    wide, tall, base = _WIDTH - _LEFT - _RIGHT, _plot_height(), _HEIGHT - _BOTTOM
    parts = [_head(title, _HEIGHT), *_grid(0.0, 1.0, 1.0, "said")]
    parts.append(f'<path d="M{_LEFT} {base}L{_LEFT + wide} {base - tall}" stroke="currentColor" stroke-opacity="0.4"/>')
    for said, right, least, most in bins:
        x = _LEFT + wide * said
        whisker = f"M{x:.1f} {base - tall * least:.1f}V{base - tall * most:.1f}"
        parts.append(f'<path d="{whisker}" stroke="{_COLOURS[0]}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{base - tall * right:.1f}" r="4" fill="{_COLOURS[0]}"/>')
    parts.append(_text(_LEFT, _HEIGHT - 5, "right, with 95 % intervals", "start"))
    return _closed(parts)


def _columns(
    title: str, axis: str, edges: npt.NDArray[np.float64], series: Mapping[str, npt.NDArray[np.float64]]
) -> str:
    most = max(float(heights.max()) for heights in series.values()) or 1.0
    low, high = float(edges[0]), float(edges[-1])
    parts = [_head(title, _HEIGHT), *_grid(low, high, most, axis)]
    scale = (_WIDTH - _LEFT - _RIGHT) / (high - low)
    for number, (name, heights) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        for begin, end, height in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True):
            if height:
                tall = _plot_height() * height / most
                parts.append(
                    f'<rect x="{_LEFT + scale * (begin - low) + 0.5:.1f}" y="{_HEIGHT - _BOTTOM - tall:.1f}" '
                    f'width="{max(scale * (end - begin) - 1, 1):.1f}" height="{tall:.1f}" '
                    f'fill="{colour}" fill-opacity="0.6"/>'
                )
        if name:
            x = _LEFT + 8 + 190 * number
            parts.append(f'<rect x="{x}" y="{_HEIGHT - 14}" width="10" height="10" fill="{colour}"/>')
            parts.append(_text(x + 15, _HEIGHT - 5, name, "start"))
    return _closed(parts)


def _plot_height() -> int:
    return _HEIGHT - _TOP - _BOTTOM


def _grid(low: float, high: float, most: float, axis: str) -> list[str]:
    base = _HEIGHT - _BOTTOM
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = base - _plot_height() * share
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity="0.2"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{most * share:.3g}", "end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * share
        parts.append(_text(x, base + 14, f"{low + (high - low) * share:.3g}", "middle"))
    parts.append(_text(_WIDTH - _RIGHT, base + 27, axis, "end"))
    return parts


def _head(title: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        f'font-size="12" fill="currentColor">{_text(4, 16, title, "start")}'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _empty(title: str) -> str:
    return _closed([_head(title, 60), _text(4, 40, "nothing to draw", "start")])


def _closed(parts: list[str]) -> str:
    return "".join([*parts, "</svg>"])
