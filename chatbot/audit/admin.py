from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from chatbot.audit.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """Everything that was done, to be read; nobody changes it."""

    list_display = ("seq", "at", "actor", "action", "subject", "detail")
    list_filter = ("action",)
    search_fields = ("=actor", "=subject", "action")
    search_help_text = "A person's or a row's name as it stands here, or an action."
    date_hierarchy = "at"
    ordering = ("-seq",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
