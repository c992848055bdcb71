"""What all commands have in common; manage.py runs them inside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError


@contextmanager
def explained_database() -> Iterator[None]:
    """Turn a database that is away or has no tables yet into one clear line."""
    try:
        yield
    except (OperationalError, ProgrammingError) as exc:
        why = str(exc).strip().partition("\n")[0]
        message = (
            f"The database cannot be used ({why}). Is it there, and did manage.py migrate run?"
        )
        raise CommandError(message) from exc
