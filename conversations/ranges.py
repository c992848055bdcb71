"""Reads as much of a branch as one prompt takes, in one range of the key or hardly more."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

from chatbot.core.prepared import PreparedSelect
from conversations.models import Message
from conversations.queries import walk_rows

# Messages are about so long, until their own sizes say otherwise: rather read too many than twice.
TYPICAL_TOKENS = 128
# What a first guess asks for at most, and any: a server's memory, and ours, has other uses.
FIRST_ROWS, MOST_ROWS = 1_024, 8_192
LEAST_ROWS = 16
# Messages differ, and some of what is read is on other branches.
SPARE = 1.25
# What each row begins with: its place, and the columns of its size.
PLACE = ("seq", "parent_seq", "token_count", "wide_tokens", "counted_tokens", "model")


def walk_range(
    conversation_id: UUID, leaf: int | None, *columns: str, tokens: int
) -> Iterator[tuple[Any, ...]]:
    """Yield a branch's messages as tuples, from its leaf back: `PLACE`, then these columns.

    About so many `tokens` of it will be wanted, as they are stored (`token_count`). It goes on to the
    root for whoever wants more.
    """
    read = _RangeReader(conversation_id, leaf, columns, tokens)
    return walk_rows(read, leaf, lambda row: (row[0], row[1]))


class _RangeReader:
    """Reads rows from a seq downwards, each time about as many as the tokens that are left take."""

    def __init__(
        self, conversation_id: UUID, leaf: int | None, columns: tuple[str, ...], tokens: int
    ) -> None:
        self._conversation_id = conversation_id
        self._columns = columns
        self._left = tokens
        self._rows = 0
        self._tokens = 0
        # There are no more below it.
        self._size = min(leaf or 0, max(0, tokens) // TYPICAL_TOKENS, FIRST_ROWS)

    def __call__(self, below: int, *, first: bool) -> list[tuple[Any, ...]]:
        if not first:
            self._size = max(2 * self._size, round(SPARE * self._left * self._rows / self._tokens))
        self._size = _round_up(self._size)
        read = _range(self._size, self._columns)
        found = read.tuples(conversation=self._conversation_id, below=below)
        tokens = sum(row[2] for row in found)
        self._rows += len(found)
        self._tokens += max(1, tokens)
        self._left -= tokens
        return found


def _round_up(rows: int) -> int:
    """Return a power of two, so that there are few statements to prepare."""
    return 1 << (min(MOST_ROWS, max(LEAST_ROWS, rows)) - 1).bit_length()


@cache
def _range(size: int, columns: tuple[str, ...]) -> PreparedSelect[Any]:
    return PreparedSelect(
        lambda at: (
            Message.objects.filter(conversation_id=at.conversation, seq__lte=at.below)
            .order_by("-seq")
            .values_list(*PLACE, *columns)[:size]
        ),
        conversation=UUID,
        below=int,
    )
