"""Who may do what at the desk. Whoever is not signed in as staff is asked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from chatbot.accounts.models import User

View = Callable[..., HttpResponse]

# The queue and the figures, without what was said.
SEE = "moderation.view_moderationevent"
# What was said, and every decision about it and about its person.
DECIDE = "moderation.change_moderationevent"
SEE_POLICIES = "moderation.view_policyversion"
PUBLISH = "moderation.add_policyversion"


def page(permission: str) -> Callable[[View], View]:
    """Make a view a page of the admin for those with a permission; others get 403."""

    def wrap(view: View) -> View:
        return _inside(require_safe(view), permission)

    return wrap


def step(permission: str) -> Callable[[View], View]:
    """Make a view something that is done from a page, by POST only."""

    def wrap(view: View) -> View:
        return _inside(require_POST(view), permission)

    return wrap


def form(permission: str) -> Callable[[View], View]:
    """Make a view a page that is also where its form is sent to."""

    def wrap(view: View) -> View:
        return _inside(view, permission)

    return wrap


def moderator_of(request: HttpRequest) -> User:
    """Return who is at the desk: nobody comes here who has not signed in."""
    return cast(User, request.user)


def _inside(view: View, permission: str) -> View:
    allowed = permission_required(permission, raise_exception=True)
    return admin.site.admin_view(allowed(view))
