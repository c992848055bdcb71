"""Find the words in letters that were written without spaces, or with signs for letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

# No English word of everyday is longer than the first, few are longer than the second.
SUSPICIOUS_LETTERS = 14
_LONGEST_PART = 14
# What one token may cost.
_MOST_LETTERS = 300

_SIGNS = str.maketrans("013456789", "oieasgtbg")
# Each doubles the spellings that are tried.
_MOST_DOUBTS = 4


def spell_otherwise(word: str) -> Iterator[str]:
    """Yield what `word` may be if digits stand for letters, and an i for an l."""
    plain = word.translate(_SIGNS)
    if plain != word:
        yield plain
    doubts = [place for place, letter in enumerate(plain) if letter == "i"]
    if len(word) < 4 or not 1 <= len(doubts) <= _MOST_DOUBTS:
        return
    for letters in product("il", repeat=len(doubts)):
        spelt = list(plain)
        for place, letter in zip(doubts, letters, strict=True):
            spelt[place] = letter
        if "l" in letters:
            yield "".join(spelt)


def split_joined(token: str, is_word: Callable[[str], bool]) -> list[str]:
    """Return the fewest known words that `token` is made of, or the token alone if there are none."""
    if not SUSPICIOUS_LETTERS <= len(token) <= _MOST_LETTERS or not token.isalpha():
        return [token]
    # For each length from the start: the fewest words, and how long the last one is.
    fewest: list[tuple[int, int] | None] = [(0, 0)]
    for end in range(1, len(token) + 1):
        best = None
        for length in range(1, min(_LONGEST_PART, end) + 1):
            before = fewest[end - length]
            if before is None or (best is not None and before[0] + 1 >= best[0]):
                continue
            part = token[end - length : end]
            if part in "ai" if length == 1 else is_word(part):
                best = (before[0] + 1, length)
        fewest.append(best)
    parts: list[str] = []
    end = len(token)
    while end and (found := fewest[end]) is not None:
        parts.append(token[end - found[1] : end])
        end -= found[1]
    return parts[::-1] if not end else [token]
