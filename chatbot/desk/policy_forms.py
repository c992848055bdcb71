"""A policy as a form: limits in rows, what strikes count, and the support message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from chatbot.accounts.models import Plan
from moderation.policy import ANY, NEVER, Policy
from moderation.types import Category, Surface

STRIKES = ("half_life_days", "slow_at", "slow_hours", "suspend_at", "suspend_days")
_ANY = (ANY, "any")
# Room for rows that were not there.
SPARE_ROWS = 2


def _number(label: str = "", *, is_needed: bool = False, step: str = "0.01") -> forms.FloatField:
    widget = forms.NumberInput(attrs={"step": step, "aria-label": label})
    return forms.FloatField(label=label, required=is_needed, min_value=0, widget=widget)


def _choice(label: str, choices: list[tuple[str, str]], *, initial: str = "") -> forms.ChoiceField:
    widget = forms.Select(attrs={"aria-label": label})
    return forms.ChoiceField(choices=choices, initial=initial, widget=widget)


class LimitsForm(forms.Form):
    """One row. A number that is missing means never."""

    surface = _choice("surface", [("", "new row"), *((str(one), str(one)) for one in Surface)])
    category = _choice("category", [_ANY, *((str(one), str(one)) for one in Category)], initial=ANY)
    plan = _choice("plan", [_ANY, *((one, one) for one in Plan.values)], initial=ANY)
    flag = _number("flag")
    strict = _number("strict")
    block = _number("block")


LimitsFormSet = forms.formset_factory(LimitsForm, extra=SPARE_ROWS, can_delete=True)


class PolicyForm(forms.Form):
    """What holds besides limits, and why it is changed. `base` is the version it was made from."""

    base = forms.IntegerField(widget=forms.HiddenInput)
    half_life_days = _number("A strike counts half after, days", is_needed=True, step="any")
    slow_at = _number("Slowed at", is_needed=True, step="any")
    slow_hours = _number("for, hours", is_needed=True, step="any")
    suspend_at = _number("Suspended at", is_needed=True, step="any")
    suspend_days = _number("for, days", is_needed=True, step="any")
    support_message = forms.CharField(widget=forms.Textarea(attrs={"rows": 8}))
    note = forms.CharField(
        label="What changes, and why",
        min_length=10,
        max_length=200,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for category in (ANY, *map(str, Category)):
            words = "any other" if category == ANY else category
            self.fields[f"weight_{category}"] = _number(words, step="any")

    @property
    def strikes(self) -> list[forms.BoundField]:
        return [self[name] for name in STRIKES]

    @property
    def weights(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("weight_")]


def fill(policy: Policy) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what the form and its rows begin with."""
    values: dict[str, Any] = {name: getattr(policy.strikes, name) for name in STRIKES}
    values |= {f"weight_{name}": value for name, value in policy.strikes.weights.items()}
    values["support_message"] = policy.support_message
    rows = []
    for (surface, category, plan), limits in policy.limits.items():
        numbers = {"flag": limits.flag, "strict": limits.strict, "block": limits.block}
        given = {name: value for name, value in numbers.items() if value != NEVER}
        if limits.strict == limits.block:
            given.pop("strict", None)
        rows.append({"surface": surface, "category": category, "plan": plan, **given})
    return values, rows


def gather(said: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was filled in as data for `parse_policy`."""
    weights = {
        name.removeprefix("weight_"): value
        for name, value in said.items()
        if name.startswith("weight_") and value is not None
    }
    return {
        # A form's lines end as those of HTTP do.
        "support_message": said["support_message"].replace("\r\n", "\n"),
        "limits": rows,
        "strikes": {**{name: said[name] for name in STRIKES}, "weights": weights},
    }
