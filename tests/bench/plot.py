"""A chart of a benchmark: the share of messages whose first token was delayed at most so long."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.bench.report import Row

WIDTH, HEIGHT, MARGIN = 720, 420, 56
COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea", "#d97706", "#0891b2")
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def as_svg(rows: Sequence[Row]) -> str:
    """Return one rising line for each row, with milliseconds along and messages up."""
    longest = max(row.overhead_ms.max for row in rows)
    step = next((step for step in STEPS if longest / step <= 10), STEPS[-1])
    end = step * (int(longest / step) + 1)

    def x(ms: float) -> float:
        return MARGIN + max(0.0, ms) / end * (WIDTH - 2 * MARGIN)

    def y(share: float) -> float:
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for ms in range(0, end + 1, step):
        parts.append(_line(x(ms), y(0), x(ms), y(1)))
        parts.append(_text(x(ms), y(0) + 18, f"{ms}"))
    for percent in (0, 50, 95, 100):
        parts.append(_line(x(0), y(percent / 100), x(end), y(percent / 100)))
        parts.append(_text(x(0) - 24, y(percent / 100) + 4, f"{percent} %"))
    parts.append(_text(WIDTH / 2, HEIGHT - 14, "milliseconds added to the provider's first token"))
    for index, row in enumerate(rows):
        colour = COLOURS[index % len(COLOURS)]
        ordered = sorted(row.overheads_ms)
        points = " ".join(
            f"{x(ms):.1f},{y(number / len(ordered)):.1f}"
            for number, ms in enumerate(ordered, start=1)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        label = f"{row.door}, {row.streams} at once"
        parts.append(_text(WIDTH - MARGIN - 70, y(0) - 12 - 18 * index, label, colour))
    return "\n".join([*parts, "</svg>", ""])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, words: str, colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{escape(words)}</text>'
    )
