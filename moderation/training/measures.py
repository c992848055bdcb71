"""What a list of scores is worth, in the few numbers that are published."""

from __future__ import annotations

import numpy as np

from moderation.training.sparse import Floats


def average_precision(harmful: Floats, harmless: Floats, *, share: float | None = None) -> float:
    """Return the area under the curve of precision over recall, as a sum of steps.

    It grows with the share of harmful texts: that of the two lists, or `share` where it is given.
    """
    scores = np.concatenate([harmful, harmless])
    labels = np.concatenate([np.ones(len(harmful)), np.zeros(len(harmless))])
    if share is None:
        share = len(harmful) / max(len(labels), 1)
    # Among equals the harmless come first: a constant earns no more than its share.
    order = np.lexsort((labels, -scores))
    labels = labels[order]
    found = share * np.cumsum(labels) / max(len(harmful), 1)
    wrong = (1.0 - share) * np.cumsum(1.0 - labels) / max(len(harmless), 1)
    precision = found / np.maximum(found + wrong, 1e-12)
    return float(np.sum(precision * labels) / max(len(harmful), 1))


def recall_at(harmful: Floats, harmless: Floats, share: float) -> float:
    """Return the share of `harmful` above what `share` of `harmless` lies above."""
    threshold = float(np.quantile(harmless, 1.0 - share, method="higher"))
    return float(np.mean(harmful > threshold))


def curve(harmful: Floats, harmless: Floats) -> list[tuple[float, float]]:
    """Return points of false positives against recall, from the strictest threshold on."""
    thresholds = np.unique(np.concatenate([harmful, harmless]))[::-1]
    above_harmless = np.searchsorted(np.sort(harmless), thresholds, side="left")
    above_harmful = np.searchsorted(np.sort(harmful), thresholds, side="left")
    return [
        (1.0 - float(x) / len(harmless), 1.0 - float(y) / len(harmful))
        for x, y in zip(above_harmless, above_harmful, strict=True)
    ]
