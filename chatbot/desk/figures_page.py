"""The page of figures."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from chatbot.desk.access import SEE, page
from chatbot.desk.charts import COLOURS, stack
from chatbot.desk.figures import read_figures

CHOICES = (7, 30, 90)
DEFAULT = 30


def _show_figures(request: HttpRequest) -> HttpResponse:
    """Show the figures of 7, 30 or 90 days; of anything else, those of 30."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in {str(one) for one in CHOICES} else DEFAULT
    figures = read_figures(now=timezone.now(), days=days)
    context = {
        **admin.site.each_context(request),
        "title": "Figures of the desk",
        "choices": CHOICES,
        "days": days,
        "figures": figures,
        "chart": stack(figures.categories, figures.volume),
        "legend": [(min(n, COLOURS - 1), name) for n, name in enumerate(figures.categories)],
        "newest_first": list(reversed(figures.volume)),
        "waits": [("median", _say(figures.median)), ("90 of 100 within", _say(figures.p90))],
        "most_waiting": max((count for _, count in figures.backlog), default=0),
    }
    return render(request, "admin/desk/figures.html", context)


def _say(wait: timedelta | None) -> str:
    if wait is None:
        return "\u2013"
    minutes = round(wait.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"


show_figures = page(SEE)(_show_figures)
