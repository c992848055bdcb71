"""Searching one's own conversations: blind terms give candidates, which are opened and looked at.

Nothing is answered that was not found in the opened text, so that neither a chance equality of
hashes nor an entry that is out of date can show anything wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from chatbot.core.errors import ChatError, InvalidCursor
from conversations.cursors import decode_position, encode_position
from conversations.models import TITLE_SEQ, Conversation, Message, SearchEntry
from conversations.queries import try_cipher
from conversations.sealing import open_column, open_message, report_unreadable
from conversations.search.blinding import Blinder
from conversations.search.indexing import SEARCHED
from conversations.search.snippets import SNIPPET_CHARS, cut_snippet
from conversations.search.terms import Query, parse_query
from conversations.views import view_conversation

# How many candidates a page opens before it hands out a cursor: so many may only begin like a word.
SPAN = 100

# A person's newest entries are looked through first: a common word fills a page from these, and the
# database need not fetch, only to sort them, all that have it.
RECENT = 400

# Of all that must be there, and of some of which one must be.
_Terms = tuple[list[int], list[int]]


class SearchUnavailable(ChatError):
    code = "search_unavailable"
    status = 503
    sentence = "Your conversations cannot be searched at the moment."


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: int
    at: datetime
    conversation_id: UUID
    seq: int


def search_conversations(
    user: User, text: str, *, cursor: str | None, limit: int
) -> dict[str, Any]:
    """Return a page of what contains all words of `text`, the newest first, and the next's cursor.

    An item is a conversation with one `match`, a message of the branch shown or the title. A page
    may be short, or empty, and still have a next one. Raises InvalidCursor or SearchUnavailable.
    """
    place = _decode_place(cursor) if cursor else None
    query = parse_query(text)
    if query is None:
        return {"items": [], "nextCursor": None}
    found, has_more = _read(user.pk, _blind(user, query), place, enough=limit)
    items: list[dict[str, Any]] = []
    last: _Candidate | None = None
    for candidate, item in _open(found, query, at_once=limit):
        last = candidate
        if item is not None:
            items.append(item)
            if len(items) == limit:
                break
    has_more = has_more or last is not (found[-1] if found else None)
    return {
        "items": items,
        "nextCursor": encode_position(last.at, last.id) if last and has_more else None,
    }


def candidates(user: User, query: Query) -> QuerySet[SearchEntry]:
    """Return the entries that may match, newest first. Raises SearchUnavailable."""
    return _in_order(user.pk).filter(terms__match=_blind(user, query))


def _blind(user: User, query: Query) -> _Terms:
    try:
        blinder = Blinder(user)
    except CannotOpen as exc:
        report_unreadable(f"data key of {user.pk}", exc)
        raise SearchUnavailable from exc
    return blinder.blind(query.all_of()), blinder.blind(query.any_of())


def _in_order(user_id: UUID) -> QuerySet[SearchEntry]:
    # The terms are this person's already; two people's may be equal by chance.
    mine = SearchEntry.objects.filter(user_id=user_id)
    # As no index is ordered: read in order, one by time would be searched to its end for a rare word.
    return mine.order_by(F("at").desc(nulls_last=True), "-id")


def _read(
    user_id: UUID, terms: _Terms, place: tuple[datetime, int] | None, *, enough: int
) -> tuple[list[_Candidate], bool]:
    """Return the newest candidates beyond a place, and whether there may be more.

    The recent ones if these are enough for a page, else the first of all.
    """
    mine = SearchEntry.objects.filter(user_id=user_id)
    rows = _in_order(user_id).values_list("id", "at", "conversation_id", "seq")
    if place is not None:
        at, identity = place
        mine = mine.filter(at__lte=at)
        rows = rows.filter(Q(at__lt=at) | Q(at=at, id__lt=identity))
    since = mine.order_by("-at").values_list("at", flat=True)[RECENT : RECENT + 1]
    for oldest in since:
        recent = rows.filter(at__gte=oldest, terms__match_each=terms)[:SPAN]
        found = [_Candidate(*row) for row in recent]
        if len(found) > enough:
            return found, True
    found = [_Candidate(*row) for row in rows.filter(terms__match=terms)[: SPAN + 1]]
    return found[:SPAN], len(found) > SPAN


def _decode_place(cursor: str) -> tuple[datetime, int]:
    at, identity = decode_position(cursor)
    if not (identity.isascii() and identity.isdigit() and len(identity) < 19):
        raise InvalidCursor
    return at, int(identity)


def _open(
    found: Sequence[_Candidate], query: Query, *, at_once: int
) -> Iterator[tuple[_Candidate, dict[str, Any] | None]]:
    """Yield each candidate with the item that it makes, if it does match."""
    shown: set[UUID] = set()
    for first in range(0, len(found), at_once):
        some = found[first : first + at_once]
        conversations = Conversation.objects.in_bulk({one.conversation_id for one in some})
        places = [(one.conversation_id, one.seq) for one in some if one.seq != TITLE_SEQ]
        messages = {
            (message.conversation_id, message.seq): message
            for message in Message.objects.filter(pk__in=places, status__in=SEARCHED)
        }
        for one in some:
            conversation = conversations.get(one.conversation_id)
            item = None
            # A title is mostly the first message's beginning: found there, it says nothing new.
            if conversation and not (one.seq == TITLE_SEQ and conversation.pk in shown):
                message = messages.get((one.conversation_id, one.seq))
                item = _item(conversation, one, message, query)
            if item is not None:
                shown.add(one.conversation_id)
            yield one, item


def _item(
    conversation: Conversation, candidate: _Candidate, message: Message | None, query: Query
) -> dict[str, Any] | None:
    cipher = try_cipher(conversation)
    if cipher is None or (message is None and candidate.seq != TITLE_SEQ):
        return None
    try:
        if message is None:
            text = open_column(cipher, conversation, "title")
        else:
            text = open_message(cipher, message)
    except CannotOpen as exc:
        report_unreadable(f"search result {conversation.pk}/{candidate.seq}", exc)
        return None
    spans = query.find_in(text, within=SNIPPET_CHARS)
    if spans is None:
        return None
    return {
        **view_conversation(conversation, cipher),
        "match": {
            "seq": message.seq if message else None,
            "messageId": str(message.id) if message else None,
            "role": message.role if message else None,
            "createdAt": candidate.at.isoformat(),
            "snippet": cut_snippet(text, spans),
        },
    }
