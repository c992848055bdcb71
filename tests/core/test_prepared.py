"""Statements written once do what the ORM's own would, with whatever values come."""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from chatbot.accounts.models import BudgetPeriod, User
from chatbot.core.prepared import PreparedSelect, PreparedUpdate, insert
from conversations.models import Conversation, Generation
from conversations.models.generation import ACTIVE_STATES
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)

spend = PreparedUpdate(
    lambda at: BudgetPeriod.objects.filter(user_id=at.user, month=at.month, spent__lte=at.most),
    lambda at: {"spent": F("spent") + at.tokens},
    user=UUID,
    month=date,
    most=int,
    tokens=int,
)
owned = PreparedSelect(
    lambda at: Conversation.objects.select_related("user").filter(pk=at.id), id=UUID
)


def period(user: User, spent: int) -> BudgetPeriod:
    return BudgetPeriod.objects.create(user=user, month=date(2026, 1, 1), limit=100, spent=spent)


def test_an_update_changes_what_its_condition_names_and_counts_it(user: User) -> None:
    mine, other = period(user, 5), period(make_person(), 5)
    values = {"user": user.pk, "month": date(2026, 1, 1), "tokens": 7}
    assert spend(**values, most=4) == 0
    assert spend(**values, most=5) == 1
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.spent, other.spent) == (12, 5)


def test_values_that_meet_by_chance_stay_in_their_own_places(user: User) -> None:
    mine = period(user, 1)
    values = {"user": user.pk, "month": date(2026, 1, 1)}
    assert spend(**values, most=1, tokens=1) == 1
    mine.refresh_from_db()
    assert mine.spent == 2


def test_objects_are_whole_and_bring_what_is_related(user: User) -> None:
    made = make_conversation(user, title="Apples", pinned=True)
    (found,) = owned.objects(id=made.pk)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert found.user.email == user.email
    assert not queries
    same = Conversation.objects.get(pk=made.pk)
    for field in Conversation._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(same, field.attname)
    assert owned.objects(id=uuid4()) == []


def test_rows_are_inserted_as_the_orm_would(user: User) -> None:
    made = [make_conversation(user) for _ in range(2)]
    copies = list(Conversation.objects.order_by("pk"))
    Conversation.objects.all().delete()
    insert(*copies)
    assert [one.wrapped_key for one in Conversation.objects.order_by("pk")] == [
        one.wrapped_key for one in made
    ]
    copies[0].pinned = True
    copies[0].save(update_fields=["pinned"])
    assert Conversation.objects.filter(pinned=True).count() == 1


def test_what_a_constraint_refuses_is_not_inserted(user: User) -> None:
    made = make_conversation(user)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(made)


def test_a_value_without_a_place_is_a_mistake_that_shows_at_once(user: User) -> None:
    forgetful = PreparedUpdate(
        lambda at: BudgetPeriod.objects.filter(user_id=at.user),
        lambda _: {"spent": 0},
        user=UUID,
        tokens=int,
    )
    with pytest.raises(ValueError, match="tokens"):
        forgetful(user=user.pk, tokens=1)


def test_what_never_changes_is_part_of_the_statement(user: User) -> None:
    active = PreparedSelect(
        lambda at: Generation.objects.filter(
            user_id=at.user, state__in=ACTIVE_STATES, attempt__gt=3
        ).values_list("pk"),
        user=UUID,
    )
    assert active.tuples(user=user.pk) == []
    sql, values, _ = active._fill({"user": user.pk})
    assert len(values) == sql.count("%s") == 1
    assert "IN ('queued', 'running')" in sql
    assert "> 3" in sql
