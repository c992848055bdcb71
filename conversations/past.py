"""What was said before a question: from the context cache where it is warm, else from the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, cast
from uuid import UUID

from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.db import DatabaseAway
from chatbot.core.metrics import CONTEXT_READS
from chatbot.core.prepared import PreparedSelect
from conversations.context import Memory, PastTurn
from conversations.contextcache.entry import (
    Entry,
    cut_entry,
    pack_entry,
    pack_part,
    unpack_entry,
)
from conversations.contextcache.store import (
    append_raw,
    forget_contexts,
    has_store,
    read_raw,
    write_raw,
)
from conversations.models import Conversation, Message, Status
from conversations.ranges import walk_range
from conversations.said import Said, say_nothing
from conversations.sealing import open_content, open_message, report_unreadable
from conversations.sizes import NEUTRAL, Gauge, size_of
from conversations.summaries import list_summaries, open_memories

# Each part of an entry is opened by itself. From so many on it is written anew, in one, without what
# no prompt takes any more.
MAX_PARTS = 16
# A failed answer may hold half a sentence, a halted one what must not be said again.
_SPOKEN = frozenset({Status.COMPLETE, Status.STOPPED})
# What there is to know of a message besides its place and size.
_TOLD = ("role", "status", "content_sealed")


class Beyond(Exception):
    """The entry does not go back far enough."""


class Past(Protocol):
    """What was said before a question, and what is remembered of it.

    `turns` is to be taken as far as a prompt needs it; what was taken, `keep` keeps for the next.
    """

    source: str
    memories: Sequence[Memory]

    def turns(self, gauge: Gauge) -> Iterator[PastTurn]:
        """Yield what a model that counts so may be told, newest first. Raises Beyond."""

    def keep(self, new: Sequence[Said]) -> None:
        """Put what was taken, and what was said since, into the cache; nobody waits for long."""


def find_pasts(
    conversation: Conversation, cipher: DataCipher, *, leaf: int | None, tokens: int
) -> Iterator[Past]:
    """Yield where what was said up to a message can be had: try the next after Beyond.

    The last one goes back to the beginning. About so many `tokens` of it are wanted, as they are
    stored.
    """
    entry = _find_entry(conversation, cipher, leaf) if leaf is not None else None
    if entry is not None:
        yield WarmPast(conversation, cipher, entry, leaf)
    yield ColdPast(conversation, cipher, leaf, tokens)


def _find_entry(conversation: Conversation, cipher: DataCipher, leaf: int | None) -> Entry | None:
    raw = read_raw(conversation.pk)
    if raw is None:
        return None
    try:
        entry = unpack_entry(cipher, conversation.pk, conversation.memory_version, raw)
    except CannotOpen as exc:
        CONTEXT_READS.labels(source="refused").inc()
        report_unreadable(f"cached context of {conversation.pk}", exc)
        return None
    return entry


class WarmPast:
    """What an earlier turn has kept of it."""

    source = "cache"

    def __init__(
        self, conversation: Conversation, cipher: DataCipher, entry: Entry, leaf: int | None
    ) -> None:
        self._conversation = conversation
        self._cipher = cipher
        self._entry = entry
        self._leaf = leaf
        self._taken = 0
        self.memories: Sequence[Memory] = entry.memories

    def turns(self, gauge: Gauge) -> Iterator[PastTurn]:
        cut = cut_entry(self._entry, self._leaf)
        if cut is None:
            raise Beyond
        for one in reversed(cut.said):
            self._taken += 1
            if one.tokens:
                yield one.as_turn(gauge)
        if cut.before is not None:
            raise Beyond

    def keep(self, new: Sequence[Said]) -> None:
        cut = cut_entry(self._entry, self._leaf)
        if cut is self._entry and cut.parts < MAX_PARTS:
            part = pack_part(self._cipher, self._conversation.pk, cut, new)
            append_raw(self._conversation.pk, head=cut.head, size=cut.size, part=part)
        elif cut is not None:
            first = len(cut.said) - self._taken
            before = cut.said[first - 1].seq if first else cut.before
            taken = [*cut.said[first:], *new]
            _write(self._conversation, self._cipher, Entry(taken, before, self.memories))


class ColdPast:
    """What the database has of it: one read of a range, and one of what is remembered."""

    source = "database"

    def __init__(
        self, conversation: Conversation, cipher: DataCipher, leaf: int | None, tokens: int
    ) -> None:
        self._conversation = conversation
        self._cipher = cipher
        self._leaf = leaf
        self._tokens = tokens
        self._taken: list[Said] = []
        self._before = leaf
        summaries = list_summaries(conversation)
        self.memories: Sequence[Memory] = list(open_memories(summaries, cipher))
        # What does not open may be mended in the database, and nobody would tell the cache.
        self._is_whole = len(self.memories) == len(summaries)

    def turns(self, gauge: Gauge) -> Iterator[PastTurn]:
        place = self._conversation.pk
        for row in walk_range(place, self._leaf, *_TOLD, tokens=self._tokens):
            seq, self._before, tokens, wide, counted, model, role, status, sealed = row
            text = self._open(seq, sealed) if tokens and status in _SPOKEN else None
            if text is None:
                self._taken.append(say_nothing(seq, role))
            else:
                said = Said(seq, role, tokens, wide, counted, model, text)
                self._taken.append(said)
                yield said.as_turn(gauge)

    def _open(self, seq: int, sealed: bytes) -> str | None:
        place = self._conversation.pk
        try:
            return open_content(self._cipher, place, seq, sealed)
        except CannotOpen as exc:
            report_unreadable(f"message {place}/{seq}", exc)
            self._is_whole = False
            return None

    def keep(self, new: Sequence[Said]) -> None:
        if self._is_whole and has_store():
            said = [*reversed(self._taken), *new]
            _write(self._conversation, self._cipher, Entry(said, self._before, self.memories))


def _write(conversation: Conversation, cipher: DataCipher, entry: Entry) -> None:
    oldest = entry.said[0].seq
    # A prompt that would tell another needs more turns than there are here.
    telling = [one for one in entry.memories if one.covers >= oldest] or entry.memories[:1]
    kept = Entry(entry.said, entry.before, telling)
    write_raw(
        conversation.pk, pack_entry(cipher, conversation.pk, conversation.memory_version, kept)
    )
    # Looked at afterwards: whoever withdraws something later than this look deletes the entry.
    if not _is_current(conversation):
        forget_contexts([conversation.pk])


_find_same = PreparedSelect(
    lambda slots: Conversation.objects.filter(
        pk=slots.id, memory_version=slots.version
    ).values_list("memory_version"),
    id=UUID,
    version=int,
)


def _is_current(conversation: Conversation) -> bool:
    """Say whether nothing was withdrawn, and nothing remembered changed, since it was read."""
    try:
        return bool(_find_same.tuples(id=conversation.pk, version=conversation.memory_version))
    except DatabaseAway:
        return False


def spoken_turns(branch: Iterable[Message], cipher: DataCipher) -> Iterator[PastTurn]:
    """Yield what of a branch a model may be told, as long as one that nobody knows counts it.

    What does not open is left out.
    """
    for message in branch:
        if not is_spoken(message):
            continue
        try:
            text = open_message(cipher, message)
        except CannotOpen as exc:
            report_unreadable(f"message {message}", exc)
            continue
        role = cast(Literal["user", "assistant"], message.role)
        yield PastTurn(role, text, size_of(message).fit(NEUTRAL), message.seq)


def is_spoken(message: Message) -> bool:
    return message.status in _SPOKEN and bool(message.token_count)
