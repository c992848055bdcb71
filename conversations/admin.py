"""Conversations and generations for staff: numbers and states, never content."""

from __future__ import annotations

from django.contrib import admin

from chatbot.core.readonly import ReadOnlyAdmin
from conversations.models import Conversation, Generation, Worker
from conversations.override_admin import ModelOverrideAdmin as ModelOverrideAdmin
from conversations.person_admin import PersonAdmin as PersonAdmin


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "model", "message_count", "created", "updated")
    list_filter = ("model", "archived")
    search_fields = ("id", "user__email")
    list_select_related = ("user",)
    fields = ("id", "user", "model", "pinned", "archived", "message_count", "created", "updated")

    @admin.display(description="messages", ordering="next_seq")
    def message_count(self, conversation: Conversation) -> int:
        # Messages are deleted with their conversation only, and never counted: that would read all
        # that anybody wrote for a list of some conversations.
        return conversation.next_seq - 1


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "user",
        "state",
        "model",
        "route_reason",
        "attempt",
        "first_token_ms",
        "output_tokens",
        "error_code",
        "created",
    )
    list_filter = ("state", "model", "route_reason", "error_code")
    search_fields = ("id", "user__email", "conversation__id")
    list_select_related = ("user",)
    exclude = ("request_digest", "idempotency_key")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "running", "concurrency", "is_draining", "started", "seen")
    ordering = ("name",)
