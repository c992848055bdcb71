"""The links in the admin's sidebar: its models, and the pages beside them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


def list_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return groups of what this person may open, as unfold shows them."""
    groups = [
        {
            "title": app["name"],
            "items": [
                {"title": model["name"], "link": model["admin_url"]}
                for model in app["models"]
                if model["admin_url"]
            ],
        }
        for app in admin.site.get_app_list(request)
        if app["app_label"] != "moderation"
    ]
    if desk := _list_desk(request):
        groups.insert(0, {"title": "Moderation", "items": desk})
    if request.user.has_perm("accounts.view_costs"):
        costs = {"title": "Costs", "icon": "payments", "link": reverse("costs")}
        groups.insert(0, {"title": "Reports", "items": [costs]})
    return groups


# The desk's pages, with what it takes to see them.
_DESK = (
    ("Queue", "inbox", "admin:moderation_moderationevent_changelist", "view_moderationevent"),
    ("Appeals", "gavel", "desk-appeals", "view_moderationevent"),
    ("Figures", "monitoring", "desk-figures", "view_moderationevent"),
    ("Policy", "rule", "desk-policy", "view_policyversion"),
)


def _list_desk(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, permission in _DESK
        if request.user.has_perm(f"moderation.{permission}")
    ]
