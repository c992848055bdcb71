"""What was said, as it is kept for the next prompt: its text, and how long it is for any model."""

from __future__ import annotations

from typing import Literal, NamedTuple

from conversations.context import PastTurn
from conversations.sizes import Gauge, StoredSize, read_size


class Said(NamedTuple):
    """A message of a branch, complete. Without `tokens` a model is told nothing of it.

    Its size is as the message's columns have it (see `StoredSize`), so that what is kept of it holds
    whichever model is asked next, and whatever is learnt of that one meanwhile.
    """

    seq: int
    role: Literal["user", "assistant"]
    tokens: int
    wide: int
    counted: int | None
    model: str
    text: str

    @property
    def size(self) -> StoredSize:
        return read_size(self.tokens, self.wide, self.counted, self.model)

    def as_turn(self, gauge: Gauge) -> PastTurn:
        """Return it as it stands in the prompt of a model that counts so."""
        return PastTurn(self.role, self.text, self.size.fit(gauge), self.seq)


def say_nothing(seq: int, role: Literal["user", "assistant"]) -> Said:
    """Return a message that no model is told of, in its place."""
    return Said(seq, role, 0, 0, None, "", "")
