"""The page of policies: what holds, what held, and publishing another after seeing what it changes."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import orjson
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from chatbot.audit.naming import name_of
from chatbot.desk.access import PUBLISH, SEE_POLICIES, form, moderator_of
from chatbot.desk.policy_forms import LimitsFormSet, PolicyForm, fill, gather
from moderation.comparing import describe_changes
from moderation.errors import BadPolicy
from moderation.models import PolicyVersion
from moderation.policies import newest_version, publish, read_policy
from moderation.policy import Policy, default_policy, parse_policy, read_default

HISTORY_SHOWN = 20
MOVED = "Another policy was published meanwhile. Look at it, then change that one."


def _show_policy(request: HttpRequest) -> HttpResponse:
    """Show the policy that holds and its form; a POST says what would change, or publishes."""
    may_publish = request.user.has_perm(PUBLISH)
    if request.method == "POST":
        return _propose(request)
    start = _find(request.GET["from"]) if "from" in request.GET else read_policy()
    values, rows = fill(start)
    said = PolicyForm(initial={**values, "base": _base()})
    limits = LimitsFormSet(initial=rows)
    context = {"brought_back": start.version if "from" in request.GET else None}
    return _render(request, said, limits, {**context, "may_publish": may_publish})


def _propose(request: HttpRequest) -> HttpResponse:
    """Say what the filled-in policy changes; publish it if just that was seen before."""
    if not request.user.has_perm(PUBLISH):
        return HttpResponse(status=403)
    said, limits = PolicyForm(request.POST), LimitsFormSet(request.POST)
    context: dict[str, Any] = {"may_publish": True}
    if not (said.is_valid() and limits.is_valid()):
        return _render(request, said, limits, context, status=400)
    data = gather(said.cleaned_data, _rows(limits))
    try:
        after = parse_policy(data, version=said.cleaned_data["base"] + 1)
    except BadPolicy as exc:
        return _render(request, said, limits, context | {"fault": str(exc)}, status=400)
    if said.cleaned_data["base"] != _base():
        return _render(request, said, limits, context | {"fault": MOVED}, status=409)
    changes = describe_changes(read_policy(), after)
    seen = sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if changes and request.POST.get("seen") == seen:
        try:
            return _publish(request, data, said.cleaned_data["note"])
        except BadPolicy as exc:
            context |= {"fault": str(exc)}
    context |= {"is_preview": True, "changes": changes, "seen": seen}
    return _render(request, said, limits, context)


def _publish(request: HttpRequest, data: dict[str, Any], note: str) -> HttpResponse:
    new = publish(data, author=name_of(moderator_of(request)), note=note)
    messages.success(request, f"Policy {new.version} holds from now on.")
    return redirect("desk-policy")


def _rows(limits: Any) -> list[dict[str, Any]]:
    """Return the rows that are filled in and not taken out."""
    found = []
    for one in limits.forms:
        row = {name: value for name, value in one.cleaned_data.items() if value is not None}
        if row and not row.pop("DELETE", False):
            found.append(row)
    return found


def _base() -> int:
    newest = newest_version()
    return newest.version if newest else 0


def _find(version: str) -> Policy:
    """Return a policy that held; 0 is the one that is shipped. Raises Http404."""
    if version == "0":
        return default_policy()
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise Http404
    found = PolicyVersion.objects.filter(version=int(version)).first()
    if found is None:
        raise Http404
    try:
        return parse_policy(found.data, version=found.version)
    except BadPolicy as exc:
        raise Http404 from exc


def _history() -> list[dict[str, Any]]:
    """Return what was published, the newest first, each with what it changed."""
    rows = list(PolicyVersion.objects.order_by("-version")[: HISTORY_SHOWN + 1])
    found = []
    for place, row in enumerate(rows[:HISTORY_SHOWN]):
        earlier = rows[place + 1].data if place + 1 < len(rows) else read_default()
        found.append({"version": row, "changes": _compare(earlier, row.data)})
    return found


def _compare(before: Any, after: Any) -> list[str]:
    try:
        return describe_changes(parse_policy(before, version=0), parse_policy(after, version=0))
    except BadPolicy:
        return ["This release cannot read one of them."]


def _render(
    request: HttpRequest,
    said: PolicyForm,
    limits: Any,
    more: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Moderation policy",
        "form": said,
        "limits": limits,
        "current": read_policy(),
        "history": _history(),
        **more,
    }
    return render(request, "admin/desk/policy.html", context, status=status)


show_policy = form(SEE_POLICIES)(_show_policy)
