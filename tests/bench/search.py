"""One person with very many messages, searched: how long it takes, and what it costs.

    .venv/bin/python -m tests.services .venv/bin/python manage.py bench_context search

Texts are drawn from a vocabulary in which, as in a language, the word of rank n is about n times
rarer than the first (Zipf's law).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from time import perf_counter
from typing import Any

from django.db import connection
from django.utils import timezone

from chatbot.accounts.models import User
from conversations.models import Conversation, Message, Role, SearchEntry, Status
from conversations.sealing import open_cipher, seal_message
from conversations.search.blinding import Blinder
from conversations.search.finding import candidates, search_conversations
from conversations.search.terms import parse_query, terms_of
from tests.bench.report import Spread, table
from tests.factories import make_conversation, make_person

VOCABULARY = 40_000
WORDS_OF = {Role.USER: 25, Role.ASSISTANT: 250}
MESSAGES_OF_CONVERSATION = 200
PROMISED_MS = 50.0
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ing")]


def word_of(rank: int) -> str:
    """Return a word, always the same one, of at least two syllables."""
    word, left = "", rank + len(_SYLLABLES)
    while left:
        left, syllable = divmod(left, len(_SYLLABLES))
        word += _SYLLABLES[syllable]
    return word


class Writer:
    """Writes texts, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._words = [word_of(rank) for rank in range(VOCABULARY)]
        self._weights: list[float] = []
        total = 0.0
        for rank in range(VOCABULARY):
            total += 1 / (rank + 1)
            self._weights.append(total)

    def write(self, words: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=words))


def fill(user: User, *, messages: int, seed: int = 1) -> Iterator[int]:
    """Give a person so many messages with their entries; yields how many each step added."""
    writer = Writer(seed)
    blind = _blind_words(Blinder(user))
    start = timezone.now() - timedelta(seconds=messages)
    for first in range(0, messages, MESSAGES_OF_CONVERSATION):
        count = min(MESSAGES_OF_CONVERSATION, messages - first)
        conversation = make_conversation(user, next_seq=count + 1, active_leaf=count)
        cipher = open_cipher(conversation)
        rows, entries = [], []
        for seq in range(1, count + 1):
            role = Role.USER if seq % 2 else Role.ASSISTANT
            text = writer.write(WORDS_OF[role])
            rows.append(
                Message(
                    conversation=conversation,
                    seq=seq,
                    parent_seq=seq - 1 or None,
                    role=role,
                    status=Status.COMPLETE,
                    content_sealed=seal_message(cipher, conversation.pk, seq, text),
                    created=start + timedelta(seconds=first + seq),
                )
            )
            entries.append(_entry(conversation, rows[-1], blind(text)))
        Message.objects.bulk_create(rows)
        SearchEntry.objects.bulk_create(entries)
        yield count


def _blind_words(blinder: Blinder) -> Callable[[str], list[int]]:
    """Return what blinds these texts as the product does, each of their words only once."""
    known: dict[str, list[int]] = {}

    def blind(text: str) -> list[int]:
        terms: set[int] = set()
        for word in set(text.split()):
            if word not in known:
                known[word] = blinder.blind(terms_of(word))
            terms.update(known[word])
        return sorted(terms)

    return blind


def _entry(conversation: Conversation, message: Message, terms: list[int]) -> SearchEntry:
    return SearchEntry(
        user_id=conversation.user_id,
        conversation=conversation,
        seq=message.seq,
        at=message.created,
        terms=terms,
    )


# What is looked for, by how much of the messages has it.
QUERIES = {
    "a word of most messages": word_of(0),
    "a common word": word_of(30),
    "a rare word": word_of(20_000),
    "three common words": f"{word_of(3)} {word_of(7)} {word_of(12)}",
    "common and rare": f"{word_of(0)} {word_of(15_000)}",
    "three letters": word_of(900)[:3],
    "six letters": word_of(900 * 40)[:6],
    "nothing": "xylophone",
}


@dataclass(frozen=True, slots=True)
class SearchRow:
    query: str
    candidates: int
    page_ms: Spread
    deep_ms: Spread


@dataclass(frozen=True, slots=True)
class SearchResult:
    messages: int
    vendor: str
    rows: tuple[SearchRow, ...]
    entry_bytes: float

    def table(self) -> str:
        titles = ["looked for", "candidates", "first page, ms", "tenth page, ms"]
        lines = [
            [one.query, f"{one.candidates:,}", str(one.page_ms), str(one.deep_ms)]
            for one in self.rows
        ]
        told = f"{self.messages:,} messages of one person on {self.vendor}"
        return f"{told}; {self.entry_bytes:,.0f} bytes an entry, index included\n\n" + table(
            titles, lines
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def broken_promises(self) -> Iterator[str]:
        if self.vendor != "postgresql":
            return
        for one in self.rows:
            if one.page_ms.p95 > PROMISED_MS:
                yield f"{one.query}: {one.page_ms.p95:.1f} ms, promised {PROMISED_MS:.0f}"


def explain(user: User, text: str) -> str:
    """Return the database's plan for a page of candidates."""
    query = parse_query(text)
    if query is None:
        raise ValueError("There is no word in it.")
    return candidates(user, query)[:201].explain()


def settle_database() -> None:
    """Let the database learn what it holds, as it does by itself in time."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        else:
            cursor.execute("ANALYZE")


def _measure(user: User, name: str, *, rounds: int, limit: int) -> SearchRow:
    text = QUERIES[name]
    query = parse_query(text)
    if query is None:
        raise ValueError("There is no word in it.")
    pages: list[float] = []
    deep: list[float] = []
    for _ in range(rounds):
        cursor = None
        for number in range(10):
            begun = perf_counter()
            page = search_conversations(user, text, cursor=cursor, limit=limit)
            took_ms = (perf_counter() - begun) * 1000
            if number in (0, 9):
                (deep if number else pages).append(took_ms)
            cursor = page["nextCursor"]
            if cursor is None:
                break
    found = candidates(user, query).count()
    return SearchRow(name, found, Spread.of(pages), Spread.of(deep))


def _bytes_of_entries() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_total_relation_size('conversations_searchentry')")
        else:
            cursor.execute("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'conversations_search%'")
        return int(cursor.fetchone()[0])


def run_search_benchmark(
    *, messages: int, rounds: int = 20, limit: int = 30, told: Any = lambda _: None
) -> SearchResult:
    """Fill the configured database for a new person and search; nothing is cleaned up."""
    user = make_person()
    for added in fill(user, messages=messages):
        told(added)
    settle_database()
    rows = [_measure(user, name, rounds=rounds, limit=limit) for name in QUERIES]
    return SearchResult(
        messages, connection.vendor, tuple(rows), _bytes_of_entries() / SearchEntry.objects.count()
    )
