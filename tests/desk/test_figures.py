"""The figures of the desk, and that the drawing says what the tables say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client

from chatbot.accounts.models import User
from chatbot.desk.charts import HEIGHT, stack
from chatbot.desk.figures import percentile, read_figures
from moderation.models import ModerationEvent, State, Verdict
from tests.desk.events import put_event

PAGE = "/admin/desk/figures/"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def put(person: User, category: str, age: timedelta, **fields: object) -> None:
    event = put_event(person)
    rows = ModerationEvent.objects.filter(pk=event.pk)
    rows.update(category=category, created=NOW - age, **fields)


def decided(verdict: Verdict, waited: timedelta, age: timedelta) -> dict[str, object]:
    return {"state": State.DECIDED, "verdict": verdict, "decided_at": NOW - age + waited}


@pytest.mark.django_db
def test_the_figures_count_what_there_is(person: User) -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    put(person, "hate", timedelta(0))
    put(person, "hate", hour)
    put(person, "violence", 2 * day)
    put(person, "violence", 9 * day)
    for verdict, waited in (
        (Verdict.CONFIRMED, hour),
        (Verdict.CONFIRMED, 3 * hour),
        (Verdict.DISMISSED, 2 * hour),
    ):
        put(person, "hate", day, **decided(verdict, waited, day))
    found = read_figures(now=NOW, days=7)
    assert list(found.categories) == ["hate", "violence"]
    assert [counts for _, counts in found.volume[-3:]] == [[0, 1], [3, 0], [2, 0]]
    assert found.volume[-1][0] == date(2026, 11, 20)
    assert [(one.category, one.decided, one.confirmed) for one in found.rightness] == [
        ("hate", 3, 2)
    ]
    assert found.rightness[0].precision == pytest.approx(2 / 3)
    assert (found.median, found.p90) == (2 * hour, 3 * hour)
    assert [count for _, count in found.backlog] == [1, 1, 1, 1]


def test_a_percentile_of_nothing_is_none() -> None:
    assert percentile([], 50) is None


def test_bars_are_as_high_as_their_share_of_the_largest_day() -> None:
    chart = stack(["hate", "violence"], [(date(2026, 11, 1), [1, 3]), (date(2026, 11, 2), [2, 0])])
    assert chart.most == 4
    assert [(one.height, one.colour) for one in chart.blocks] == [
        (HEIGHT / 4, 0),
        (HEIGHT * 3 / 4, 1),
        (HEIGHT / 2, 0),
    ]
    assert chart.blocks[1].y == 0
    assert chart.blocks[0].title == "2026-11-01, hate: 1"
    assert stack([], [(date(2026, 11, 1), [])]).blocks == []


@pytest.mark.parametrize(
    ("most", "counts"),
    [(0, []), (1, [1]), (4, [1, 2, 3, 4]), (7, [2, 4, 6]), (37, [10, 20, 30]), (950, [500])],
)
def test_lines_across_stand_for_few_round_numbers(most: int, counts: list[int]) -> None:
    chart = stack(["hate"], [(date(2026, 11, 1), [most])])
    assert [count for _, count in chart.lines] == counts
    assert all(
        y == pytest.approx(HEIGHT * (1 - count / most), abs=0.01) for y, count in chart.lines
    )


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_them_for_days_that_may_be_chosen(desk: Client, person: User) -> None:
    empty = desk.get(PAGE).content.decode()
    assert "Nothing came to the desk in these days." in empty
    event = put_event(person)
    page = ""
    for query in ("", "?days=7", "?days=x"):
        page = desk.get(f"{PAGE}{query}").content.decode()
        assert f"<title>{event.created:%Y-%m-%d}, {event.category}: 1</title>" in page
        assert f'<th scope="col">{event.category}</th>' in page
    assert page.count('<th scope="row">20') == 30
