"""People for staff: whoever is deleted there is deleted as one who does it themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from chatbot.accounts.admin import UserAdmin
from chatbot.accounts.models import User
from conversations.eventlog import StreamKey, get_event_log
from conversations.export import end_writing
from conversations.terminals import forget_logs

admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    def get_deleted_objects(
        self, objs: Iterable[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Name the people alone: all that is theirs goes with them, though nobody may delete a part."""
        people = [str(person) for person in objs]
        return people, {"people with all that is theirs": len(people)}, set(), []

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        assert isinstance(obj, User)
        _forget_after_commit(end_writing(obj))
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        # In one order, so that two who delete the same people wait for each other.
        for person in queryset.order_by("pk"):
            _forget_after_commit(end_writing(person))
        super().delete_queryset(request, queryset)


def _forget_after_commit(logs: list[StreamKey]) -> None:
    forget = async_to_sync(forget_logs)
    transaction.on_commit(lambda: forget(logs, get_event_log()))
