"""Statements that the ORM writes once, for what runs with every message.

Django takes several times as long to build a statement as PostgreSQL takes to run it. Here it
builds each one a single time per database, with stand-ins where values go; afterwards only the
values are put in their places. What a statement does is still said in the ORM's terms, and what
never changes in it is part of its text.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import count
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=Model)
# The stubs are of a later Django.
_populators: Any = get_related_populators
Kind = type[UUID] | type[int] | type[str] | type[bytes] | type[datetime] | type[date]

_numbers = count(1_700_000_001)


class Slots:
    """Stand-ins by name, none of which occurs in a statement by chance."""

    def __init__(self, kinds: dict[str, Kind]) -> None:
        self.stand_ins = {name: _stand_in(kind) for name, kind in kinds.items()}

    def __getattr__(self, name: str) -> Any:
        return self.stand_ins[name]


def _stand_in(kind: Kind) -> Any:
    if kind is UUID:
        return uuid4()
    if kind is int:
        return next(_numbers)
    if kind is datetime:
        return datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=next(_numbers))
    if kind is date:
        return date(1970, 1, 1) + timedelta(days=next(_numbers) % 10_000)
    return secrets.token_bytes(16) if kind is bytes else secrets.token_hex(16)


def _adapt(value: Any) -> Any:
    """Return a value as the database's driver takes it, as the ORM's fields would."""
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    if isinstance(value, bytes):
        return connection.Database.Binary(value)  # type: ignore[attr-defined]
    return value


def _plain(value: Any) -> Any:
    """Return what can be compared of a value for the driver."""
    value = getattr(value, "obj", value)
    return bytes(value) if isinstance(value, memoryview) else value


class _Statement(ABC):
    def __init__(self, kinds: dict[str, Kind]) -> None:
        self._kinds = kinds
        self._written: dict[str, tuple[str, list[tuple[str | None, Any]], Any]] = {}

    @abstractmethod
    def _write(self, slots: Slots) -> tuple[str, Sequence[Any], Any]:
        """Return the SQL with stand-ins among its parameters, and what reads its rows."""

    def _fill(self, values: dict[str, Any]) -> tuple[str, list[Any], Any]:
        written = self._written.get(connection.vendor)
        if written is None:
            written = self._written[connection.vendor] = self._compile()
        sql, places, rest = written
        filled = [given if name is None else _adapt(values[name]) for name, given in places]
        return sql, filled, rest

    def _compile(self) -> tuple[str, list[tuple[str | None, Any]], Any]:
        slots = Slots(self._kinds)
        sql, parameters, rest = self._write(slots)
        names = {_plain(_adapt(value)): name for name, value in slots.stand_ins.items()}
        places = [(names.get(_plain(one)), one) for one in parameters]
        missing = set(self._kinds) - {name for name, _ in places}
        if missing:
            raise ValueError(f"The statement has no place for {', '.join(sorted(missing))}.")
        return *_write_constants(sql, places), rest


def _write_constants(
    sql: str, places: list[tuple[str | None, Any]]
) -> tuple[str, list[tuple[str | None, Any]]]:
    """Write what is the same in every run into the statement itself.

    PostgreSQL plans a statement that it has often run without its values, and then takes a
    partial index only where the statement says that its condition holds.
    """
    pieces = sql.split("%s")
    if len(pieces) != len(places) + 1:
        return sql, places
    written, left = pieces[0], []
    for (name, given), piece in zip(places, pieces[1:], strict=True):
        literal = None if name else _literal(given)
        if literal is None:
            left.append((name, given))
        written += ("%s" if literal is None else literal) + piece
    return written, left


def _literal(value: Any) -> str | None:
    """Return a constant as SQL, if it is of a kind that every database writes alike."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    # Of text, names such as states: nothing that would have to be quoted.
    if isinstance(value, str) and value.isidentifier() and value.isascii():
        return f"'{value}'"
    return None


class PreparedUpdate(_Statement):
    """A conditional UPDATE; running it returns how many rows it changed."""

    def __init__(
        self,
        rows: Callable[[Slots], QuerySet[Any]],
        changes: Callable[[Slots], dict[str, Any]],
        **kinds: Kind,
    ) -> None:
        super().__init__(kinds)
        self._rows = rows
        self._changes = changes

    def __call__(self, **values: Any) -> int:
        sql, parameters, _ = self._fill(values)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def _write(self, slots: Slots) -> tuple[str, Sequence[Any], Any]:
        query: Any = self._rows(slots).query.chain(UpdateQuery)
        query.add_update_values(self._changes(slots))
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        return sql, parameters, None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a statement become what the caller gets."""

    convert: Callable[[Sequence[Any]], Any] | None
    model: Any = None
    columns: Any = None
    names: Sequence[str] = ()
    populators: Sequence[Any] = ()
    annotations: Sequence[tuple[str, int]] = ()

    @classmethod
    def of(cls, compiler: Any) -> _Shape:
        converters = compiler.get_converters([column for column, _, _ in compiler.select])
        convert = partial(_convert, compiler, converters) if converters else None
        info = compiler.klass_info
        if info is None:
            return cls(convert)
        fields = info["select_fields"]
        columns = slice(fields[0], fields[-1] + 1)
        return cls(
            convert,
            model=info["model"],
            columns=columns,
            names=[column.target.attname for column, _, _ in compiler.select[columns]],
            populators=_populators(info, compiler.select, connection.alias),
            annotations=tuple(compiler.annotation_col_map.items()),
        )


def _convert(compiler: Any, converters: Any, rows: Sequence[Any]) -> Any:
    return compiler.apply_converters(rows, converters)


class PreparedSelect(_Statement, Generic[M]):
    """A SELECT; of whole rows it returns objects, of `values_list` tuples."""

    def __init__(self, rows: Callable[[Slots], QuerySet[M, Any]], **kinds: Kind) -> None:
        super().__init__(kinds)
        self._rows = rows

    def objects(self, **values: Any) -> list[M]:
        """Return rows with what was joined to them; annotations are attributes."""
        rows, shape = self._run(values)
        made: list[M] = []
        for row in rows:
            one: M = shape.model.from_db(connection.alias, shape.names, row[shape.columns])
            for populator in shape.populators:
                populator.populate(row, one)
            for name, column in shape.annotations:
                setattr(one, name, row[column])
            made.append(one)
        return made

    def tuples(self, **values: Any) -> list[tuple[Any, ...]]:
        rows, _ = self._run(values)
        return [tuple(row) for row in rows]

    def _run(self, values: dict[str, Any]) -> tuple[Any, _Shape]:
        sql, parameters, shape = self._fill(values)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows = cursor.fetchall()
        return (shape.convert(rows) if shape.convert else rows), shape

    def _write(self, slots: Slots) -> tuple[str, Sequence[Any], Any]:
        compiler = self._rows(slots).query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        return sql, parameters, _Shape.of(compiler)


def insert(*rows: Model) -> None:
    """Insert new rows of one model, in one statement."""
    model = type(rows[0])
    fields = model._meta.concrete_fields
    parameters = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection)
        for row in rows
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(model, len(rows)), parameters)
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias


@cache
def _insert_sql(model: type[Model], rows: int) -> str:
    columns = [field.column for field in model._meta.concrete_fields]
    names = ", ".join(f'"{column}"' for column in columns)
    row = f"({', '.join(['%s'] * len(columns))})"
    values = ", ".join([row] * rows)
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES {values}'  # noqa: S608
