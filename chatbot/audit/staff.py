"""What staff do in the admin, in the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.db import transaction
from django.db.models import Manager, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from chatbot.audit.log import record
from chatbot.audit.naming import name_of


class AuditedAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """An admin page whose additions, changes and deletions go to the audit log, with the values.

    Of what stands in `secret_fields` only the name is kept.
    """

    secret_fields: tuple[str, ...] = ()

    def save_related(
        self, request: HttpRequest, form: ModelForm[Any], formsets: Any, change: bool
    ) -> None:
        """Write the entry in the transaction of the change, after its last step."""
        super().save_related(request, form, formsets, change)
        action = "changed" if change else "added"
        changes = {name: self._describe(form, name) for name in form.changed_data}
        self.note(request, action, form.instance, changes=changes)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        with transaction.atomic():
            # A deleted row has no key any more.
            subject, whose = name_of(obj), _whose(obj)
            super().delete_model(request, obj)
            self._write(request, "deleted", subject, **whose)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            gone = [(name_of(one), _whose(one)) for one in queryset]
            super().delete_queryset(request, queryset)
            for subject, whose in gone:
                self._write(request, "deleted", subject, **whose)

    def note(self, request: HttpRequest, action: str, obj: Model, **detail: Any) -> None:
        """Write that this person did this to a row."""
        self._write(request, action, name_of(obj), **detail)

    def _write(self, request: HttpRequest, action: str, subject: str, **detail: Any) -> None:
        # Nobody comes here who has not signed in.
        person = cast(Model, request.user)
        record(name_of(person), f"{self.opts.model_name}.{action}", subject, **detail)

    def _describe(self, form: ModelForm[Any], field: str) -> list[Any]:
        if field in self.secret_fields:
            return []
        return [_plain(form.initial.get(field)), _plain(form.cleaned_data.get(field))]


def _whose(row: Model) -> dict[str, str]:
    """Return whose a row is, where it is a person's: nobody can look it up once it is deleted."""
    owner = getattr(row, "user_id", None)
    return {"user": str(owner)} if owner else {}


def _plain(value: object) -> Any:
    """Return a form's value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Manager):
        value = value.all()
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, Iterable):
        return sorted(str(_plain(one)) for one in value)
    return str(value)
