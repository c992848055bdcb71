"""Logistic regression with a quadratic penalty, by L-BFGS.

Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from moderation.training.sparse import Floats

Objective = Callable[[Floats], tuple[float, Floats]]
# Pairs of steps from which the curvature is guessed.
_MEMORY = 8
_ENOUGH_DESCENT = 1e-4


def minimise(objective: Objective, start: Floats, *, steps: int, tolerance: float) -> Floats:
    """Return where `objective`, smooth and convex, is least, after at most `steps` steps.

    Ends sooner once a step lowers it by less than `tolerance` of its value.
    """
    point = start
    value, slope = objective(point)
    memory: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    for _ in range(steps):
        direction = _descend(slope, memory)
        found = _search(objective, point, value, slope, direction)
        if found is None:
            break
        new_point, new_value, new_slope = found
        moved, turned = new_point - point, new_slope - slope
        curvature = float(np.sum(moved * turned))
        if curvature > 0:
            memory.append((moved, turned, curvature))
        gained = value - new_value
        point, value, slope = new_point, new_value, new_slope
        if gained < tolerance * max(abs(value), 1e-12):
            break
    return point


def _descend(slope: Floats, memory: deque[tuple[Floats, Floats, float]]) -> Floats:
    direction = -slope
    shares = []
    for moved, turned, curvature in reversed(memory):
        share = float(np.sum(moved * direction)) / curvature
        direction = direction - share * turned
        shares.append(share)
    if memory:
        _, turned, curvature = memory[-1]
        direction = direction * (curvature / float(np.sum(turned * turned)))
    for (moved, turned, curvature), share in zip(memory, reversed(shares), strict=True):
        back = float(np.sum(turned * direction)) / curvature
        direction = direction + (share - back) * moved
    return direction


def _search(
    objective: Objective, point: Floats, value: float, slope: Floats, direction: Floats
) -> tuple[Floats, float, Floats] | None:
    expected = float(np.sum(slope * direction))
    length = 1.0
    for _ in range(30):
        candidate = point + length * direction
        new_value, new_slope = objective(candidate)
        if new_value <= value + _ENOUGH_DESCENT * length * expected:
            return candidate, new_value, new_slope
        length /= 2
    return None


def logistic(scores: Floats) -> Floats:
    """Return the probability for each score (log odds), without overflow."""
    return np.exp(-np.logaddexp(0.0, -scores))
