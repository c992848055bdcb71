"""Who is served first: pro before free, everybody in turn, nobody never."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from chatbot.accounts.models import Plan, User
from chatbot.core.errors import Busy
from conversations.claims import claim_waiting
from conversations.line import read_line
from conversations.places import BEHIND_OWN, PRO_AHEAD, Door, Place, due_at
from llm.admission.degrade import Step
from llm.catalog_file import load_catalog
from llm.routing import Reason, Route
from tests.conversations.rows import queue_generation
from tests.factories import make_person

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def person(plan: Plan = Plan.FREE) -> User:
    return User(email="somebody@example.org", plan=plan)


def test_a_paid_plan_goes_before_a_free_one_that_came_shortly_before() -> None:
    free = due_at(Plan.FREE, own_active=0, now=NOW)
    pro = due_at(Plan.PRO, own_active=0, now=NOW + PRO_AHEAD / 2)
    assert pro < free


def test_one_persons_second_message_goes_behind_anothers_first() -> None:
    second = due_at(Plan.FREE, own_active=1, now=NOW)
    other = due_at(Plan.FREE, own_active=0, now=NOW + BEHIND_OWN / 2)
    assert other < second


@given(
    own_active=st.integers(0, 100),
    plan=st.sampled_from(Plan),
    later_own=st.integers(0, 100),
    later_plan=st.sampled_from(Plan),
    after_s=st.floats(0, 10_000),
)
def test_nobody_is_overtaken_by_what_comes_late_enough(
    own_active: int, plan: Plan, later_own: int, later_plan: Plan, after_s: float
) -> None:
    waiting = due_at(plan, own_active=own_active, now=NOW)
    later = due_at(later_plan, own_active=later_own, now=NOW + timedelta(seconds=after_s))
    if after_s > (own_active * BEHIND_OWN + PRO_AHEAD).total_seconds():
        assert waiting < later


@pytest.mark.django_db(transaction=True)
def test_many_messages_of_one_person_do_not_hold_up_another(user: User) -> None:
    other = make_person()
    flood = [
        queue_generation(user, due=due_at(user.plan, own_active=number, now=NOW))
        for number in range(5)
    ]
    late = NOW + timedelta(seconds=1)
    single = queue_generation(other, due=due_at(other.plan, own_active=0, now=late))
    expected = [flood[0].pk, single.pk, *(one.pk for one in flood[1:])]
    assert [one.generation_id for one in read_line()[0]] == expected
    assert [claim.generation_id for claim in claim_waiting("one", 6)] == expected


def test_a_message_that_fits_only_a_model_with_a_full_line_is_refused() -> None:
    small = replace(load_catalog().models[0], name="small", context_window=8_192)
    large = replace(small, name="large", context_window=100_000)
    full = Place("large", None, tuple(Step), retry_after_s=7.0)
    door = Door(Plan.FREE, {"large": full, "small": Place("small", None, (), 2.0)})
    route = Route((large,), Reason.LONG)
    assert door.relieve(route, [large, small], tokens=100).primary is small
    with pytest.raises(Busy) as refused:
        door.relieve(route, [large, small], tokens=9_000)
    assert refused.value.retry_after_s == 7.0
