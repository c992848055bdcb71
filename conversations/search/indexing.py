"""Writes of the search index, which holds the branch shown of each conversation, and its title.

A send writes nothing here. An ended generation is itself the note that its turn is to be indexed
(`search_due`), so that nothing is lost with a process; `index_due` runs every few seconds. Whatever
is done twice leaves the same entries.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from chatbot.core.crypto import CannotOpen, DataCipher
from conversations.models import (
    TITLE_SEQ,
    Conversation,
    Generation,
    Message,
    SearchEntry,
    Status,
)
from conversations.models.generation import ENDED_STATES
from conversations.queries import try_cipher, walk_seqs
from conversations.sealing import open_column, open_message, report_unreadable
from conversations.search.blinding import Blinder
from conversations.search.terms import terms_of

logger = logging.getLogger(__name__)

# Conversations looked at at a time, and messages read and written at a time.
BATCH = 100
# What people can read of a message. A pending one has no text yet, a halted one a notice.
SEARCHED = (Status.COMPLETE, Status.STOPPED, Status.FAILED)


def due_generations() -> QuerySet[Generation]:
    """Return the answers that have ended and are not in the index yet, with their questions."""
    return Generation.objects.filter(search_due=True, state__in=ENDED_STATES)


def index_due(*, within_s: float) -> int:
    """Index what has ended, oldest first, until nothing is left or the time is over.

    Returns for how many conversations that worked. What another process is at is left to it.
    """
    done, until = 0, monotonic() + within_s
    while True:
        due = due_generations().order_by("finished").values_list("conversation_id", flat=True)
        before = done
        for conversation_id in dict.fromkeys(due[:BATCH]):
            done += index_conversation(conversation_id)
            if monotonic() >= until:
                return done
        if done == before:
            return done


def index_conversation(conversation_id: UUID, *, whole: bool = False) -> bool:
    """Bring what is due of a conversation into the index; False if somebody else is at it.

    With `whole`, everything is looked at: what is missing is added, what is shown no more removed.
    """
    conversation = Conversation.objects.select_related("user").filter(pk=conversation_id).first()
    if conversation is None:
        return True
    due = list(due_generations().filter(conversation=conversation))
    writer = _Writer.of(conversation)
    if writer is None:
        # Without its keys there is nothing to index, today or tomorrow.
        _settle(due)
        return True
    turn = None if whole else _newest_turn(conversation, due)
    if turn is not None:
        return writer.add_newest(turn, due)
    return writer.add_missing(due)


def _newest_turn(conversation: Conversation, due: list[Generation]) -> list[Message] | None:
    """Return the question and the answer if these are all that changed: the usual case."""
    if len(due) != 1 or due[0].answer_seq != conversation.active_leaf:
        return None
    last = due[0].answer_seq
    turn = list(Message.objects.filter(conversation=conversation, seq__in=(last - 1, last)))
    # An edit or a regeneration follows something older, and hides what stood there.
    goes_on = all((message.parent_seq or 0) == message.seq - 1 for message in turn)
    return turn if goes_on and len(turn) == 2 else None


def index_title(conversation: Conversation) -> None:
    """Index a conversation's title as it is now; call it in the transaction that changes it."""
    writer = _Writer.of(conversation)
    if writer is not None:
        writer.write_title()


def forget_messages(conversation_id: UUID, seqs: Iterable[int]) -> None:
    """Take messages out of the index, when they are deleted, retracted or shown no more.

    Call it in the transaction that does that.
    """
    SearchEntry.objects.filter(conversation_id=conversation_id, seq__in=list(seqs)).delete()


def _settle(due: list[Generation]) -> None:
    Generation.objects.filter(pk__in=[one.pk for one in due]).update(search_due=False)


class _Writer:
    """Writes the entries of one conversation."""

    def __init__(self, conversation: Conversation, cipher: DataCipher, blinder: Blinder) -> None:
        self._conversation = conversation
        self._cipher = cipher
        self._blinder = blinder

    @classmethod
    def of(cls, conversation: Conversation) -> _Writer | None:
        """Return a writer, or None, with an alert, when a key does not open."""
        cipher = try_cipher(conversation)
        if cipher is None:
            return None
        try:
            return cls(conversation, cipher, Blinder(conversation.user))
        except CannotOpen as exc:
            report_unreadable(f"data key of {conversation.user_id}", exc)
            return None

    def add_newest(self, turn: list[Message], due: list[Generation]) -> bool:
        entries = list(self._entries(turn))
        with transaction.atomic():
            if not self._lock(skip_locked=True):
                return False
            self._write_readable(entries)
            if any(message.seq == 1 for message in turn):
                self.write_title()
            _settle(due)
        return True

    def add_missing(self, due: list[Generation]) -> bool:
        """Compare the entries with the branch shown, again if it changes meanwhile."""
        conversation = self._conversation
        while not self._add_missing(conversation, due):
            again = Conversation.objects.filter(pk=conversation.pk).first()
            if again is None:
                break  # And its entries with it.
            conversation.active_leaf = again.active_leaf
        return True

    def _add_missing(self, conversation: Conversation, due: list[Generation]) -> bool:
        shown = set(walk_seqs(conversation.pk, conversation.active_leaf))
        mine = SearchEntry.objects.filter(conversation=conversation)
        have = set(mine.values_list("seq", flat=True))
        missing = sorted(shown - have)
        for first in range(0, len(missing), BATCH):
            seqs = missing[first : first + BATCH]
            found = Message.objects.filter(conversation=conversation, seq__in=seqs)
            entries = list(self._entries(found))
            with transaction.atomic():
                if not self._lock():
                    return False
                self._write_readable(entries)
        with transaction.atomic():
            if not self._lock():
                return False
            forget_messages(conversation.pk, have - shown - {TITLE_SEQ})
            self.write_title()
            _settle(due)
        return True

    def _lock(self, *, skip_locked: bool = False) -> bool:
        """Keep others from changing the branch shown; False if it is another one by now."""
        rows = Conversation.objects.select_for_update(no_key=True, skip_locked=skip_locked)
        same = rows.filter(
            pk=self._conversation.pk, active_leaf=self._conversation.active_leaf
        ).first()
        if same is None:
            return False
        self._conversation.title_sealed = same.title_sealed
        return True

    def _write_readable(self, entries: list[SearchEntry]) -> None:
        """Write entries, but of what has been withdrawn since it was read; the lock is held."""
        seqs = [entry.seq for entry in entries]
        left = Message.objects.filter(
            conversation=self._conversation, seq__in=seqs, status__in=SEARCHED
        )
        readable = set(left.values_list("seq", flat=True))
        _write(entry for entry in entries if entry.seq in readable)

    def write_title(self) -> None:
        conversation = self._conversation
        try:
            title = open_column(self._cipher, conversation, "title")
        except CannotOpen as exc:
            report_unreadable(f"title of {conversation.pk}", exc)
            return
        terms = self._blinder.blind(terms_of(title))
        if terms:
            _write([self._entry(TITLE_SEQ, terms)])
        else:
            forget_messages(conversation.pk, [TITLE_SEQ])

    def _entries(self, messages: Iterable[Message]) -> Iterator[SearchEntry]:
        for message in messages:
            if message.status not in SEARCHED:
                continue
            try:
                text = open_message(self._cipher, message)
            except CannotOpen as exc:
                report_unreadable(f"message {message}", exc)
                continue
            if terms := self._blinder.blind(terms_of(text)):
                yield self._entry(message.seq, terms, message)

    def _entry(self, seq: int, terms: list[int], message: Message | None = None) -> SearchEntry:
        return SearchEntry(
            user_id=self._conversation.user_id,
            conversation=self._conversation,
            seq=seq,
            at=message.created if message else self._conversation.created,
            terms=terms,
        )


def _write(entries: Iterable[SearchEntry]) -> None:
    SearchEntry.objects.bulk_create(
        entries,
        update_conflicts=True,
        unique_fields=["conversation", "seq"],
        update_fields=["terms"],
    )
