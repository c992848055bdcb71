"""Days of UTC, and the period that the cost page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

DAY = timedelta(days=1)
CHOICES = (7, 30, 90)
DEFAULT = 30
MAX_DAYS = 366


def begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last, both included."""

    first: date
    last: date

    @classmethod
    def until(cls, last: date, *, days: int) -> Period:
        return cls(last - (days - 1) * DAY, last)

    @property
    def days(self) -> int:
        return (self.last - self.first) // DAY + 1

    def __iter__(self) -> Iterator[date]:
        return (self.first + number * DAY for number in range(self.days))

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    @property
    def query(self) -> str:
        return urlencode({"start": self.first, "end": self.last})


def _date_input() -> forms.Widget:
    attributes = {"type": "date", "aria-describedby": "period-errors"}
    widget: forms.Widget = UnfoldAdminTextInputWidget(attrs=attributes)
    return widget


class PeriodForm(forms.Form):
    """Reads `days`, or `start` and `end`, of a query; without any of them the last 30 days.

    Once valid, `period` is what they say.
    """

    days = forms.TypedChoiceField(
        choices=[(str(days), f"{days} days") for days in CHOICES],
        coerce=int,
        empty_value=None,
        required=False,
        error_messages={"invalid_choice": "Choose 7, 30 or 90 days, or name a start and an end."},
    )
    start = forms.DateField(label="From", required=False, widget=_date_input())
    end = forms.DateField(label="To", required=False, widget=_date_input())
    period: Period

    def __init__(self, data: Mapping[str, str], *, today: date) -> None:
        super().__init__(data)
        self._today = today
        for name in ("start", "end"):
            field = self.fields[name]
            field.error_messages["invalid"] = f"{field.label}: enter a day as YYYY-MM-DD."

    def clean(self) -> None:
        days, start, end = (self.cleaned_data.get(name) for name in ("days", "start", "end"))
        if self.errors:
            return
        if start is None and end is None:
            self.period = Period.until(self._today, days=days or DEFAULT)
            return
        if days is not None or start is None or end is None:
            raise ValidationError("Name both a start and an end, or a number of days alone.")
        if start > end:
            raise ValidationError("The start is after the end.")
        if end > self._today:
            raise ValidationError(f"The end is in the future; today is {self._today} (UTC).")
        self.period = Period(start, end)
        if self.period.days > MAX_DAYS:
            raise ValidationError(f"Choose at most {MAX_DAYS} days.")
