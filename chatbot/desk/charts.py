"""The drawing of the volume chart: where each bar stands. Pure; the page's table says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 900, 220
GAP = 0.25
# More cannot be told apart by their colour: what is beyond shares the last one.
COLOURS = 6
# So many lines across at most.
LINES = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One category of one day, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    blocks: Sequence[Block]
    # Days that are named below, each with its place.
    names: Sequence[tuple[float, str]]
    # Lines across, each with the number of events that it stands for.
    lines: Sequence[tuple[float, int]]
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def stack(categories: Sequence[str], volume: Sequence[tuple[date, Sequence[int]]]) -> Chart:
    """Return a stacked bar for each day, as high as its share of the largest day."""
    most = max((sum(counts) for _, counts in volume), default=0)
    step = WIDTH / max(1, len(volume))
    blocks: list[Block] = []
    for place, (day, counts) in enumerate(volume):
        top = float(HEIGHT)
        for number, count in enumerate(counts):
            if not count:
                continue
            height = HEIGHT * count / most
            top -= height
            x, width = step * (place + GAP / 2), step * (1 - GAP)
            title = f"{day}, {categories[number]}: {count}"
            colour = min(number, COLOURS - 1)
            blocks.append(Block(round(x, 2), round(top, 2), round(width, 2), height, colour, title))
    every = max(1, len(volume) // 6)
    names = [
        (round(step * (place + 0.5), 2), f"{day:%m-%d}")
        for place, (day, _) in enumerate(volume)
        if place % every == 0
    ]
    lines = [(round(HEIGHT * (1 - count / most), 2), count) for count in _scale(most)]
    return Chart(blocks, names, lines, most)


def _scale(most: int) -> range:
    """Return the round numbers, zero left out, that part a scale that ends at `most`."""
    if not most:
        return range(0)
    size = 1
    while most > LINES * size * 10:
        size *= 10
    step = next(size * one for one in (1, 2, 5, 10) if most <= LINES * size * one)
    return range(step, most + 1, step)
