from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib import import_module
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from chatbot.accounts.budgets import read_budget, reserve_tokens
from chatbot.accounts.ledger import TOKENS, Payer, record_calls, settle_calls
from chatbot.accounts.models import BudgetPeriod, LedgerEntry, Plan, Purpose, User
from llm.catalog_file import load_catalog
from llm.pricing import Call, bill_call
from llm.types import Usage
from tests.factories import make_person

NOW = datetime(2027, 1, 15, tzinfo=UTC)
MONTH = date(2027, 1, 1)
CATALOG = load_catalog()
RACERS = 6


@pytest.fixture
def person(transactional_db: None) -> User:
    return make_person(monthly_token_budget=10_000)


def call(
    usage: Usage, *, model: str = "claude-haiku-5-5", ending: str = "finished", metered: bool = True
) -> Call:
    spec = CATALOG.find(model)
    assert spec is not None
    return bill_call(spec, usage, is_metered=metered, ending=ending)  # type: ignore[arg-type]


def settle(person: User, *calls: Call, source: UUID | None = None, reserved: int = 0) -> None:
    payer = Payer(person.pk, person.plan, MONTH)
    settle_calls(payer, calls, source=source or uuid4(), reserved=reserved, first_token_ms=120)


def entries() -> list[LedgerEntry]:
    return list(LedgerEntry.objects.order_by("created", "number"))


def sum_tokens(person: User) -> int:
    """Return how many tokens the entries of the month charge a person."""
    charged = LedgerEntry.objects.filter(user=person, month=MONTH)
    return int(charged.aggregate(tokens=Sum(TOKENS))["tokens"])


def test_each_call_is_an_entry_with_all_that_was_billed(person: User) -> None:
    source = uuid4()
    cut = call(Usage(100, 7), ending="failed", metered=False)
    whole = call(
        Usage(20, 30, cache_read_tokens=400, cache_write_tokens=50), model="claude-sonnet-5-5"
    )
    settle(person, cut, whole, source=source)
    first, second = entries()
    assert (first.number, first.model, first.ending) == (0, "claude-haiku-5-5", "failed")
    assert not first.is_metered
    assert (second.number, second.model, second.provider) == (1, "claude-sonnet-5-5", "anthropic")
    assert second.is_metered
    assert (second.input_tokens, second.output_tokens) == (20, 30)
    assert (second.cache_read_tokens, second.cache_write_tokens) == (400, 50)
    assert {(one.user_id, one.plan, one.source, one.month) for one in (first, second)} == {
        (person.pk, "free", source, MONTH)
    }
    assert [one.purpose for one in (first, second)] == [Purpose.ANSWER] * 2
    # What belongs to the answer as a whole stands with its last call.
    assert [(one.models_asked, one.first_token_ms) for one in (first, second)] == [
        (0, None),
        (2, 120),
    ]


def test_the_month_is_charged_what_the_entries_add_up_to(person: User) -> None:
    held = reserve_tokens(person, 900, now=NOW)
    settle(person, call(Usage(100, 7)), call(Usage(20, 30, 400, 50)), reserved=held.tokens)
    budget = read_budget(person, now=NOW)
    assert (budget.reserved, budget.spent) == (0, 607)
    assert sum_tokens(person) == 607
    assert [one.tokens for one in entries()] == [107, 500]


def test_an_answer_that_took_no_call_frees_its_reservation_and_has_no_entry(person: User) -> None:
    held = reserve_tokens(person, 900, now=NOW)
    settle(person, reserved=held.tokens)
    assert read_budget(person, now=NOW).remaining == 10_000
    assert entries() == []


def test_an_answer_is_never_charged_twice(person: User) -> None:
    source = uuid4()
    settle(person, call(Usage(100, 7)), source=source)
    with pytest.raises(IntegrityError), transaction.atomic():
        settle(person, call(Usage(100, 7)), source=source)
    assert read_budget(person, now=NOW).spent == 107
    assert len(entries()) == 1


@pytest.mark.parametrize("purpose", [Purpose.TITLE, Purpose.VERDICT])
def test_what_is_not_an_answer_is_charged_without_a_reservation_and_may_begin_a_month(
    person: User, purpose: Purpose, caplog: pytest.LogCaptureFixture
) -> None:
    assert record_calls(person, purpose, [call(Usage(40, 5))], now=NOW)
    (entry,) = entries()
    assert (entry.purpose, entry.tokens, entry.month) == (purpose, 45, MONTH)
    assert read_budget(person, now=NOW).spent == 45
    # Nothing is out of step.
    assert caplog.messages == []


def test_work_that_is_done_again_is_charged_once(person: User) -> None:
    source = uuid4()
    together = threading.Barrier(RACERS, timeout=30)

    def summarise(_: int) -> bool:
        try:
            together.wait()
            return record_calls(
                person, Purpose.SUMMARY, [call(Usage(40, 5))], source=source, now=NOW
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(RACERS) as threads:
        assert sorted(threads.map(summarise, range(RACERS))) == [False] * (RACERS - 1) + [True]
    assert read_budget(person, now=NOW).spent == 45
    # Other work on the same thing is other work.
    assert record_calls(person, Purpose.TITLE, [call(Usage(1, 1))], source=source, now=NOW)
    assert read_budget(person, now=NOW).spent == 47


def test_what_no_budget_can_hold_is_an_error_and_not_forgotten(person: User) -> None:
    with pytest.raises(IntegrityError):
        record_calls(person, Purpose.TITLE, [call(Usage(1, -5))], now=NOW)
    assert entries() == []


def test_entries_outlive_the_account_without_its_name(person: User) -> None:
    settle(person, call(Usage(100, 7)))
    User.objects.get(pk=person.pk).delete()
    assert [(one.user_id, one.plan, one.tokens) for one in entries()] == [(None, "free", 107)]
    # A task that began before is charged to nobody, and written down.
    assert record_calls(person, Purpose.TITLE, [call(Usage(40, 5))], now=NOW)
    assert [one.user_id for one in entries()] == [None, None]
    assert not BudgetPeriod.objects.exists()


def test_an_entry_keeps_the_plan_of_its_time(person: User) -> None:
    settle(person, call(Usage(1, 1)))
    User.objects.filter(pk=person.pk).update(plan=Plan.PRO)
    settle(User.objects.get(pk=person.pk), call(Usage(1, 1)))
    assert [one.plan for one in entries()] == ["free", "pro"]


def test_what_was_spent_before_is_the_ledgers_first_entry(person: User) -> None:
    spent = 2**31 + 10
    BudgetPeriod.objects.create(user=person, month=MONTH, limit=1, spent=spent, reserved=3)
    BudgetPeriod.objects.create(user=make_person(), month=MONTH, limit=1)
    migration = import_module("chatbot.accounts.migrations.0003_ledger_opening")
    for _ in range(2):
        migration.open_ledger(apps, None)
    assert sum_tokens(person) == spent
    assert {one.purpose for one in entries()} == {Purpose.OPENING}
    assert len(entries()) == 2
