"""Give scores a meaning: how rare they are among harmless texts that nobody trained on."""

from __future__ import annotations

from math import log

import numpy as np

from moderation.training.sparse import Floats

# Of harmless texts one in a hundred has log odds above 0, and one in a thousand above this.
_RARE = log(9.0)


def fit_tail(scores: Floats, weights: Floats) -> tuple[float, float]:
    """Return slope and shift that make `slope * score + shift` the log odds promised above.

    The far tail is guessed from the nearer one: what lies between the best tenth and the best
    hundredth is taken to come once more up to the best thousandth, as in an exponential tail.
    """
    tenth, hundredth = (
        weighted_quantile(scores, weights, 0.9),
        weighted_quantile(scores, weights, 0.99),
    )
    slope = _RARE / max(hundredth - tenth, 1e-6)
    return slope, -slope * hundredth


def weighted_quantile(scores: Floats, weights: Floats, share: float) -> float:
    """Return the score that `share` of the weight lies at or below."""
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, share * reached[-1]))
    return float(scores[order][min(place, len(order) - 1)])


def weigh_sources(sources: list[str]) -> Floats:
    """Return weights that let a source of n texts count as the square root of n.

    A small one should not drown, nor three of its texts decide what one in a hundred is.
    """
    _, where, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    return 1.0 / np.sqrt(sizes[where])
