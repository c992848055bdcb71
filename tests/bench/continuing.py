"""Conversations of very different lengths, each continued by a turn: what that costs.

    .venv/bin/python -m tests.services .venv/bin/python manage.py bench_context continue

A turn is all that the product does for it but the call to the model: it is accepted, claimed, put
together into a prompt, and its answer stored. `cold` begins without what the turn before has kept,
as the first turn after a pause or a new summary does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any
from uuid import UUID

from django.db import connection
from django.test import override_settings

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from conversations.claims import claim_waiting, load_claimed
from conversations.contextcache.store import forget_contexts
from conversations.events import SendRequest
from conversations.generations import Outcome, finish_generation
from conversations.models import Conversation, Message, Role, State, Status, Summary
from conversations.notes import tell_notes
from conversations.prompts import Task, keep_context, load_task
from conversations.sealing import open_cipher, seal_message
from conversations.sizes import store_size
from conversations.summaries import NewSummary, add_summary, find_superfluous, seal_summary
from conversations.turns import start_turn
from llm.catalog_file import load_catalog
from llm.tokens import count_turn
from tests.bench.report import Spread, percentile, table
from tests.bench.search import WORDS_OF, Writer, settle_database
from tests.bench.statements import Statement, noted_statements, wrong_plans
from tests.factories import make_conversation, make_person

PROMISED_RATIO = 1.5
PROMISED_QUERIES = {"cold": 3, "warm": 0}
MODES = ("cold", "warm")
# One statement of PostgreSQL takes 65,535 values at most.
BATCH = 4_000
# As often as the room of the smallest window is used up: see docs/context.md.
MESSAGES_OF_SUMMARY = 18
SUMMARY_WORDS = 200
BEFORE = 2


@dataclass(slots=True)
class Turn:
    """What one turn took, in milliseconds: its prompt alone, and all of it."""

    prompt_ms: float = 0.0
    prompt_cpu_ms: float = 0.0
    whole_ms: float = 0.0
    whole_cpu_ms: float = 0.0
    prompt_queries: int = 0
    whole_queries: int = 0
    source: str = ""
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class ContinueRow:
    messages: int
    mode: str
    prompt_ms: Spread
    prompt_cpu_ms: float
    whole_ms: Spread
    whole_cpu_ms: float
    prompt_queries: int
    whole_queries: int


@dataclass(frozen=True, slots=True)
class ContinueResult:
    vendor: str
    rows: tuple[ContinueRow, ...]
    plans: tuple[str, ...]

    def table(self) -> str:
        titles = ["messages", "", "queries for the prompt", "prompt, ms", "its CPU, ms"]
        titles += ["queries of the turn", "whole turn, ms", "its CPU, ms"]
        lines = [
            [
                *(f"{one.messages:,}", one.mode, str(one.prompt_queries), str(one.prompt_ms)),
                *(f"{one.prompt_cpu_ms:.2f}", str(one.whole_queries), str(one.whole_ms)),
                f"{one.whole_cpu_ms:.1f}",
            ]
            for one in self.rows
        ]
        ratios = ", ".join(f"{mode} {self.ratio(mode):.2f}" for mode in MODES)
        told = f"turns of conversations on {self.vendor}; longest against shortest: {ratios}"
        return f"{told}\n\n" + table(titles, lines)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def ratio(self, mode: str) -> float:
        """Return how many times the dearest length costs what the cheapest does, whole turns."""
        medians = [one.whole_ms.p50 for one in self.rows if one.mode == mode]
        return max(medians) / min(medians)

    def broken_promises(self) -> Iterator[str]:
        yield from self.plans
        for one in self.rows:
            most = PROMISED_QUERIES[one.mode]
            if one.prompt_queries > most:
                told = f"{one.prompt_queries} queries, promised {most}"
                yield f"{one.messages:,} messages, {one.mode}: {told}"
        for mode in MODES:
            if self.ratio(mode) > PROMISED_RATIO:
                yield f"{mode}: {self.ratio(mode):.2f} times as much, promised {PROMISED_RATIO}"


def grow(conversation: Conversation, messages: int) -> Iterator[int]:
    """Write so many messages, with the summaries that would be there by then."""
    writer, cipher = Writer(1), open_cipher(conversation)
    texts = {role: [writer.write(words) for _ in range(50)] for role, words in WORDS_OF.items()}
    for begin in range(1, messages + 1, BATCH):
        rows = []
        for seq in range(begin, min(messages + 1, begin + BATCH)):
            role = Role.USER if seq % 2 else Role.ASSISTANT
            text = texts[role][seq % 50]
            rows.append(
                Message(
                    conversation=conversation,
                    seq=seq,
                    parent_seq=seq - 1 or None,
                    role=role,
                    status=Status.COMPLETE,
                    **store_size(text),
                    content_sealed=seal_message(cipher, conversation.pk, seq, text),
                )
            )
        Message.objects.bulk_create(rows)
        yield len(rows)
    kept: list[tuple[int, int]] = []
    for version in range(1, messages // MESSAGES_OF_SUMMARY):
        kept.insert(0, (version, version * MESSAGES_OF_SUMMARY))
        spare = set(find_superfluous(kept))
        kept = [one for one in kept if one[0] not in spare]
    notes = writer.write(SUMMARY_WORDS)
    Summary.objects.bulk_create(
        Summary(
            conversation=conversation,
            version=version,
            covers_seq=covers,
            text_sealed=seal_summary(cipher, conversation.pk, version, notes),
            token_count=count_turn(tell_notes(notes)),
        )
        for version, covers in kept
    )
    Conversation.objects.filter(pk=conversation.pk).update(
        active_leaf=messages,
        next_seq=messages + 1,
        memory_version=kept[0][0] if kept else 0,
    )


class Talker:
    """Continues conversations as the product does, without a model."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._answer = Writer(2).write(WORDS_OF[Role.ASSISTANT])
        self._question = Writer(3).write(WORDS_OF[Role.USER])
        self._notes = Writer(4).write(SUMMARY_WORDS)
        self._spec = next(spec for spec in load_catalog().models if spec.is_local)
        self.statements: list[Statement] = []

    async def turn(self, conversation: Conversation, mode: str) -> Turn:
        if mode == "cold":
            forget_contexts([conversation.pk])
        made = Turn()
        began, began_cpu = perf_counter(), process_time()
        with noted_statements() as noted:
            request = SendRequest(content=self._question)
            await start_turn(self._user, conversation.pk, request, idempotency_key=None)
            await db_call(self._answer_one, made)
        made.whole_ms = (perf_counter() - began) * 1000
        made.whole_cpu_ms = (process_time() - began_cpu) * 1000
        made.whole_queries = len(noted)
        if made.is_due:
            await db_call(self._sum_up, conversation.pk)
        return made

    def _sum_up(self, conversation_id: UUID) -> None:
        """Add the summary that a task worker would add now."""
        conversation = Conversation.objects.get(pk=conversation_id)
        covers = (conversation.active_leaf or 0) - MESSAGES_OF_SUMMARY // 2
        new = NewSummary(conversation.memory_version, covers - covers % 2, self._notes)
        add_summary(conversation, open_cipher(conversation), new)

    def _answer_one(self, made: Turn) -> None:
        (claim,) = claim_waiting("bench", 1)
        (generation,) = load_claimed([claim]).values()
        began, began_cpu = perf_counter(), process_time()
        with noted_statements() as noted:
            task: Task = load_task(generation, self._spec)
        made.prompt_ms = (perf_counter() - began) * 1000
        made.prompt_cpu_ms = (process_time() - began_cpu) * 1000
        made.prompt_queries, made.source = len(noted), task.past.source
        self.statements += noted
        tokens = self._spec.fitting_scale.count_turn(self._answer)
        made.is_due = tokens > task.until_summary
        outcome = Outcome(State.COMPLETED, self._answer, 5)
        finish_generation(claim, outcome, generation, task.answer)
        keep_context(task, self._answer)


# By their length, and by what is measured of them.
Places = dict[tuple[int, str], list[Conversation]]


async def _measure(
    user: User, places: Places, rounds: int
) -> tuple[list[ContinueRow], list[Statement]]:
    talker = Talker(user)
    turns = defaultdict[tuple[int, str], list[Turn]](list)
    for number, (key, made) in itertools.product(range(rounds), places.items()):
        conversation = made[number % len(made)]
        # What the turn before has kept. After a new summary the next begins anew.
        while (await talker.turn(conversation, "cold")).is_due:
            pass
        turns[key].append(await talker.turn(conversation, key[1]))
    rows = [_row(length, mode, found) for (length, mode), found in turns.items()]
    return rows, talker.statements


def _prepare(user: User, messages: int, rounds: int, told: Callable[[int], object]) -> Places:
    places: Places = {}
    for length in (10, messages // 100, messages):
        # A short one grows by what is measured: there is a new one each time.
        count = rounds if length < 10 * rounds else 1
        for mode in MODES:
            places[length, mode] = [_grown(user, length - BEFORE, told) for _ in range(count)]
    settle_database()
    return places


def _grown(user: User, messages: int, told: Callable[[int], object]) -> Conversation:
    conversation = make_conversation(user)
    for added in grow(conversation, messages):
        told(added)
    return conversation


def _row(messages: int, mode: str, turns: list[Turn]) -> ContinueRow:
    return ContinueRow(
        messages,
        mode,
        prompt_ms=Spread.of(one.prompt_ms for one in turns),
        prompt_cpu_ms=percentile([one.prompt_cpu_ms for one in turns], 0.5),
        whole_ms=Spread.of(one.whole_ms for one in turns),
        whole_cpu_ms=percentile([one.whole_cpu_ms for one in turns], 0.5),
        prompt_queries=max(one.prompt_queries for one in turns),
        whole_queries=max(one.whole_queries for one in turns),
    )


def run_continue_benchmark(
    *,
    messages: int = 100_000,
    rounds: int = 40,
    told: Callable[[int], object] = lambda _: None,
) -> ContinueResult:
    """Fill the configured database for a new person and go on talking; nothing is cleaned up."""
    with override_settings(
        ANTHROPIC_API_KEY="",
        # Nobody is called there.
        LOCAL_MODEL_URL="http://127.0.0.1:9",
        SENDS_PER_MINUTE={"free": 10**6, "pro": 10**6},
        SENDS_PER_DAY={"free": 10**6, "pro": 10**6},
        BUDGET_TOKENS={"free": 10**12, "pro": 10**12},
    ):
        user = make_person()
        places = _prepare(user, messages, rounds, told)
        rows, statements = asyncio.run(_measure(user, places, rounds))
        plans = tuple(wrong_plans(statements))
    return ContinueResult(connection.vendor, tuple(rows), plans)
