"""Charts of benchmarks, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10

from tests.bench.report import Curve

WIDTH, HEIGHT, MARGIN = 720, 420, 56
COLOURS = (
    "#2563eb",
    "#dc2626",
    "#059669",
    "#9333ea",
    "#d97706",
    "#0891b2",
    "#64748b",
    "#be185d",
    "#4d7c0f",
    "#7c2d12",
    "#1e3a8a",
    "#111827",
)
# Milliseconds that a logarithmic axis may end with.
DECADES = (10, 100, 1_000, 10_000, 100_000)
MARKS = (1, 2, 5)


def share_chart(curves: Sequence[Curve]) -> str:
    """Return the share of messages whose first token was delayed at most so long.

    One rising line for each curve, with milliseconds along and messages up. Along it is
    logarithmic: what a quiet and what an overloaded server add are far apart.
    """
    longest = max(max(values) for _, values in curves)
    end = next((end for end in DECADES if longest <= end), DECADES[-1])

    def x(ms: float) -> float:
        return MARGIN + log10(min(max(1.0, ms), end)) / log10(end) * (WIDTH - 2 * MARGIN)

    def y(share: float) -> float:
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    parts = _opening()
    for ms in sorted({mark * decade // 10 for decade in DECADES for mark in MARKS}):
        if ms <= end:
            parts.append(_line(x(ms), y(0), x(ms), y(1)))
            parts.append(_text(x(ms), y(0) + 18, f"{ms}"))
    for percent in (0, 50, 95, 100):
        parts.append(_line(x(1), y(percent / 100), x(end), y(percent / 100)))
        parts.append(_text(x(1) - 24, y(percent / 100) + 4, f"{percent} %"))
    parts.append(_text(WIDTH / 2, HEIGHT - 14, "milliseconds added to the provider's first token"))
    for index, (name, values) in enumerate(curves):
        ordered = sorted(values)
        points = [(x(ms), y(number / len(ordered))) for number, ms in enumerate(ordered, start=1)]
        parts += _curve(points, name, index)
    return "\n".join([*parts, "</svg>", ""])


def line_chart(
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, along: str, up: str
) -> str:
    """Return one line through the points of each curve, both axes from zero."""
    points = [point for _, curve in curves for point in curve]
    most_x = max(x for x, _ in points) or 1
    most_y = 1.15 * max(y for _, y in points) or 1

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (
            MARGIN + x / most_x * (WIDTH - 2 * MARGIN),
            HEIGHT - MARGIN - y / most_y * (HEIGHT - 2 * MARGIN),
        )

    parts = _opening()
    for tenth in range(0, 11, 2):
        x, y = place((most_x * tenth / 10, most_y * tenth / 10))
        parts.append(_line(x, HEIGHT - MARGIN, x, MARGIN))
        parts.append(_text(x, HEIGHT - MARGIN + 18, f"{most_x * tenth / 10:,.0f}"))
        parts.append(_line(MARGIN, y, WIDTH - MARGIN, y))
        parts.append(_text(MARGIN - 26, y + 4, f"{most_y * tenth / 10:,.0f}"))
    parts.append(_text(WIDTH / 2, HEIGHT - 14, along))
    parts.append(_text(MARGIN + 20, MARGIN - 20, up))
    for index, (name, curve) in enumerate(curves):
        parts += _curve([place(point) for point in curve], name, index)
    return "\n".join([*parts, "</svg>", ""])


def _opening() -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]


def _curve(points: Sequence[tuple[float, float]], name: str, index: int) -> list[str]:
    colour = COLOURS[index % len(COLOURS)]
    words = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    # Names stand where rising lines leave room: at the bottom, on the right.
    place = (WIDTH - MARGIN - 90, HEIGHT - MARGIN - 12 - 18 * index)
    return [
        f'<polyline points="{words}" fill="none" stroke="{colour}" stroke-width="2"/>',
        _text(*place, name, colour),
    ]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, words: str, colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{escape(words)}</text>'
    )
