"""The queue: what is open, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from chatbot.desk.access import moderator_of
from chatbot.desk.event_page import show_event
from conversations.escalating import escalate
from moderation.deciding import decide_many
from moderation.models import ModerationEvent, State, Verdict

# The queue's order is an index of what is open; a full count would read all of it.
PER_PAGE = 50


class StateFilter(admin.SimpleListFilter):
    """What is open, unless another state is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("decided", "Decided"), ("all", "All")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything, *others = super().choices(changelist)
        yield {**everything, "display": "Open"}
        yield from others

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ModerationEvent]
    ) -> QuerySet[ModerationEvent]:
        if self.value() == "all":
            return queryset
        wanted = State.DECIDED if self.value() == "decided" else State.OPEN
        return queryset.filter(state=wanted)


class ClaimFilter(admin.SimpleListFilter):
    title = "claim"
    parameter_name = "claim"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("free", "Free"), ("mine", "Mine"), ("others", "Of others")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ModerationEvent]
    ) -> QuerySet[ModerationEvent]:
        held = Q(claimed_until__gt=timezone.now())
        mine = Q(claimed_by=moderator_of(request))
        wanted: dict[str | None, Q] = {
            "free": ~held | Q(claimed_until=None),
            "mine": held & mine,
            "others": held & ~mine,
        }
        return queryset.filter(wanted.get(self.value(), Q()))


@admin.register(ModerationEvent)
class ModerationEventAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    change_list_template = "admin/desk/queue.html"
    list_display = (
        "severity",
        "category",
        "kind",
        "shown_action",
        "shown_score",
        "plan",
        "age",
        "claim",
        "ruling",
    )
    list_display_links = ("severity", "category")
    list_filter = (StateFilter, ClaimFilter, "category", "surface", "action", "source")
    list_select_related = ("claimed_by", "decided_by")
    list_per_page = PER_PAGE
    show_full_result_count = False
    ordering = ("-severity", "created")
    actions = ("confirm_many", "dismiss_many")

    class Media:
        css = {"all": ("css/desk.css",)}
        js = (forms.Script("js/desk.js", type="module"),)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": "Moderation queue", "may_decide": self.has_change_permission(request)}
        response: HttpResponse = super().changelist_view(request, context | (extra_context or {}))
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show one event; it is decided by what its page sends elsewhere."""
        try:
            event_id = UUID(object_id)
        except ValueError as exc:
            raise Http404 from exc
        return show_event(request, event_id)

    @admin.action(permissions=["change"], description="Confirm")
    def confirm_many(self, request: HttpRequest, events: QuerySet[ModerationEvent]) -> None:
        self._decide(request, events, Verdict.CONFIRMED)

    @admin.action(permissions=["change"], description="Dismiss")
    def dismiss_many(self, request: HttpRequest, events: QuerySet[ModerationEvent]) -> None:
        self._decide(request, events, Verdict.DISMISSED)

    def _decide(
        self, request: HttpRequest, events: QuerySet[ModerationEvent], verdict: Verdict
    ) -> None:
        chosen = list(events.values_list("pk", flat=True))
        moderator = moderator_of(request).pk
        with transaction.atomic():
            events_decided = decide_many(chosen, moderator=moderator, verdict=verdict)
            escalate(events_decided)
        decided = len(events_decided)
        say: Callable[..., None] = messages.success if decided else messages.warning
        left = len(chosen) - decided
        rest = f" {left} were decided already, or others have them." if left else ""
        say(request, f"{verdict.label}: {decided}.{rest}")

    @admin.display(description="where", ordering="source")
    def kind(self, event: ModerationEvent) -> str:
        return f"{capfirst(event.get_source_display())} ({event.surface})"

    @admin.display(description="action", ordering="action")
    def shown_action(self, event: ModerationEvent) -> str:
        return capfirst(event.get_action_display())

    @admin.display(description="score", ordering="score")
    def shown_score(self, event: ModerationEvent) -> str:
        return f"{event.score:.2f}"

    @admin.display(description="created (UTC)", ordering="created")
    def age(self, event: ModerationEvent) -> str:
        return f"{event.created:%Y-%m-%d %H:%M}"

    @admin.display(description="claimed by")
    def claim(self, event: ModerationEvent) -> str:
        if event.claimed_by is None or not event.claimed_until:
            return ""
        if event.claimed_until <= timezone.now():
            return ""
        return f"{event.claimed_by.email} until {event.claimed_until:%H:%M}"

    @admin.display(description="verdict")
    def ruling(self, event: ModerationEvent) -> str:
        if not event.verdict:
            return ""
        by = f" by {event.decided_by.email}" if event.decided_by else ""
        label = f" as {event.label}" if event.label else ""
        return f"{event.get_verdict_display()}{label}{by}"
