"""Small charts of numbers as SVG inside a page, whose style sheet gives them their colours.

Everything that is drawn stands in a table beside it, too: a chart is a picture with a sentence (``aria-label``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from reidstream.numbers.buckets import Bucket, Clock, spread

_WIDTH, _HEIGHT = 640, 190
_LEFT, _TOP, _BOTTOM = 40, 14, 30
_MOST_BARS = 72
"""Buckets in a chart: three days of hours. The newest ones."""
_TICKS = 8
_WIDEST = 44.0

Row = dict[str, Any]


def people_chart(rows: Sequence[Row], axis: Sequence[tuple[float, str]], title: str) -> Markup:
    """Bars of the expected people of one place, new ones in colour, with the interval as a line.

    axis: the buckets of the chart: when each begins (Unix seconds), and what is written below it.
    """
    at = {row["begin"]: row for row in rows}
    shown = [at.get(begin) for begin, _ in axis]
    top = max([1, *(row["people_high"] for row in shown if row is not None)])
    scale = (_HEIGHT - _TOP - _BOTTOM) / top
    step = min((_WIDTH - _LEFT - 8) / max(len(axis), 1), _WIDEST)
    foot = _HEIGHT - _BOTTOM
    parts: list[str] = []
    for value in sorted({0, top // 2, top}):
        y = foot - value * scale
        parts.append(f'<line class="row" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    every = max(1, -(-len(axis) // _TICKS))
    wide = max(step * 0.76, 1.0)
    for n, ((_, label), row) in enumerate(zip(axis, shown, strict=True)):
        x = _LEFT + n * step
        middle = x + wide / 2
        if n % every == 0:
            parts.append(f'<text x="{middle:.1f}" y="{foot + 18}" text-anchor="middle">{escape(label)}</text>')
        if row is None:
            continue
        new, back = row["new"] * scale, row["returning"] * scale
        parts.append(f'<rect class="back" x="{x:.1f}" y="{foot - back:.1f}" width="{wide:.1f}" height="{back:.1f}"/>')
        bar = f'<rect class="new" x="{x:.1f}" y="{foot - back - new:.1f}" width="{wide:.1f}" height="{new:.1f}">'
        parts.append(f"{bar}<title>{escape(_said(row))}</title></rect>")
        if row["people_high"] > row["people_low"]:
            low, high = foot - row["people_low"] * scale, foot - row["people_high"] * scale
            parts.append(f'<path class="doubt" d="M{middle:.1f} {low:.1f}V{high:.1f}"/>')
    return _svg(title, _HEIGHT, parts)


def axis_of(rows: Sequence[Row], clock: Clock, bucket: Bucket) -> list[tuple[float, str]]:
    """The buckets from the first to the last row, those without rows as well; at most the newest so many."""
    if bucket is Bucket.ALL or not rows:
        return []
    begins = np.array([row["begin"] for row in rows])
    last = float(begins.max())
    first = max(float(begins.min()), last - (_MOST_BARS - 1) * bucket.seconds)
    _, found = spread(clock, np.array([first]), np.array([last + 1.0]), bucket)
    return [(begin, _tick(clock.said(begin), bucket)) for begin in found.tolist()[-_MOST_BARS:]]


def flow_chart(flows: Sequence[Row], title: str) -> Markup:
    """Bands from the cameras on the left to those on the right, as wide as people are expected to have gone there."""
    shown = [flow for flow in flows if flow["people"] > 0][:40]
    total = sum(flow["people"] for flow in shown)
    if not total:
        return Markup("")
    left = _heights(shown, "origin")
    right = _heights(shown, "target")
    gaps = 10 * max(len(left), len(right))
    room = max(120.0, 26.0 * max(len(left), len(right)))
    scale = room / total
    height = int(room + gaps + 2 * _TOP)
    at_left, at_right = _places(left, scale), _places(right, scale)
    parts: list[str] = []
    x1, x2 = 170, _WIDTH - 170
    begun = {name: y for name, (y, _) in at_left.items()}
    ended = {name: y for name, (y, _) in at_right.items()}
    order = sorted(shown, key=lambda flow: (list(left).index(flow["origin"]), list(right).index(flow["target"])))
    for flow in order:
        wide = flow["people"] * scale
        y1, y2 = begun[flow["origin"]] + wide / 2, ended[flow["target"]] + wide / 2
        begun[flow["origin"]] += wide
        ended[flow["target"]] += wide
        kind = "outside" if not flow["origin"] or not flow["target"] else "way"
        middle = (x1 + x2) / 2
        path = f"M{x1} {y1:.1f}C{middle} {y1:.1f} {middle} {y2:.1f} {x2} {y2:.1f}"
        band = f'<path class="band {kind}" stroke-width="{max(wide, 0.7):.1f}" d="{path}">'
        parts.append(f"{band}<title>{escape(_said_flow(flow))}</title></path>")
    for places, x, anchor, blank in ((at_left, x1 - 8, "end", "came in"), (at_right, x2 + 8, "start", "went out")):
        for name, (y, wide) in places.items():
            edge = x1 - 4 if anchor == "end" else x2
            parts.append(f'<rect class="post" x="{edge}" y="{y:.1f}" width="4" height="{max(wide, 1):.1f}"/>')
            label = escape(_short(name or blank))
            parts.append(f'<text x="{x}" y="{y + wide / 2 + 4:.1f}" text-anchor="{anchor}">{label}</text>')
    return _svg(title, height, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")


def _tick(local: str, bucket: Bucket) -> str:
    try:
        moment = datetime.fromisoformat(local)
    except ValueError:
        return local
    return f"{moment:%H:%M}" if bucket is Bucket.HOUR and moment.hour else f"{moment:%d.%m.}"


def _said(row: Row) -> str:
    number = f"{row['people']:.1f} people ({row['people_low']} to {row['people_high']}), {row['new']:.1f} of them new"
    return f"{row['local']}: {number}" if row["local"] else number


def _said_flow(flow: Row) -> str:
    origin, target = flow["origin"] or "outside", flow["target"] or "outside"
    return f"{origin} to {target}: {flow['people']:.1f} ({flow['people_low']} to {flow['people_high']})"


def _heights(flows: Sequence[Row], side: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for flow in flows:
        found[flow[side]] = found.get(flow[side], 0.0) + flow["people"]
    # Outside stands at the end.
    return dict(sorted(found.items(), key=lambda item: (item[0] == "", item[0])))


def _places(heights: dict[str, float], scale: float) -> dict[str, tuple[float, float]]:
    y, found = float(_TOP), {}
    for name, people in heights.items():
        found[name] = (y, people * scale)
        y += people * scale + 10
    return found


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
