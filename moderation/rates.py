"""Scores as rates of false positives, and back, so that a policy can be written in rates.

The promise of `types.Scores` gives two points, one in a hundred at 0.5 and one in a thousand at
0.9; between and around them log odds go with the logarithm of the rate, as in an exponential tail.
"""

from __future__ import annotations

from math import exp, log, log10

# Log odds of 0.9 lie so far from those of 0.5, and the rates a decade apart.
_DECADE = log(9.0)
_EVEN = -2.0
# What calibrating texts cannot tell: they are some thousands.
RAREST = 1e-4


def rate_of(score: float) -> float:
    """Return the share of harmless texts that reach `score`, from `RAREST` to 1.

    `rate_of(0.5)` is 0.01 and `rate_of(0.9)` is 0.001.
    """
    if score <= 0.0:
        return 1.0
    if score >= 1.0:
        return RAREST
    decades = _EVEN - log(score / (1.0 - score)) / _DECADE
    return min(1.0, max(RAREST, exp(min(0.0, decades) * log(10.0))))


def score_at(rate: float) -> float:
    """Return the score that a share of `rate` of harmless texts reach.

    Raises ValueError outside `RAREST` to 1: what is rarer cannot be promised.
    """
    if not RAREST <= rate <= 1.0:
        raise ValueError(f"A rate is from {RAREST} to 1, not {rate}.")
    return 1.0 / (1.0 + exp((log10(rate) - _EVEN) * _DECADE))
