from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from django.db import connections
from django.utils.timezone import now as present
from pytest_django import Settings

from chatbot.accounts.budgets import (
    Reservation,
    month_of,
    next_month,
    read_budget,
    reserve_tokens,
    settle_tokens,
)
from chatbot.accounts.models import BudgetPeriod, Plan, User
from chatbot.core.errors import BudgetExhausted
from tests.factories import make_person

JANUARY = datetime(2027, 1, 31, 23, 59, tzinfo=UTC)
FEBRUARY = JANUARY + timedelta(minutes=2)
RACERS = 24


@pytest.fixture
def person(transactional_db: None) -> User:
    return make_person(monthly_token_budget=1000)


def race_for_tokens(person: User, *, tokens: int, least: int | None = None) -> list[int]:
    """Reserve on many threads at the same moment; return what each was given."""
    together = threading.Barrier(RACERS, timeout=30)
    now = present()

    def reserve(_: int) -> int:
        try:
            together.wait()
            return reserve_tokens(person, tokens, least=least, now=now).tokens
        except BudgetExhausted:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(RACERS) as threads:
        return list(threads.map(reserve, range(RACERS)))


def test_parallel_requests_cannot_overspend(person: User) -> None:
    assert race_for_tokens(person, tokens=100).count(100) == 10
    period = BudgetPeriod.objects.get(user=person)
    assert (period.reserved, period.spent) == (1000, 0)


def test_parallel_requests_cannot_overspend_what_is_left(person: User) -> None:
    month = reserve_tokens(person, 700, now=present()).month
    settle_tokens(person.pk, month=month, reserved=700, spent=650)
    assert race_for_tokens(person, tokens=100).count(100) == 3
    assert BudgetPeriod.objects.get(user=person).reserved == 300


def test_a_reservation_is_taken_from_what_remains(person: User) -> None:
    assert reserve_tokens(person, 400, now=JANUARY) == Reservation(date(2027, 1, 1), 400)
    budget = read_budget(person, now=JANUARY)
    assert (budget.limit, budget.reserved, budget.spent, budget.remaining) == (1000, 400, 0, 600)


def test_the_whole_budget_can_be_reserved_and_not_one_token_more(person: User) -> None:
    reserve_tokens(person, 1000, now=JANUARY)
    with pytest.raises(BudgetExhausted):
        reserve_tokens(person, 1, now=JANUARY)


def test_a_refusal_says_when_the_budget_resets(person: User) -> None:
    with pytest.raises(BudgetExhausted) as caught:
        reserve_tokens(person, 1001, now=JANUARY)
    body = caught.value.body()
    assert body["code"] == "budget_exhausted"
    assert body["retryAfter"] == 60
    assert body["message"] == "What is left of this month's token budget is not enough for this."
    assert body["detail"] == {
        "resetsAt": "2027-02-01T00:00:00+00:00",
        "needed": 1001,
        "remaining": 1000,
    }
    assert read_budget(person, now=JANUARY).reserved == 0


def test_settling_charges_what_was_used_and_frees_the_rest(person: User) -> None:
    month = reserve_tokens(person, 400, now=JANUARY).month
    settle_tokens(person.pk, month=month, reserved=400, spent=150)
    budget = read_budget(person, now=JANUARY)
    assert (budget.reserved, budget.spent, budget.remaining) == (0, 150, 850)


def test_settling_at_nothing_releases_the_reservation(person: User) -> None:
    month = reserve_tokens(person, 1000, now=JANUARY).month
    settle_tokens(person.pk, month=month, reserved=1000, spent=0)
    assert read_budget(person, now=JANUARY).remaining == 1000


def test_what_was_used_beyond_the_reservation_is_charged_too(person: User) -> None:
    month = reserve_tokens(person, 900, now=JANUARY).month
    settle_tokens(person.pk, month=month, reserved=900, spent=1200)
    budget = read_budget(person, now=JANUARY)
    assert (budget.spent, budget.remaining) == (1200, 0)


def test_settling_leaves_other_reservations_alone(person: User) -> None:
    month = reserve_tokens(person, 300, now=JANUARY).month
    reserve_tokens(person, 500, now=JANUARY)
    settle_tokens(person.pk, month=month, reserved=300, spent=10)
    assert read_budget(person, now=JANUARY).reserved == 500


def test_a_month_never_owes_less_than_nothing_and_forgets_nothing(person: User) -> None:
    month = reserve_tokens(person, 300, now=JANUARY).month
    # As after somebody has meddled with the row.
    for reserved in (300, 300):
        settle_tokens(person.pk, month=month, reserved=reserved, spent=10)
    budget = read_budget(person, now=JANUARY)
    assert (budget.reserved, budget.spent) == (0, 20)
    BudgetPeriod.objects.all().delete()
    settle_tokens(person.pk, month=month, reserved=300, spent=10)
    budget = read_budget(person, now=JANUARY)
    assert (budget.reserved, budget.spent) == (0, 10)


def test_less_is_set_aside_where_the_rest_is_enough(person: User) -> None:
    assert reserve_tokens(person, 900, least=100, now=JANUARY).tokens == 900
    assert reserve_tokens(person, 900, least=100, now=JANUARY).tokens == 100
    with pytest.raises(BudgetExhausted) as caught:
        reserve_tokens(person, 900, least=100, now=JANUARY)
    assert caught.value.message == "This month's token budget is used up."
    assert caught.value.detail is not None
    assert caught.value.detail["needed"] == 100


def test_those_who_race_for_the_rest_get_all_of_it(person: User) -> None:
    accepted = race_for_tokens(person, tokens=300, least=100)
    # Nobody is left out while there is enough for one more.
    assert sum(accepted) > 900
    assert all(100 <= tokens <= 300 for tokens in accepted if tokens)
    period = BudgetPeriod.objects.get(user=person)
    assert period.reserved == sum(accepted) <= 1000


def test_one_persons_spending_is_not_anothers(person: User) -> None:
    reserve_tokens(person, 1000, now=JANUARY)
    other = make_person(monthly_token_budget=1000)
    reserve_tokens(other, 1000, now=JANUARY)


def test_a_new_month_begins_full(person: User) -> None:
    reserve_tokens(person, 1000, now=JANUARY)
    assert reserve_tokens(person, 1000, now=FEBRUARY).month == date(2027, 2, 1)


def test_what_was_reserved_last_month_is_settled_there(person: User) -> None:
    month = reserve_tokens(person, 400, now=JANUARY).month
    reserve_tokens(person, 100, now=FEBRUARY)
    settle_tokens(person.pk, month=month, reserved=400, spent=350)
    assert read_budget(person, now=JANUARY).spent == 350
    assert read_budget(person, now=FEBRUARY).reserved == 100
    assert read_budget(person, now=FEBRUARY).spent == 0


def test_a_raised_limit_counts_at_once(person: User) -> None:
    reserve_tokens(person, 1000, now=JANUARY)
    person.monthly_token_budget = 1500
    assert read_budget(person, now=JANUARY).remaining == 500
    reserve_tokens(person, 500, now=JANUARY)
    with pytest.raises(BudgetExhausted):
        reserve_tokens(person, 1, now=JANUARY)


def test_a_lowered_limit_counts_at_once(person: User) -> None:
    month = reserve_tokens(person, 800, now=JANUARY).month
    person.monthly_token_budget = 500
    assert read_budget(person, now=JANUARY).remaining == 0
    with pytest.raises(BudgetExhausted):
        reserve_tokens(person, 1, now=JANUARY)
    settle_tokens(person.pk, month=month, reserved=800, spent=100)
    reserve_tokens(person, 400, now=JANUARY)


@pytest.mark.django_db
def test_the_plan_gives_the_limit_where_the_person_has_none(settings: Settings) -> None:
    settings.BUDGET_TOKENS = {"free": 10, "pro": 90}
    person = make_person()
    assert read_budget(person, now=JANUARY).limit == 10
    person.plan = Plan.PRO
    assert read_budget(person, now=JANUARY).limit == 90
    person.monthly_token_budget = 0
    assert read_budget(person, now=JANUARY).limit == 0
    with pytest.raises(BudgetExhausted):
        reserve_tokens(person, 1, now=JANUARY)


def test_reading_a_budget_writes_nothing(person: User) -> None:
    read_budget(person, now=JANUARY)
    assert not BudgetPeriod.objects.exists()


@pytest.mark.parametrize(
    ("month", "expected"),
    [
        (date(2027, 1, 1), datetime(2027, 2, 1, tzinfo=UTC)),
        (date(2027, 11, 1), datetime(2027, 12, 1, tzinfo=UTC)),
        (date(2027, 12, 1), datetime(2028, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_next_month_follows(month: date, expected: datetime) -> None:
    assert next_month(month) == expected


def test_months_begin_and_end_in_utc() -> None:
    in_tokyo = datetime(2027, 2, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))
    assert month_of(in_tokyo) == date(2027, 1, 1)
