"""The figures of a run as a table in a page of documentation, and as a chart."""

from __future__ import annotations

from html import escape
from math import log10
from pathlib import Path

from moderation.training.evaluating import Figures

_WIDTH, _HEIGHT, _MARGIN = 640, 400, 52
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea")
# False positives along: from one in a thousand to all, a decade each.
_DECADES = ("0.1 %", "1 %", "10 %", "100 %")
_LEAST = 0.001


def write_figures(figures: Figures) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        f"Classifier `{figures.version}`.",
        "",
        "| what | harmful | harmless | measure | value |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in figures.rows:
        shown = f"{row.value:.3f}" if row.measure.startswith("AUPRC") else f"{row.value:.1%}"
        counts = f"{row.harmful or ''} | {row.harmless or ''}"
        lines.append(f"| {row.what} | {counts} | {row.measure} | {shown} |")
    return "\n".join(lines) + "\n"


def put_figures(page: Path, name: str, text: str) -> None:
    """Replace what stands in `page` between the comments that name the figures.

    Raises ValueError where the page has no such place.
    """
    start, end = f"<!-- figures: {name} -->\n", f"<!-- end of figures: {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(start)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page.name} has no place for the figures of {name}.")
    page.write_text(f"{before}{start}{text}{end}{after}", encoding="utf-8")


def draw_curves(figures: Figures) -> str:
    """Return an SVG of recall over false positives, these on a logarithmic axis."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for place, label in enumerate(_DECADES):
        x = _x(_LEAST * 10**place)
        parts.append(_path([(x, _y(0)), (x, _y(1))], "#ddd"))
        parts.append(_text(x, _HEIGHT - _MARGIN + 18, label))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_path([(_x(_LEAST), _y(share)), (_x(1), _y(share))], "#ddd"))
        parts.append(_text(_MARGIN - 24, _y(share) + 4, f"{share:.0%}"))
    parts.append(_text(_WIDTH / 2, _HEIGHT - 12, "harmless requests wrongly flagged"))
    parts.append(_text(_WIDTH / 2, 24, "harmful requests flagged"))
    for place, (name, points) in enumerate(figures.curves):
        colour = _COLOURS[place % len(_COLOURS)]
        line = [(_x(max(wrong, _LEAST)), _y(right)) for wrong, right in points]
        parts.append(_path(_thin(line), colour))
        parts.append(_text(_WIDTH - _MARGIN - 60, _y(0.12 + 0.07 * place), name, colour))
    return "\n".join([*parts, "</svg>", ""])


def _x(share: float) -> float:
    return _MARGIN + (log10(share / _LEAST) / 3) * (_WIDTH - 2 * _MARGIN)


def _y(share: float) -> float:
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points closer than a pixel to the one before."""
    kept = points[:1]
    for point in points[1:]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= 1.5:
            kept.append(point)
    return kept


def _path(points: list[tuple[float, float]], colour: str) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{line}" stroke="{colour}" fill="none"/>'


def _text(x: float, y: float, text: str, colour: str = "#333") -> str:
    middle = f'text-anchor="middle" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {middle}>{escape(text)}</text>'
