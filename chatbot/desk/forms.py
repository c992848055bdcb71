"""What moderators may fill in on the page of an event."""

from __future__ import annotations

from django import forms

from moderation.models import Verdict
from moderation.types import Category

LEAST_REASON = 10
LONGEST_NOTE = 2_000
CATEGORIES = [(str(one), str(one)) for one in Category]


class RulingForm(forms.Form):
    verdict = forms.ChoiceField(choices=Verdict.choices)
    label = forms.ChoiceField(choices=[("", "as it stands"), *CATEGORIES], required=False)
    note = forms.CharField(
        required=False,
        max_length=LONGEST_NOTE,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class ReasonForm(forms.Form):
    """Why somebody looks at what else was said: the audit log keeps it."""

    reason = forms.CharField(
        min_length=LEAST_REASON,
        max_length=300,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
    )


class WarningForm(forms.Form):
    text = forms.CharField(
        label="What they are told",
        min_length=LEAST_REASON,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class SuspensionForm(forms.Form):
    days = forms.TypedChoiceField(
        label="For",
        coerce=int,
        choices=[(1, "a day"), (7, "a week"), (14, "two weeks"), (90, "90 days"), (0, "good")],
        initial=14,
    )
    reason = forms.CharField(
        label="Reason, which they are shown",
        min_length=LEAST_REASON,
        max_length=300,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
    )


class AppealForm(forms.Form):
    decision = forms.ChoiceField(choices=[("granted", "Grant"), ("refused", "Refuse")])
    answer = forms.CharField(
        label="Answer, which they are shown",
        min_length=LEAST_REASON,
        max_length=1_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
