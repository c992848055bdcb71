"""The tables of the cost page, to read in the page and to take away as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from chatbot.accounts.costs.figures import Figures, People, Tally
from chatbot.accounts.costs.money import dollars, format_dollars

Kind = Literal["text", "dollars", "count", "share", "milliseconds"]
Value = str | int | float | None

# What a spreadsheet takes for the begin of a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NOTHING = "\u2013"


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` says what the values are; dollars come as millionths, shares as parts of 1."""

    title: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Table:
    slug: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]

    @property
    def cells(self) -> list[list[tuple[Column, str]]]:
        """The rows as text to read, each cell with its column."""
        return [
            [(column, _to_read(column.kind, value)) for column, value in row]
            for row in self.pairs()
        ]

    def pairs(self) -> Iterator[list[tuple[Column, Value]]]:
        """Return the rows, each value with its column."""
        return (list(zip(self.columns, row, strict=True)) for row in self.rows)


MEASURES = (
    Column("Cost", "cost_usd", "dollars"),
    Column("Answers", "answers", "count"),
    Column("Calls", "calls", "count"),
    Column("Tokens", "tokens", "count"),
    Column("Cache hits", "cache_hit_rate", "share"),
    Column("Fallbacks", "fallback_rate", "share"),
    Column("First token p50", "first_token_p50_ms", "milliseconds"),
    Column("First token p95", "first_token_p95_ms", "milliseconds"),
)
PERSON = (
    Column("Person", "person", "text"),
    Column("Plan", "plan", "text"),
    Column("Cost", "cost_usd", "dollars"),
    Column("Answers", "answers", "count"),
    Column("Tokens", "tokens", "count"),
)
# By the part of the address that names it.
TITLES = {
    "days": "By day",
    "models": "By model",
    "plans": "By plan",
    "purposes": "By purpose",
    "people": "Most expensive people",
}


def tabulate(slug: str, figures: Figures) -> Table:
    """Return the table of days, models, plans or purposes."""
    tallies: Mapping[str, Tally] = {
        "days": {day.isoformat(): figures.by_day[day] for day in reversed(figures.by_day)},
        "models": figures.by_model,
        "plans": figures.by_plan,
        "purposes": figures.by_purpose,
    }[slug]
    first = Column(slug[:-1].capitalize(), slug[:-1], "text")
    rows = [(name, *_measures(tally)) for name, tally in tallies.items()]
    return Table(slug, TITLES[slug], (first, *MEASURES), rows)


def tabulate_people(people: People, *, with_addresses: bool) -> Table:
    """Return the table of people, named by their address or else only by their id."""
    rows = [
        (
            one.email if with_addresses else str(one.user_id),
            one.plan,
            one.cost_micros,
            one.answers,
            one.tokens,
        )
        for one in people.people
    ]
    return Table("people", TITLES["people"], PERSON, rows)


def summarise(figures: Figures) -> list[tuple[str, str]]:
    """Return titles and values of the whole period, to read."""
    values = zip(MEASURES, _measures(figures.total), strict=True)
    return [(column.title, _to_read(column.kind, value)) for column, value in values]


def _measures(tally: Tally) -> tuple[Value, ...]:
    return (
        tally.cost_micros,
        tally.answers,
        tally.calls,
        tally.tokens,
        tally.cache_hit_rate,
        tally.fallback_rate,
        tally.p50_ms,
        tally.p95_ms,
    )


def _to_read(kind: Kind, value: Value) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if kind == "dollars":
        return format_dollars(int(value))
    if kind == "share":
        return f"{value:.1%}"
    return f"{value:,} ms" if kind == "milliseconds" else f"{value:,}"


def write_csv(table: Table) -> str:
    """Return the table as CSV (RFC 4180), in which no cell is a formula to a spreadsheet."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([column.name for column in table.columns])
    for row in table.pairs():
        writer.writerow([_to_keep(column.kind, value) for column, value in row])
    return out.getvalue()


def _to_keep(kind: Kind, value: Value) -> str | Decimal | int:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if kind == "dollars":
        return dollars(int(value))
    return f"{value:.6f}" if kind == "share" else int(value)
