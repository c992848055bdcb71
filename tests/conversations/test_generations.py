from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.db.models.functions import Now
from django.utils import timezone

from chatbot.accounts.budgets import read_budget
from chatbot.accounts.models import User
from conversations.claims import (
    MAX_CLAIMS,
    Candidate,
    Claim,
    Everybody,
    LeaseLost,
    claim_lapsed,
    claim_waiting,
    hand_over,
    release_leases,
    renew_leases,
    take_new_attempt,
)
from conversations.generations import Outcome, fail_abandoned, list_abandoned, request_stop
from conversations.line import read_line
from conversations.models import Conversation, Generation, Message, State, Status
from llm.pricing import Call
from llm.types import Usage
from tests.conversations.rows import finish_claim, queue_generation
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)


def let_lease_lapse(generation: Generation) -> None:
    Generation.objects.filter(pk=generation.pk).update(lease_until=Now() - timedelta(seconds=1))


def claim_next(owner: str) -> Claim | None:
    return next(iter(claim_waiting(owner, 1)), None)


def claimed(owner: str = "one") -> Claim:
    claim = claim_next(owner)
    assert claim is not None
    return claim


def done(text: str = "Hello", seq: int = 5) -> Outcome:
    usage = Usage(10, 20, cache_read_tokens=5)
    call = Call("m", "p", usage, cost_micros=7, is_metered=True, ending="finished")
    return Outcome(State.COMPLETED, text, seq, calls=(call,))


def test_a_generation_goes_to_one_of_many_workers(user: User) -> None:
    for _ in range(3):
        queue_generation(user)
    barrier = threading.Barrier(8)

    def claim(number: int) -> Claim | None:
        barrier.wait()
        try:
            return claim_next(f"worker {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        claims = [one for one in pool.map(claim, range(8)) if one is not None]
    assert len({one.generation_id for one in claims}) == len(claims) <= 3
    while claim_next("last") is not None:
        pass
    assert not read_line()[0]


def test_as_many_are_claimed_as_are_wanted(user: User) -> None:
    keys = [queue_generation(user).pk for _ in range(3)]
    assert [claim.generation_id for claim in claim_waiting("one", 2)] == keys[:2]
    assert [claim.generation_id for claim in claim_waiting("one", 2)] == keys[2:]


def test_the_oldest_goes_first(user: User) -> None:
    first, second = queue_generation(user), queue_generation(user)
    assert [claimed().generation_id, claimed().generation_id] == [first.pk, second.pk]


def test_a_held_generation_is_not_given_to_another(user: User) -> None:
    queue_generation(user)
    claimed("one")
    assert claim_next("two") is None


def test_a_lapsed_lease_is_claimed_with_the_next_attempt(user: User) -> None:
    generation = queue_generation(user)
    stale = claimed("one")
    assert claim_lapsed("two", 1) == []
    let_lease_lapse(generation)
    (fresh,) = claim_lapsed("two", 1)
    assert (stale.attempt, fresh.attempt) == (1, 2)
    assert renew_leases("one", [generation.pk]) == {}
    assert renew_leases("two", [generation.pk]) == {generation.pk: False}
    with pytest.raises(LeaseLost):
        finish_claim(stale, done("stale"))
    finish_claim(fresh, done("fresh"))
    assert Generation.objects.get().state == State.COMPLETED


class Meanwhile(Everybody):
    """Lets everybody in, and has something happen between the look for work and the claim."""

    def __init__(self, happen: Callable[[], object]) -> None:
        self._happen = happen

    def prepare(self, candidates: Sequence[Candidate], limit: int) -> None:
        assert candidates
        self._happen()


def test_a_lease_that_is_renewed_while_others_look_is_not_taken_over(user: User) -> None:
    generation = queue_generation(user)
    claimed("one")
    let_lease_lapse(generation)
    renewal = Meanwhile(lambda: renew_leases("one", [generation.pk]))
    assert claim_lapsed("two", 1, admission=renewal) == []
    assert renew_leases("one", [generation.pk]) == {generation.pk: False}


def test_finishing_stores_answer_usage_and_settlement_together(user: User) -> None:
    generation = queue_generation(user)
    event = finish_claim(claimed(), done("The answer"))
    assert event.data["message"]["content"] == "The answer"
    assert str(event.cursor) == "1-5"
    generation.refresh_from_db()
    assert (generation.input_tokens, generation.output_tokens) == (10, 20)
    budget = read_budget(user, now=timezone.now())
    assert (budget.reserved, budget.spent) == (0, 35)


def test_a_generation_finishes_once(user: User) -> None:
    queue_generation(user)
    claim = claimed()
    first = finish_claim(claim, done())
    # As when nobody knows whether the first was committed.
    assert finish_claim(claim, done("again")) == first
    with pytest.raises(LeaseLost):
        finish_claim(replace(claim, attempt=2), done("again"))
    assert read_budget(user, now=timezone.now()).spent == 35


def test_renewing_tells_of_a_wish_to_stop(user: User) -> None:
    generation = queue_generation(user)
    claim = claimed()
    assert renew_leases(claim.owner, [generation.pk]) == {generation.pk: False}
    assert request_stop(generation) is None
    assert renew_leases(claim.owner, [generation.pk]) == {generation.pk: True}
    assert renew_leases(claim.owner, []) == {}


def test_stopping_what_waits_ends_it_and_returns_the_reservation(user: User) -> None:
    ended = request_stop(queue_generation(user))
    assert ended is not None
    assert [str(event.type) for event in ended.events] == ["snapshot", "stopped"]
    assert claim_next("one") is None
    assert read_budget(user, now=timezone.now()).reserved == 0


def test_stopping_what_was_handed_over_is_left_to_the_next_worker(user: User) -> None:
    generation = queue_generation(user)
    hand_over(claimed("one"))
    generation.refresh_from_db()
    # Its readers have seen text, which only the log holds.
    assert request_stop(generation) is None
    claim = claimed("two")
    assert renew_leases("two", [claim.generation_id]) == {generation.pk: True}


def test_stopping_what_has_ended_changes_nothing(user: User) -> None:
    generation = queue_generation(user)
    finish_claim(claimed(), done())
    assert request_stop(generation) is None
    generation.refresh_from_db()
    assert (generation.state, generation.stop_requested) == (State.COMPLETED, False)


def test_what_is_handed_over_waits_again(user: User) -> None:
    queue_generation(user)
    assert hand_over(claimed("one"))
    assert claimed("two").attempt == 2


def test_a_worker_returns_what_its_earlier_life_held(user: User) -> None:
    queue_generation(user)
    claimed("mine")
    assert release_leases("other") == 0
    assert release_leases("mine") == 1
    assert claimed("mine").attempt == 2


def test_a_new_attempt_fences_the_old(user: User) -> None:
    queue_generation(user)
    claim = claimed()
    again = take_new_attempt(claim)
    assert again.attempt == 2
    with pytest.raises(LeaseLost):
        finish_claim(claim, done())


def test_a_new_attempt_whose_outcome_was_not_learnt_is_taken_again(user: User) -> None:
    queue_generation(user)
    claim = claimed()
    first = take_new_attempt(claim)
    assert take_new_attempt(claim) == first
    assert Generation.objects.get().attempt == first.attempt == claim.attempt + 1
    further = take_new_attempt(first)
    with pytest.raises(LeaseLost):
        take_new_attempt(claim)
    finish_claim(further, done())
    with pytest.raises(LeaseLost):
        take_new_attempt(first)


def test_the_same_workers_next_claim_is_not_taken_for_a_new_attempt(user: User) -> None:
    generation = queue_generation(user)
    claim = claimed()
    let_lease_lapse(generation)
    (next_claim,) = claim_lapsed(claim.owner, 1)
    assert next_claim.attempt == claim.attempt + 1
    with pytest.raises(LeaseLost):
        take_new_attempt(claim)


def test_what_took_too_many_workers_fails_for_good(user: User) -> None:
    generation = queue_generation(user, claims=MAX_CLAIMS)
    assert claim_next("one") is None
    (abandoned,) = list_abandoned()
    ended = fail_abandoned(abandoned, "Half a ")
    assert ended is not None
    assert ended.events[0].data["text"] == "Half a "
    assert ended.events[-1].data["error"]["code"] == "worker_lost"
    assert Message.objects.get(conversation=generation.conversation, seq=2).status == Status.FAILED
    assert read_budget(user, now=timezone.now()).reserved == 0
    assert list_abandoned() == []
    assert fail_abandoned(abandoned, "") is None


def test_a_conversation_has_one_active_generation(user: User) -> None:
    generation = queue_generation(user)
    with pytest.raises(IntegrityError):
        Generation.objects.create(
            conversation=generation.conversation,
            user=user,
            answer_seq=4,
            answer_id=generation.pk,
            idempotency_key="another",
            request_digest="",
            requested_model="auto",
            budget_month=generation.budget_month,
        )


def test_deleting_a_conversation_deletes_its_key_and_all_it_opened(user: User) -> None:
    generation = queue_generation(user)
    generation.conversation.delete()
    for model in (Conversation, Message, Generation):
        assert not model.objects.exists()


def test_waiting_is_told_in_order_across_people(user: User) -> None:
    keys = [queue_generation(person).pk for person in (user, make_person(), user)]
    assert [one.generation_id for one in read_line()[0]] == keys
