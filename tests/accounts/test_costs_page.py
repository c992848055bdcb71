from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatbot.accounts.costs.charts import chart_lines
from chatbot.accounts.costs.figures import Figures, read_figures, read_people
from chatbot.accounts.costs.money import dollars, format_dollars
from chatbot.accounts.costs.periods import Period
from chatbot.accounts.costs.rollup import rebuild
from chatbot.accounts.models import Plan, Purpose, User
from tests.accounts.ledger_rows import moment, put_entry
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAGE = "/admin/costs/"
PERIOD = Period(moment(9).date(), moment(11).date())


def signed_in(*permissions: str, **fields: bool) -> Client:
    person = make_person(**fields)
    found = Permission.objects.filter(content_type__app_label="accounts", codename__in=permissions)
    assert found.count() == len(permissions)
    person.user_permissions.set(found)
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


@pytest.fixture
def staff(db: None) -> Client:
    return signed_in("view_costs", is_staff=True)


def count_all() -> None:
    rebuild(now=moment(20))


def figures() -> Figures:
    count_all()
    return read_figures(PERIOD)


def rows_of(client: Client, slug: str, query: str = "") -> list[list[str]]:
    response = client.get(f"{PAGE}{slug}.csv{query}")
    assert response.status_code == 200, response.content
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(response.content.decode())))


# --- figures ----------------------------------------------------------------------------------


def test_figures_equal_a_computation_by_hand():
    answer = put_entry(
        moment(9, 1), models_asked=0, first_token_ms=None, cost_micros=40, ending="failed"
    )
    put_entry(
        moment(9, 1),
        source=answer.source,
        number=1,
        model="large",
        input_tokens=50,
        cache_read_tokens=30,
        cache_write_tokens=20,
        cost_micros=2_000,
        models_asked=2,
        first_token_ms=1_000,
    )
    for _ in range(3):
        put_entry(moment(11, 2), plan="pro", cost_micros=10, first_token_ms=100)
    put_entry(moment(11, 2), purpose=Purpose.TITLE, cost_micros=1, first_token_ms=None)
    put_entry(moment(11, 2), purpose=Purpose.OPENING, model="", cost_micros=0, input_tokens=9_999)
    put_entry(moment(12), cost_micros=77_777)
    found = figures()
    total = found.total
    assert (total.cost_micros, total.calls, total.answers, total.fallbacks) == (2_071, 6, 4, 1)
    assert total.tokens == 6 * 5 + 100 + 6 * 4
    # 30 of the 5 x 6 + 100 tokens of all prompts; 1 of 4 answers.
    assert total.cache_hit_rate == pytest.approx(30 / 130)
    assert total.fallback_rate == 0.25
    assert total.p50_ms == pytest.approx(100, rel=0.02, abs=0.5)
    assert total.p95_ms == pytest.approx(1_000, rel=0.02, abs=0.5)
    assert [one.cost_micros for one in found.by_day.values()] == [2_040, 0, 31]
    empty = found.by_day[moment(10).date()]
    assert (empty.cache_hit_rate, empty.fallback_rate, empty.p95_ms) == (None, None, None)
    assert {name: one.cost_micros for name, one in found.by_model.items()} == {
        "large": 2_000,
        "small": 71,
    }
    assert list(found.by_model) == ["large", "small"]
    assert {name: one.cost_micros for name, one in found.by_plan.items()} == {
        "free": 2_041,
        "pro": 30,
    }
    assert {name: one.cost_micros for name, one in found.by_purpose.items()} == {
        "answer": 2_070,
        "title": 1,
    }
    assert found.by_model["small"].fallback_rate == 0


def test_charts_draw_what_the_tables_say():
    put_entry(moment(9), cost_micros=2_000_000, first_token_ms=None)
    put_entry(moment(11), model="large", cost_micros=500_000)
    lines = chart_lines(figures())
    assert lines["times"] == [int(moment(day).timestamp()) for day in (9, 10, 11)]
    assert [(one["label"], one["values"]) for one in lines["spend"]] == [
        ("All models", [2.0, 0.0, 0.5]),
        ("small", [2.0, 0.0, 0.0]),
        ("large", [0.0, 0.0, 0.5]),
    ]
    hits, fallbacks = lines["rates"]
    assert (hits["values"], fallbacks["values"]) == ([0, None, 0], [0, None, 0])
    assert [one["values"][:2] for one in lines["firstToken"]] == [[None, None], [None, None]]


def test_people_add_up_over_days_and_the_dearest_come_first():
    pro = make_person(plan=Plan.PRO)
    free = make_person()
    for day in (9, 10, 12):
        put_entry(moment(day), pro, cost_micros=40)
    put_entry(moment(11), free, cost_micros=70)
    count_all()
    found = read_people(PERIOD, most=10)
    assert [(one.email, one.plan, one.cost_micros, one.answers) for one in found.people] == [
        (pro.email, "pro", 80, 2),
        (free.email, "free", 70, 1),
    ]
    assert found.missing_micros == 0
    assert [one.user_id for one in read_people(PERIOD, most=1).people] == [pro.pk]


def test_money_is_exact():
    assert dollars(1) == Decimal("0.000001")
    assert dollars(12_345_678_901_234_567) == Decimal("12345678901.234567")
    assert format_dollars(0) == "$0.00"
    assert format_dollars(42) == "$0.000042"
    assert format_dollars(9_990) == "$0.00999"
    assert format_dollars(1_234_565_000) == "$1,234.56"


# --- the page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}days.csv"])
def test_only_staff_with_the_permission_see_costs(address: str):
    for client in (Client(), signed_in("view_costs")):
        response = client.get(address)
        assert response.status_code == 302
        assert "login" in response["Location"]
    assert signed_in("view_user", is_staff=True).get(address).status_code == 403
    assert signed_in("view_costs", is_staff=True).get(address).status_code == 200


def test_the_link_is_there_for_those_who_may_follow_it(staff: Client):
    link = 'href="/admin/costs/"'
    assert link in staff.get("/admin/").content.decode()
    other = signed_in("view_user", is_staff=True).get("/admin/").content.decode()
    assert link not in other
    assert "/admin/accounts/user/" in other


def test_without_calls_the_page_says_so(staff: Client):
    page = staff.get(PAGE)
    assert page.status_code == 200
    assert "No model was called in this period." in page.content.decode()
    assert rows_of(staff, "models") == [
        [
            "model",
            "cost_usd",
            "answers",
            "calls",
            "tokens",
            "cache_hit_rate",
            "fallback_rate",
            "first_token_p50_ms",
            "first_token_p95_ms",
        ]
    ]
    assert len(rows_of(staff, "days", "?days=7")) == 8


def test_the_page_shows_totals_and_every_table(staff: Client, user: User):
    put_entry(timezone.now(), user, cost_micros=1_234_567)
    call_command("rollupcosts")
    page = staff.get(PAGE).content.decode()
    for words in ("$1.23", "By day", "By model", "By plan", "By purpose", "Most expensive people"):
        assert words in page
    for chart in ("spend", "rates", "firstToken"):
        assert f'data-chart="{chart}"' in page
    # Nothing in it that a strict policy for scripts would refuse, beyond unfold's own.
    assert '<script id="chart-lines" type="application/json">' in page


def test_addresses_are_for_those_who_may_see_people(staff: Client, user: User):
    put_entry(timezone.now(), user)
    call_command("rollupcosts")
    page = staff.get(PAGE).content.decode()
    assert user.email not in page
    assert str(user.pk) in page
    assert rows_of(staff, "people")[1][0] == str(user.pk)
    other = signed_in("view_costs", "view_user", is_staff=True)
    assert user.email in other.get(PAGE).content.decode()
    assert rows_of(other, "people")[1] == [user.email, "free", "0.000100", "1", "10"]


def test_a_deleted_person_is_on_no_table(staff: Client, user: User):
    put_entry(timezone.now(), user)
    call_command("rollupcosts")
    user.delete()
    assert str(user.pk) not in staff.get(PAGE).content.decode()
    assert len(rows_of(staff, "people")) == 1
    assert rows_of(staff, "plans")[1][:2] == ["free", "0.000100"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("days=5", "Choose 7, 30 or 90 days"),
        ("days=x", "Choose 7, 30 or 90 days"),
        ("start=2026-13-01&end=2026-01-02", "From: enter a day as YYYY-MM-DD."),
        ("start=2026-01-01&end=soon", "To: enter a day as YYYY-MM-DD."),
        ("start=2026-01-01", "Name both a start and an end"),
        ("end=2026-01-01", "Name both a start and an end"),
        ("days=7&start=2026-01-01&end=2026-01-02", "Name both a start and an end"),
        ("start=2026-01-03&end=2026-01-02", "The start is after the end."),
        ("start=2026-01-03&end=9999-12-31", "The end is in the future"),
        ("start=0001-01-01&end=2026-01-02", "Choose at most 366 days."),
    ],
)
def test_a_period_that_cannot_be_is_refused_in_words(staff: Client, query: str, words: str):
    for address in (PAGE, f"{PAGE}days.csv"):
        response = staff.get(f"{address}?{query}")
        assert response.status_code == 400
        assert words in response.content.decode()


def test_a_period_may_be_chosen(staff: Client):
    today = timezone.now().date()
    days = [today - timedelta(days=number) for number in range(90)]
    for number in (7, 30, 90):
        rows = rows_of(staff, "days", f"?days={number}")
        assert [row[0] for row in rows[1:]] == [day.isoformat() for day in days[:number]]
    rows = rows_of(staff, "days", f"?start={days[4]}&end={days[2]}")
    assert [row[0] for row in rows[1:]] == [day.isoformat() for day in days[2:5]]
    assert len(rows_of(staff, "days")) == 31


def test_no_cell_is_a_formula_to_a_spreadsheet():
    # An address may begin like this, and an operator may name a model so.
    person = make_person(email="=cmd|calc!a0@example.org")
    for model in ("=1+1", "+1", "-1", "@sum", "plain"):
        put_entry(timezone.now(), person, model=model)
    call_command("rollupcosts")
    client = signed_in("view_costs", "view_user", is_staff=True)
    assert {row[0] for row in rows_of(client, "models")[1:]} == {
        "'=1+1",
        "'+1",
        "'-1",
        "'@sum",
        "plain",
    }
    assert rows_of(client, "people")[1][0] == f"'{person.email}"


def test_there_are_no_other_tables(staff: Client):
    assert staff.get(f"{PAGE}secrets.csv").status_code == 404


def test_only_reading_is_allowed(staff: Client):
    assert staff.post(PAGE).status_code == 405


def test_the_ledger_is_not_read_and_the_statements_do_not_grow(staff: Client):
    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(f"{PAGE}?days=90").status_code == 200
        return [one["sql"] for one in captured]

    put_entry(timezone.now(), make_person())
    call_command("rollupcosts")
    few = statements()
    for day in range(3):
        for number in range(5):
            put_entry(timezone.now() - timedelta(days=day), make_person(), model=f"m{number}")
    call_command("rollupcosts")
    many = statements()
    assert len(many) == len(few)
    assert not [sql for sql in many if "ledgerentry" in sql]
