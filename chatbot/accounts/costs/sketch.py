"""Distributions of times as counts in fixed buckets, which add up over any days.

The widths grow by a constant factor, so that a percentile is right to within a constant share of
itself, whatever was merged and in which order (the mapping of DDSketch: Masson, Rim and Lee,
"DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from django.db.models import Case, Expression, ExpressionWrapper, F, FloatField, IntegerField, When
from django.db.models.functions import Cast, Ceil, Greatest, Ln

RELATIVE_ERROR = 0.02
GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)

# By bucket; the keys are text because they are kept as JSON.
Histogram = Mapping[str, int]


def bucket_of(milliseconds: int) -> int:
    """Return the bucket that counts this many; 0 and 1 share the first."""
    return math.ceil(math.log(max(1, milliseconds)) / math.log(GROWTH))


def select_bucket(column: str) -> Expression:
    """Return `bucket_of` a column as the database computes it; null where the column is."""
    logarithm = Ln(Cast(Greatest(F(column), 1), FloatField()))
    exact = ExpressionWrapper(logarithm / math.log(GROWTH), FloatField())
    # PostgreSQL's GREATEST passes over a null, which would count as 1.
    known = When(**{f"{column}__isnull": False}, then=Cast(Ceil(exact), IntegerField()))
    return Case(known, default=None, output_field=IntegerField())


def add(total: dict[str, int], histogram: Histogram) -> None:
    """Count in `total` also what `histogram` counts."""
    for bucket, count in histogram.items():
        total[bucket] = total.get(bucket, 0) + count


def percentile(histogram: Histogram, percent: int) -> int | None:
    """Return the value below or at which so many percent lie, within RELATIVE_ERROR and rounding.

    None of an empty histogram.
    """
    rank = math.ceil(Fraction(percent, 100) * sum(histogram.values()))
    seen = 0
    for bucket, count in sorted((int(bucket), count) for bucket, count in histogram.items()):
        seen += count
        if seen >= max(1, rank):
            return round(2 * GROWTH**bucket / (GROWTH + 1))
    return None
