"""Whatever is done in whatever order, budgets and ledger agree to the token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import BudgetPeriod, LedgerEntry, Purpose, User
from chatbot.core.errors import BudgetExhausted, GenerationActive
from conversations.balance import read_balances
from conversations.changes import delete_conversation
from conversations.claims import (
    MAX_CLAIMS,
    Claim,
    LeaseLost,
    claim_lapsed,
    claim_waiting,
    hand_over,
    take_new_attempt,
)
from conversations.eventlog import get_event_log
from conversations.events import RegenerateRequest, SendRequest
from conversations.export import erase_person
from conversations.generations import Outcome, fail_abandoned, list_abandoned
from conversations.models import Conversation, Generation, State
from conversations.models.generation import ACTIVE_STATES
from conversations.turns import regenerate_answer, start_turn, stop_generation
from llm.catalog_file import load_catalog
from llm.conf import get_registry, set_local_endpoint
from llm.pricing import Call, bill_call
from llm.types import Usage
from tests.conversations.rows import finish_claim
from tests.factories import make_conversation, make_person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

STEPS = 40
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5")
BUDGET = 10_000

places = st.integers(0, 10**6)
tokens = st.integers(0, 3_000)
usages = st.builds(Usage, tokens, tokens, tokens, tokens)
calls = st.lists(
    st.tuples(st.sampled_from(MODELS), usages, st.booleans()).map(lambda drawn: bill(*drawn)),
    max_size=4,
).map(tuple)
endings = st.sampled_from([State.COMPLETED, State.STOPPED, State.HALTED, State.FAILED])


def bill(model: str, usage: Usage, is_metered: bool) -> Call:
    spec = load_catalog().find(model)
    assert spec is not None
    return bill_call(spec, usage, is_metered=is_metered, ending="finished")


@dataclass
class Worker:
    """What one worker holds, as it knows it: it may have lost it long since."""

    claim: Claim
    outcome: Outcome | None = None
    has_finished: bool = field(default=False)


class Accounting(RuleBasedStateMachine):
    """People who ask, workers who answer or do not, and what they have to pay for it."""

    runner: ClassVar[asyncio.Runner]

    @initialize()
    def begin(self) -> None:
        self.people = [make_person(monthly_token_budget=BUDGET) for _ in range(2)]
        self.conversations = [make_conversation(person) for person in self.people for _ in "ab"]
        self.workers: list[Worker] = []
        self.sent: list[tuple[Conversation, str, str, UUID]] = []
        # By source and purpose: what was charged, and whether it is exactly so.
        self.charged: dict[tuple[UUID, str], int] = {}
        self.estimated: dict[tuple[UUID, str], int] = {}

    def teardown(self) -> None:
        for person in getattr(self, "people", []):
            self.runner.run(erase_person(person))

    # --- people

    @precondition(lambda self: self.conversations)
    @rule(place=places, words=st.integers(1, 2_000), model=st.sampled_from((None, *MODELS)))
    def send(self, place: int, words: int, model: str | None) -> None:
        conversation = self._pick(self.conversations, place)
        text, key = "tea " * words, str(uuid4())
        request = SendRequest(content=text, model=model)
        asked = start_turn(conversation.user, conversation.pk, request, idempotency_key=key)
        if self._ask(asked, conversation.user) is not None:
            self.sent.append((conversation, text, key, self._newest(conversation).pk))

    @precondition(lambda self: self.sent)
    @rule(place=places)
    def send_again_under_the_same_key(self, place: int) -> None:
        conversation, text, key, generation_id = self._pick(self.sent, place)
        if conversation not in self.conversations:
            return
        request = SendRequest(content=text, model=self._requested(generation_id))
        again = start_turn(conversation.user, conversation.pk, request, idempotency_key=key)
        assert self.runner.run(again).generation_id == generation_id

    @precondition(lambda self: self.sent)
    @rule(place=places)
    def regenerate(self, place: int) -> None:
        conversation, _, _, generation_id = self._pick(self.sent, place)
        generation = Generation.objects.filter(pk=generation_id).first()
        if generation is None:
            return
        asked = regenerate_answer(
            conversation.user,
            conversation.pk,
            generation.answer_seq,
            RegenerateRequest(),
            idempotency_key=None,
        )
        self._ask(asked, conversation.user)

    @precondition(lambda self: self.sent)
    @rule(place=places)
    def stop(self, place: int) -> None:
        conversation, _, _, generation_id = self._pick(self.sent, place)
        if conversation in self.conversations:
            self.runner.run(stop_generation(conversation.user, generation_id))

    @precondition(lambda self: self.conversations)
    @rule(place=places)
    def delete_a_conversation(self, place: int) -> None:
        conversation = self._pick(self.conversations, place)
        self._expect_estimates(Generation.objects.filter(conversation=conversation))
        self.runner.run(delete_conversation(conversation.user, conversation.pk))
        self.conversations.remove(conversation)

    @precondition(lambda self: len(self.people) > 1)
    @rule(place=places)
    def erase_somebody(self, place: int) -> None:
        person = self._pick(self.people, place)
        self._expect_estimates(Generation.objects.filter(user=person))
        self.runner.run(erase_person(person))
        self.people.remove(person)
        self.conversations = [one for one in self.conversations if one.user != person]

    @rule(place=places)
    def begin_another_conversation(self, place: int) -> None:
        self.conversations.append(make_conversation(self._pick(self.people, place)))

    @rule(place=places, limit=st.sampled_from((BUDGET // 2, BUDGET, 4 * BUDGET)))
    def change_a_limit(self, place: int, limit: int) -> None:
        person = self._pick(self.people, place)
        User.objects.filter(pk=person.pk).update(monthly_token_budget=limit)
        person.monthly_token_budget = limit
        for conversation in self.conversations:
            if conversation.user == person:
                conversation.user = person

    # --- workers

    @rule()
    def claim(self) -> None:
        self.workers += [Worker(one) for one in claim_waiting(f"worker {uuid4()}", 1)]

    @precondition(lambda self: self.workers)
    @rule(place=places, state=endings, made=calls)
    def finish(self, place: int, state: State, made: tuple[Call, ...]) -> None:
        worker = self._pick(self.workers, place)
        outcome = worker.outcome or Outcome(state, "Some text", last_seq=7, calls=made)
        worker.outcome = outcome
        rows = Generation.objects.filter(pk=worker.claim.generation_id)
        holds = rows.filter(
            state=State.RUNNING, attempt=worker.claim.attempt, lease_owner=worker.claim.owner
        ).exists()
        if holds or (worker.has_finished and rows.exists()):
            # Also when it is done again because nobody knows whether it was done.
            finish_claim(worker.claim, outcome)
            worker.has_finished = True
            source = (worker.claim.generation_id, Purpose.ANSWER)
            self.charged[source] = outcome.usage.total_tokens
        elif rows.exists():
            with pytest.raises(LeaseLost):
                finish_claim(worker.claim, outcome)

    @precondition(lambda self: self.workers)
    @rule(place=places)
    def fall_silent(self, place: int) -> None:
        worker = self._pick(self.workers, place)
        held = Generation.objects.filter(pk=worker.claim.generation_id, state=State.RUNNING)
        held.update(lease_until=Now() - timedelta(seconds=1))

    @rule()
    def take_over(self) -> None:
        self.workers += [Worker(one) for one in claim_lapsed(f"worker {uuid4()}", 1)]

    @precondition(lambda self: self.workers)
    @rule(place=places)
    def hand_over(self, place: int) -> None:
        hand_over(self._pick(self.workers, place).claim)

    @precondition(lambda self: self.workers)
    @rule(place=places)
    def begin_a_further_attempt(self, place: int) -> None:
        worker = self._pick(self.workers, place)
        if worker.outcome is not None:
            return
        try:
            worker.claim = take_new_attempt(worker.claim)
        except LeaseLost:
            return

    @precondition(lambda self: self.workers)
    @rule(place=places, text=st.sampled_from(("", "Half an answer")))
    def take_too_many_workers_along(self, place: int, text: str) -> None:
        worker = self._pick(self.workers, place)
        self.fall_silent(place)
        held = Generation.objects.filter(pk=worker.claim.generation_id, state=State.RUNNING)
        held.update(claims=MAX_CLAIMS)
        for generation in list_abandoned():
            assert fail_abandoned(generation, text) is not None
            self._expect_estimate(generation)

    # --- work beside the answers

    @rule(place=places, made=calls, source=st.sampled_from([None, *(UUID(int=n) for n in (1, 2))]))
    def make_a_title(self, place: int, made: tuple[Call, ...], source: UUID | None) -> None:
        person = self._pick(self.people, place)
        source = uuid4() if source is None else UUID(int=source.int ^ person.pk.int)
        if record_calls(person, Purpose.TITLE, made, source=source) and made:
            total = sum(call.usage.total_tokens for call in made)
            self.charged[source, Purpose.TITLE] = total

    # --- what holds

    @invariant()
    def a_month_is_the_sum_of_its_parts(self) -> None:
        for person in getattr(self, "people", []):
            period = BudgetPeriod.objects.filter(user=person).first()
            reserved, spent = (period.reserved, period.spent) if period else (0, 0)
            running = Generation.objects.filter(user=person, state__in=ACTIVE_STATES)
            assert reserved == sum(one.reserved_tokens for one in running)
            assert spent == sum(one.tokens for one in LedgerEntry.objects.filter(user=person))
        assert [one for _, uneven in read_balances() for one in uneven] == []

    @invariant()
    def the_ledger_holds_what_was_used(self) -> None:
        for (source, purpose), total in getattr(self, "charged", {}).items():
            entries = LedgerEntry.objects.filter(source=source, purpose=purpose)
            assert sum(one.tokens for one in entries) == total
        for (source, purpose), most in getattr(self, "estimated", {}).items():
            (entry,) = LedgerEntry.objects.filter(source=source, purpose=purpose)
            assert not entry.is_metered
            assert 0 < entry.tokens <= most

    # --- how

    def _pick(self, among: list[Any], place: int) -> Any:
        return among[place % len(among)]

    def _newest(self, conversation: Conversation) -> Generation:
        return Generation.objects.filter(conversation=conversation).latest("answer_seq")

    def _requested(self, generation_id: UUID) -> str | None:
        name = Generation.objects.get(pk=generation_id).requested_model
        return None if name == "auto" else name

    def _ask(self, asked: Any, person: User) -> Any:
        try:
            turn = self.runner.run(asked)
        except (BudgetExhausted, GenerationActive):
            return None
        generation = Generation.objects.get(pk=turn.generation_id)
        period = BudgetPeriod.objects.get(user=person)
        # Nobody is let in on more than there is.
        assert period.reserved + period.spent <= (person.monthly_token_budget or 0)
        assert generation.max_output is not None
        assert 512 <= generation.max_output < generation.reserved_tokens
        return turn

    def _expect_estimates(self, generations: Any) -> None:
        """Take note that these are about to be deleted."""
        for generation in generations.filter(state__in=ACTIVE_STATES):
            if generation.attempt:
                self._expect_estimate(generation)
            else:
                self.charged[generation.pk, Purpose.ANSWER] = 0

    def _expect_estimate(self, generation: Generation) -> None:
        self.estimated[generation.pk, Purpose.ANSWER] = generation.reserved_tokens


@pytest.fixture
def hosted(settings: Settings) -> Iterator[None]:
    """Let hosted models be chosen; nobody asks them anything."""
    settings.ANTHROPIC_API_KEY = "none"
    settings.LOCAL_MODEL_URL = ""
    settings.SENDS_PER_MINUTE = {"free": 10**6, "pro": 10**6}
    set_local_endpoint(None)
    yield
    set_local_endpoint(None)
    get_registry.cache_clear()


@pytest.fixture
def runner(hosted: None) -> Iterator[asyncio.Runner]:
    """An event loop for the front doors; the test itself reads the database without one."""
    get_event_log.cache_clear()
    with asyncio.Runner() as runner:
        yield runner
        runner.run(get_event_log().aclose())
    get_event_log.cache_clear()


@pytest.mark.parametrize("schedules", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_budgets_and_ledger_agree_after_any_schedule(
    runner: asyncio.Runner, schedules: int
) -> None:
    Accounting.runner = runner
    run_state_machine_as_test(
        Accounting,
        settings=hypothesis_settings(
            max_examples=schedules,
            stateful_step_count=STEPS,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
