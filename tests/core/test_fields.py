from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db.models import F, Q

from chatbot.accounts.models import User
from tests.factories import make_person

FIELD = "custom_instructions_sealed"


@pytest.mark.parametrize(
    "lookup",
    ["", "__exact", "__in", "__contains", "__startswith", "__gt", "__lte", "__range", "__regex"],
)
def test_a_sealed_column_cannot_be_compared(lookup: str) -> None:
    value: Any = [b"a", b"b"] if lookup in {"__in", "__range"} else b"a"
    with pytest.raises(FieldError, match="sealed"):
        User.objects.filter(**{FIELD + lookup: value})


@pytest.mark.parametrize(
    "condition", [Q(**{FIELD: None}), Q(**{FIELD: F("wrapped_key")}), ~Q(**{FIELD: b"a"})]
)
def test_not_even_indirectly(condition: Q) -> None:
    with pytest.raises(FieldError, match="sealed"):
        User.objects.filter(condition)


@pytest.mark.django_db
def test_whether_there_is_a_value_may_be_asked() -> None:
    person = make_person()
    assert User.objects.filter(pk=person.pk, custom_instructions_sealed__isnull=True).exists()
