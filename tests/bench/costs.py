"""The cost page over a ledger of millions of answers, in a database made for this."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatbot.accounts.costs import rollup
from chatbot.accounts.costs.models import DailyCost, HourlyCost, PersonalCost
from chatbot.accounts.costs.people import count_people
from chatbot.accounts.costs.periods import DAY, begin_of, day_of
from chatbot.accounts.models import LedgerEntry, User
from tests.bench.report import table

# What docs/costs.md promises of the page, on two cores.
MAX_PAGE_MS = 500.0
LOADS = 7
PERIODS = (7, 30, 90)

Advance = Callable[[], object]

FILL_PEOPLE = """
INSERT INTO accounts_user (id, email, password, plan, wrapped_key, is_staff, is_active,
    is_superuser, date_joined)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'person' || n || '@example.org', '!',
    CASE WHEN n %% 10 = 0 THEN 'pro' ELSE 'free' END, '', false, true, false, now()
FROM generate_series(1, %s) AS n
"""
# Evenly over the day, six models on two plans, and every twentieth answer after a fallback. Some
# people ask much more than others.
FILL_DAY = """
INSERT INTO accounts_ledgerentry (id, user_id, plan, purpose, source, number, model, provider,
    input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, cost_micros, is_metered,
    ending, models_asked, first_token_ms, month, created)
SELECT uuidv7(), lpad(to_hex(1 + floor(power(random(), 2) * %(people)s)::int), 32, '0')::uuid,
    CASE WHEN n %% 10 = 0 THEN 'pro' ELSE 'free' END, 'answer', uuidv7(), 0, 'model-' || n %% 6,
    'one', 200 + n %% 800, n %% 3000, 0, 100 + n %% 900, 100 + n %% 9000, true, 'finished',
    CASE WHEN n %% 20 = 0 THEN 2 ELSE 1 END, 150 + (exp(random() * 5) * 20)::int,
    date_trunc('month', %(begin)s::timestamptz)::date,
    %(begin)s::timestamptz + (n - 1) * interval '1 day' / %(answers)s
FROM generate_series(1, %(answers)s) AS n
"""


@dataclass(frozen=True, slots=True)
class CostLoad:
    """`answers` are spread over so many days, of which the last is yesterday."""

    answers: int = 10_000_000
    days: int = 90
    people: int = 500_000

    @property
    def a_day(self) -> int:
        return self.answers // self.days


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was timed."""

    name: str
    milliseconds: float


def fill(load: CostLoad, advance: Advance) -> None:
    """Write people and their ledger; `advance` is called after each day."""
    today = begin_of(day_of(timezone.now()))
    with connection.cursor() as cursor, _without_indexes():
        cursor.execute(FILL_PEOPLE, [load.people])
        for number in range(load.days, 0, -1):
            values: dict[str, str | int] = {
                "people": load.people,
                "answers": load.a_day,
                "begin": (today - number * DAY).isoformat(),
            }
            cursor.execute(FILL_DAY, values)
            advance()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE accounts_ledgerentry")
        cursor.execute("ANALYZE accounts_user")


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Make the ledger's indexes at the end, in a fraction of the time; they are the same then."""
    meta = LedgerEntry._meta
    once = [one for one in meta.constraints if "once" in one.name]
    with connection.schema_editor() as editor:
        for index in meta.indexes:
            editor.remove_index(LedgerEntry, index)
        for constraint in once:
            editor.remove_constraint(LedgerEntry, constraint)
    yield
    with connection.schema_editor() as editor:
        for index in meta.indexes:
            editor.add_index(LedgerEntry, index)
        for constraint in once:
            editor.add_constraint(LedgerEntry, constraint)


def time_roll_up(load: CostLoad, advance: Advance) -> list[Step]:
    """Count everything once, and then what each of the periodic tasks does alone."""
    now = timezone.now()
    yesterday = day_of(now) - DAY
    with connection.cursor() as cursor:
        begin = time.perf_counter()
        rollup.rebuild(now=now, advance=advance)
        steps = [Step(f"rebuild, {load.days} days", _since(begin))]
        cursor.execute("ANALYZE accounts_dailycost, accounts_personalcost, accounts_hourlycost")
    noon = begin_of(yesterday) + timedelta(hours=12)
    steps.append(_timed("each minute, nothing new", lambda: rollup.count_recent(now=now)))
    HourlyCost.objects.filter(hour=noon).update(calls=0)
    steps.append(
        _timed(
            "each minute, an hour anew", lambda: rollup.count_recent(now=noon + timedelta(hours=1))
        )
    )
    steps.append(_timed("review, nothing new", lambda: rollup.review(now=now)))
    steps.append(_timed("people of a day", lambda: count_people(yesterday)))
    return steps


def time_page() -> list[Step]:
    """Time the page as staff get it, without the network; the median of some loads each."""
    client = _staff()
    steps = []
    for days in PERIODS:
        address = f"/admin/costs/?days={days}"
        assert client.get(address).status_code == 200
        times = [_timed(address, partial(client.get, address)) for _ in range(LOADS)]
        steps.append(Step(f"page, {days} days", median(one.milliseconds for one in times)))
    return steps


def _staff() -> Client:
    staff = User.objects.create_superuser(f"{uuid4().hex}@example.org")
    client = Client(headers={"host": "localhost"})
    client.force_login(staff, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def explain_page() -> list[str]:
    """Return the plan of each statement of the page that reads costs."""
    client = _staff()
    with CaptureQueriesContext(connection) as captured:
        client.get("/admin/costs/?days=90")
    plans = []
    with connection.cursor() as cursor:
        for sql in (one["sql"] for one in captured):
            if "cost" not in sql:
                continue
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}")
            plans.append("\n".join([sql, *(str(line) for (line,) in cursor.fetchall())]))
    return plans


def sizes() -> str:
    """Return how many rows there are of each kind, and what they take with their indexes."""
    rows: list[tuple[Any, ...]] = []
    for kind in (LedgerEntry, HourlyCost, DailyCost, PersonalCost):
        name = kind._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_total_relation_size(%s)", [name])
            (size,) = cursor.fetchone()
        rows.append((name, f"{kind._default_manager.count():,}", f"{size / 2**20:,.1f}"))
    return table(("table", "rows", "MiB"), rows)


def step_table(steps: list[Step]) -> str:
    return table(("step", "ms"), [(one.name, f"{one.milliseconds:,.0f}") for one in steps])


def _timed(name: str, work: Callable[[], object]) -> Step:
    begin = time.perf_counter()
    work()
    return Step(name, _since(begin))


def _since(begin: float) -> float:
    return 1000 * (time.perf_counter() - begin)
