"""Whether a text may be the beginning of something that a rule will meet."""

from __future__ import annotations

from functools import cache

import regex

from moderation.normalise import normalise
from moderation.rules import RULES


def may_begin_hit(text: str) -> bool:
    """Say whether a rule meets `text`, or might meet what begins with it or in its last words."""
    read = normalise(text).rstrip()
    found = (pattern.search(read, partial=True) for pattern in _patterns())
    # What begins after the last character, or within a word, begins anywhere.
    starts = [match.start() for match in found if match]
    return any(start < len(read) and (not start or read[start - 1].isspace()) for start in starts)


@cache
def _patterns() -> tuple[regex.Pattern[str], ...]:
    return tuple(regex.compile(rule.pattern.pattern) for rule in RULES)
