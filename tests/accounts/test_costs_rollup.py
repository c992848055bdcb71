from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from chatbot.accounts.costs import people, sketch
from chatbot.accounts.costs.models import CostDay, DailyCost, HourlyCost, PersonalCost
from chatbot.accounts.costs.rollup import count_recent, rebuild, review
from chatbot.accounts.models import LedgerEntry, Purpose, User
from chatbot.accounts.tasks import count_costs, review_costs
from tests.accounts.ledger_rows import moment, put_entry
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2027, 1, 10)
NOON = moment(10, 12, 30)
RACERS = 4


def daily(day: date = DAY) -> list[dict[str, Any]]:
    rows = DailyCost.objects.filter(day=day).order_by("plan", "purpose", "model")
    return [dict(row) for row in rows.values()]


def everything() -> list[Any]:
    """Return the whole roll-up but for its own keys and times."""
    kinds = (HourlyCost, DailyCost, PersonalCost, CostDay)
    rows = [dict(row) for kind in kinds for row in kind._default_manager.values()]
    changing = {"id", "counted"}
    kept = [{name: row[name] for name in row.keys() - changing} for row in rows]
    return sorted(kept, key=lambda row: sorted(map(repr, row.items())))


class Killed(BaseException):
    """Ends a run as a signal does: nothing in it catches this."""


def killed_at(statement: int, work: Callable[[], object]) -> bool:
    """Do it, but end it before this statement of its run; say whether it got so far."""
    left = statement

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return execute(*arguments)

    try:
        with connection.execute_wrapper(count):
            work()
    except Killed:
        return True
    return False


def test_a_day_adds_up_as_by_hand():
    # One answer for which two models were asked, and one read mostly from a cache.
    broken = put_entry(
        moment(10, 9, 15),
        input_tokens=100,
        output_tokens=7,
        cost_micros=135,
        models_asked=0,
        first_token_ms=None,
        ending="failed",
    )
    put_entry(
        moment(10, 9, 15),
        source=broken.source,
        number=1,
        model="large",
        input_tokens=120,
        output_tokens=30,
        cost_micros=810,
        models_asked=2,
        first_token_ms=2_000,
    )
    put_entry(
        moment(10, 10, 59),
        model="large",
        input_tokens=10,
        cache_read_tokens=400,
        cache_write_tokens=50,
        output_tokens=20,
        cost_micros=901,
        first_token_ms=400,
    )
    put_entry(moment(10, 11), plan="pro", purpose=Purpose.TITLE, first_token_ms=None)
    # Of the days before and after.
    put_entry(moment(9, 23, 59), cost_micros=5)
    put_entry(moment(11), cost_micros=6)
    assert count_recent(now=moment(11, 0, 1)) == 5
    small, title = daily()[1], daily()[2]
    large = daily()[0]
    assert {name: large[name] for name in ("plan", "purpose", "model")} == {
        "plan": "free",
        "purpose": "answer",
        "model": "large",
    }
    assert (large["calls"], large["works"], large["fallbacks"]) == (2, 2, 1)
    assert (large["input_tokens"], large["output_tokens"]) == (130, 50)
    assert (large["cache_read_tokens"], large["cache_write_tokens"]) == (400, 50)
    assert large["cost_micros"] == 1_711
    assert large["first_token"] == {
        str(sketch.bucket_of(400)): 1,
        str(sketch.bucket_of(2_000)): 1,
    }
    # The answer counts under the model that was asked last.
    assert (small["model"], small["calls"], small["works"]) == ("small", 1, 0)
    assert (small["cost_micros"], small["first_token"]) == (135, {})
    assert (title["plan"], title["purpose"], title["works"]) == ("pro", "title", 1)
    assert [one["cost_micros"] for one in daily(date(2027, 1, 9))] == [5]
    assert [one["cost_micros"] for one in daily(date(2027, 1, 11))] == [6]
    assert CostDay.objects.get(day=DAY).calls == 4


def test_counting_again_changes_nothing(user: User):
    for hour in range(3):
        put_entry(moment(10, hour), user)
    assert count_recent(now=NOON) == 3
    before = everything()
    assert count_recent(now=NOON) == 0
    assert review(now=NOON) == 0
    assert everything() == before


def test_new_and_late_entries_are_counted():
    put_entry(moment(10, 11, 59))
    count_recent(now=NOON)
    put_entry(moment(10, 12, 20))
    # Committed after the hour had been counted.
    put_entry(moment(10, 11, 58))
    assert count_recent(now=NOON) == 2
    assert daily()[0]["calls"] == 3
    # So late that only the review looks at its hour.
    put_entry(moment(10, 2))
    put_entry(moment(8, 2))
    assert count_recent(now=NOON) == 0
    assert review(now=NOON) == 2
    assert daily()[0]["calls"] == 4
    assert daily(date(2027, 1, 8))[0]["calls"] == 1


def test_what_came_during_a_pause_is_counted():
    put_entry(moment(2, 5))
    count_recent(now=moment(2, 6))
    for day in (2, 4, 7):
        put_entry(moment(day, 20))
    assert count_recent(now=NOON) == 3
    assert [daily(date(2027, 1, day))[0]["calls"] for day in (2, 4, 7)] == [2, 1, 1]


def test_the_review_keeps_no_hours_of_days_that_are_over():
    put_entry(moment(6, 23, 59))
    put_entry(moment(7))
    review(now=NOON)
    assert [one.hour for one in HourlyCost.objects.all()] == [moment(7)]
    assert daily(date(2027, 1, 6))[0]["calls"] == 1
    assert review(now=NOON) == 0
    # Nothing was asked for so long that no hour is kept.
    assert (review(now=moment(20)), count_recent(now=moment(20))) == (0, 0)
    assert not HourlyCost.objects.exists()
    before = everything()
    assert rebuild(now=moment(20)) == 15
    assert everything() == before
    put_entry(moment(20, 1))
    assert count_recent(now=moment(20, 2)) == 1


def test_a_run_that_is_killed_anywhere_counts_nothing_twice(user: User):
    for day, hour in ((9, 3), (9, 4), (10, 3)):
        put_entry(moment(day, hour), user)
        put_entry(moment(day, hour), user, model="large")
    rebuild(now=NOON)
    expected = everything()
    for work in (count_recent, review, rebuild):
        forget()
        statement = 0
        # Each run gets some statements further, and finds what the one before it left.
        while killed_at(statement, partial(work, now=NOON)):
            statement += 3
        assert statement > 12
        assert everything() == expected
        for place in (5, statement // 2, statement - 5):
            forget()
            assert killed_at(place, partial(work, now=NOON))
            work(now=NOON)
            assert everything() == expected


def forget() -> None:
    for kind in (HourlyCost, DailyCost, PersonalCost, CostDay):
        kind._default_manager.all().delete()


def test_several_at_once_count_once(user: User):
    for hour in range(12):
        put_entry(moment(10, hour), user)
    together = threading.Barrier(RACERS, timeout=30)

    def work(number: int) -> None:
        try:
            together.wait()
            (count_recent, review, rebuild, count_recent)[number](now=NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(RACERS) as threads:
        list(threads.map(work, range(RACERS)))
    assert daily()[0]["calls"] == 12
    assert PersonalCost.objects.get().cost_micros == 1_200


def test_a_rebuild_mends_what_was_changed_by_hand():
    put_entry(moment(2, 5))
    put_entry(moment(10, 5))
    rebuild(now=NOON)
    expected = everything()
    DailyCost.objects.update(cost_micros=7, first_token={})
    HourlyCost.objects.update(cost_micros=7)
    days: list[None] = []
    assert rebuild(now=NOON, advance=lambda: days.append(None)) == len(days) == 9
    assert everything() == expected


def test_without_a_ledger_there_is_nothing_to_count():
    assert (count_recent(), review(), rebuild()) == (0, 0, 0)
    assert everything() == []


def test_the_command_counts_and_rebuilds(capsys: pytest.CaptureFixture[str]):
    entry = put_entry(timezone.now())
    call_command("rollupcosts")
    assert capsys.readouterr().out == "hours counted: 1\n"
    DailyCost.objects.all().delete()
    call_command("rollupcosts", "--rebuild")
    assert capsys.readouterr().out == "days counted: 1\n"
    assert daily(entry.created.date())[0]["calls"] == 1


def test_people_are_counted_by_what_they_cost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(people, "PEOPLE_KEPT", 2)
    cheap, dear, middling = (make_person() for _ in range(3))
    put_entry(moment(10, 1), cheap, cost_micros=1)
    put_entry(moment(10, 1), dear, cost_micros=50)
    put_entry(moment(10, 2), dear, cost_micros=60, purpose=Purpose.TITLE)
    put_entry(moment(10, 2), middling, cost_micros=30)
    put_entry(moment(10, 3), None, cost_micros=999)
    count_recent(now=NOON)
    listed = PersonalCost.objects.order_by("-cost_micros")
    assert list(listed.values_list("user", "cost_micros", "answers", "tokens")) == [
        (dear.pk, 110, 1, 20),
        (middling.pk, 30, 1, 10),
    ]
    assert CostDay.objects.get().least_kept_micros == 30
    put_entry(moment(10, 12), cheap, cost_micros=40)
    count_recent(now=NOON)
    assert [one.user_id for one in listed] == [dear.pk, cheap.pk]


def test_people_of_a_busy_day_lag_until_it_is_reviewed(user: User):
    for number in range(40):
        put_entry(moment(10, 12), user, number=number)
    count_recent(now=NOON)
    put_entry(moment(10, 12), user)
    count_recent(now=NOON)
    assert PersonalCost.objects.get().cost_micros == 4_000
    review(now=NOON)
    assert PersonalCost.objects.get().cost_micros == 4_100


def test_a_person_who_is_deleted_is_gone_from_the_costs_and_the_money_is_not(user: User):
    put_entry(moment(10, 12), user)
    count_recent(now=NOON)
    user.delete()
    assert not PersonalCost.objects.exists()
    assert daily()[0]["cost_micros"] == 100
    rebuild(now=NOON)
    assert not PersonalCost.objects.exists()
    assert daily()[0]["cost_micros"] == 100


def test_a_person_who_is_gone_before_they_are_listed_never_is(user: User):
    put_entry(moment(10, 12), user)
    # As a settlement leaves it that was committed while the account was erased.
    User.objects.filter(pk=user.pk).delete()
    LedgerEntry.objects.update(user_id=user.pk)
    count_recent(now=NOON)
    assert not PersonalCost.objects.exists()
    assert daily()[0]["calls"] == 1


def test_the_periodic_tasks_count(user: User):
    entry = put_entry(timezone.now(), user)
    count_costs()
    assert daily(entry.created.date())[0]["calls"] == 1
    late = put_entry(entry.created - timedelta(days=2), user)
    review_costs()
    assert daily(late.created.date())[0]["calls"] == 1
