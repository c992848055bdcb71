"""Where operators switch models off, or change their limits, checked against the catalogue."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from chatbot.accounts.models import Plan
from chatbot.audit.staff import AuditedAdmin
from conversations.models import ModelOverride
from llm.catalog import LANE_LIMITS
from llm.conf import read_catalog
from llm.overrides import Override


class ModelOverrideForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    plans = forms.MultipleChoiceField(
        choices=Plan.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=ModelOverride._meta.get_field("plans").help_text,
    )

    class Meta:
        model = ModelOverride
        fields = ("name", "is_off", "answer_tokens", "plans", *LANE_LIMITS, "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["plans"] = self.initial.get("plans") or []

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        catalog = read_catalog()
        if catalog.find(name) is None:
            known = ", ".join(spec.name for spec in catalog.models)
            raise forms.ValidationError(f"The catalogue has no model {name}. It has: {known}.")
        return name

    def clean_plans(self) -> list[str] | None:
        return self.cleaned_data["plans"] or None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        spec = read_catalog().find(cleaned.get("name", ""))
        if spec is not None:
            plans = cleaned.get("plans")
            limits: dict[str, Any] = {field: cleaned.get(field) for field in LANE_LIMITS}
            override = Override(
                answer_tokens=cleaned.get("answer_tokens"),
                plans=tuple(plans) if plans else None,
                **limits,
            )
            for field, fault in override.find_faults(spec).items():
                self.add_error(field, fault)
        return cleaned


@admin.register(ModelOverride)
class ModelOverrideAdmin(AuditedAdmin):
    form = ModelOverrideForm
    list_display = ("name", "is_off", "answer_tokens", "plans", *LANE_LIMITS, "note", "changed")
    list_filter = ("is_off",)
    readonly_fields = ("changed",)
