"""Score lines of JSON, one risk a line: how others judge the classifier."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from moderation.classifier import Classifier
from moderation.errors import BadLine
from moderation.types import Surface


def score_lines(
    lines: Iterable[str], *, classifier: Classifier, surface: Surface
) -> Iterator[float]:
    """Yield the risk, from 0 to 1, of the `text` of each line, in their order.

    Raises BadLine, with the line's number, at the first that is not a JSON object with a text.
    """
    for number, line in enumerate(lines, start=1):
        yield classifier.score(read_text(line, number), surface).risk


def read_text(line: str, number: int) -> str:
    """Return the `text` of a line of JSON. Raises BadLine."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BadLine(f"Line {number} is not JSON.") from exc
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise BadLine(f'Line {number} is not an object with a "text".')
    return str(row["text"])
