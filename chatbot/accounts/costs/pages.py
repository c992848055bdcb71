"""The cost page, for staff who may see it."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from chatbot.accounts.costs.charts import chart_lines
from chatbot.accounts.costs.figures import read_figures, read_people
from chatbot.accounts.costs.money import format_dollars
from chatbot.accounts.costs.people import PEOPLE_KEPT
from chatbot.accounts.costs.periods import CHOICES, Period, PeriodForm, day_of
from chatbot.accounts.costs.tables import (
    TITLES,
    Table,
    summarise,
    tabulate,
    tabulate_people,
    write_csv,
)

PEOPLE_SHOWN = 25

may_see = permission_required("accounts.view_costs", raise_exception=True)


@require_safe
@may_see
def _show_costs(request: HttpRequest) -> HttpResponse:
    """Show a period's costs; one that cannot be shown is a 400 that says why."""
    form = PeriodForm(request.GET, today=day_of(timezone.now()))
    context = {**admin.site.each_context(request), "title": "Costs", "form": form}
    context["choices"] = CHOICES
    if not form.is_valid():
        return render(request, "admin/costs.html", context, status=400)
    figures = read_figures(form.period)
    people = read_people(form.period, most=PEOPLE_SHOWN)
    tables = [tabulate(slug, figures) for slug in TITLES if slug != "people"]
    tables.append(tabulate_people(people, with_addresses=_sees_people(request)))
    context |= {
        "period": form.period,
        "figures": figures,
        "highlights": summarise(figures),
        "tables": tables,
        "people_shown": PEOPLE_SHOWN,
        "people_kept": PEOPLE_KEPT,
        "missing": people.missing_micros and format_dollars(people.missing_micros),
        "chart_lines": chart_lines(figures),
    }
    return render(request, "admin/costs.html", context)


@require_safe
@may_see
def _download(request: HttpRequest, slug: str) -> HttpResponse:
    """Return a table of a period as CSV; a period that cannot be is a 400 in plain text."""
    if slug not in TITLES:
        raise Http404
    form = PeriodForm(request.GET, today=day_of(timezone.now()))
    if not form.is_valid():
        words = "\n".join(str(text) for texts in form.errors.values() for text in texts)
        return HttpResponse(words, status=400, content_type="text/plain; charset=utf-8")
    response = HttpResponse(
        write_csv(_find_table(request, slug, form.period)), content_type="text/csv; charset=utf-8"
    )
    name = f"costs-{slug}-{form.period.first}-{form.period.last}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# Whoever is not signed in, or not as staff, is asked to.
show_costs = admin.site.admin_view(_show_costs)
download = admin.site.admin_view(_download)


def _find_table(request: HttpRequest, slug: str, period: Period) -> Table:
    if slug != "people":
        return tabulate(slug, read_figures(period))
    people = read_people(period, most=PEOPLE_KEPT)
    return tabulate_people(people, with_addresses=_sees_people(request))


def _sees_people(request: HttpRequest) -> bool:
    return request.user.has_perm("accounts.view_user")
