from __future__ import annotations

from django.contrib import admin

from chatbot.audit.models import AuditEntry
from chatbot.core.readonly import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Everything that was done, to be read; nobody changes it."""

    list_display = ("seq", "at", "actor", "action", "subject", "detail")
    list_filter = ("action",)
    search_fields = ("=actor", "=subject", "action")
    search_help_text = "A person's or a row's name as it stands here, or an action."
    date_hierarchy = "at"
    ordering = ("-seq",)
    show_full_result_count = False
