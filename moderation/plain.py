"""Words that are read the same whatever stands around them: nothing about them is disguised."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from moderation.characters import LOOKALIKES, TABLE
from moderation.encodings import decode_hidden
from moderation.features import Coded, code_word
from moderation.normalise import normalise
from moderation.rules import find_needs

# Longer ones are nobody's vocabulary; what stands in them is read anew each time.
LONGEST_RUN = 40
# A word costs about 400 bytes here; what models write repeats itself.
_REMEMBERED = 50_000
_SINGLE_END = re.compile(r"(?<![^\W_])[^\W_]\Z")
_SINGLE_START = re.compile(r"[^\W_](?![^\W_])")
# With shorter ones, hidden text of ten letters has two of `_DIGITS` in a row.
_LONG_DIGITS = re.compile(r"[0-9A-Fa-f:]{8}")
_DIGITS = re.compile(r"(?:[0-9A-Fa-f]{2}:?)+")


class Plain(NamedTuple):
    """What a run of characters without a space says: its words, and what of rules it has.

    The rest tells what it could be a part of together with its neighbours: s p a c e d letters,
    or hexadecimal digits.
    """

    words: tuple[str, ...]
    coded: tuple[Coded, ...]
    needs: int
    is_letter: bool
    begins_with_letter: bool
    ends_with_letter: bool
    is_digits: bool

    @property
    def is_edge(self) -> bool:
        """Whether this may go on with what stands before it."""
        return self.begins_with_letter or self.is_digits


class PlainWords(dict[str, Plain | None]):
    """Reads each run of characters once; None is what cannot be read by itself."""

    def __init__(self, cut: Callable[[str], list[str]]) -> None:
        self._cut = cut

    def __missing__(self, run: str) -> Plain | None:
        if len(run) > LONGEST_RUN:
            return None
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[run] = self._read(run)
        return found

    def _read(self, run: str) -> Plain | None:
        reading = run.translate(TABLE)
        is_plain = (
            reading.split() == [reading]
            and (reading.isascii() or LOOKALIKES.keys().isdisjoint(reading))
            and normalise(run) == reading
            and not _LONG_DIGITS.search(run)
            and not decode_hidden(run)
        )
        if not is_plain:
            return None
        words = tuple(self._cut(reading))
        return Plain(
            words=words,
            coded=tuple(map(code_word, words)),
            needs=find_needs(reading),
            is_letter=len(reading) == 1 and reading.isalnum(),
            begins_with_letter=bool(_SINGLE_START.match(reading)),
            ends_with_letter=bool(_SINGLE_END.search(reading)),
            is_digits=bool(_DIGITS.fullmatch(run)),
        )
