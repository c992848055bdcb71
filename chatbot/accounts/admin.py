from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from chatbot.accounts.models import ApiToken, BudgetPeriod, User
from chatbot.accounts.people import move_address
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.audit.staff import AuditedAdmin
from chatbot.core.readonly import ReadOnlyAdmin

# The last two come back below, with the audit log.
admin.site.unregister((Group, EmailAddress, Authenticator))

_STATE = (
    "is_active",
    "suspended_at",
    "suspended_until",
    "slowed_until",
    "suspensions_so_far",
    "warnings_so_far",
)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):  # type: ignore[type-arg]  # not generic when it runs
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("-date_joined",)
    list_display = ("email", "plan", "is_staff", "is_active", "suspended_at", "date_joined")
    list_filter = ("plan", "is_staff", "is_active", "suspended_at")
    search_fields = ("email",)
    # Suspensions begin and end where the reason and the audit log are written too.
    readonly_fields = (
        "id",
        "date_joined",
        "last_login",
        "suspended_at",
        "suspended_until",
        "slowed_until",
        "suspensions_so_far",
        "warnings_so_far",
    )
    fieldsets = (
        (None, {"fields": ("id", "email", "password")}),
        ("Plan", {"fields": ("plan", "monthly_token_budget")}),
        ("State", {"fields": _STATE}),
        ("Rights", {"fields": ("is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2", "plan")}),)
    filter_horizontal = ("groups", "user_permissions")
    secret_fields = ("email", "password", "password1", "password2")

    @admin.display(description="suspensions")
    def suspensions_so_far(self, person: User) -> str:
        return _lines(
            (one.created, one.reason, f"until {_time(one.ended_at or one.until) or 'it is lifted'}")
            for one in person.suspensions.order_by("-created")
        )

    @admin.display(description="warnings")
    def warnings_so_far(self, person: User) -> str:
        return _lines(
            (one.created, one.text, f"seen {_time(one.seen_at)}" if one.seen_at else "not seen")
            for one in person.warnings.order_by("-created")
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        if change and "email" in form.changed_data:
            move_address(form.instance)
        super().save_related(request, form, formsets, change)

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        person = self.get_queryset(request).filter(pk=unquote(id))
        with transaction.atomic():
            before = person.first()
            response = super().user_change_password(request, id, form_url)
            after = person.first()
            if before and after and after.password != before.password:
                self.note(request, "changed", after, changes={"password": []})
        return response


def _lines(rows: Iterable[tuple[datetime, str, str]]) -> str:
    # `format_html_join` makes text of each value before it is put in its place.
    said = ((_time(at), text, state) for at, text, state in rows)
    return format_html_join("", "<p>{}: {} ({})</p>", said) or "none"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""


@admin.register(BudgetPeriod)
class BudgetPeriodAdmin(AuditedAdmin):
    list_display = ("user", "month", "limit", "reserved", "spent")
    list_filter = ("month",)
    search_fields = ("user__email",)
    readonly_fields = ("user", "month", "limit", "reserved", "spent")

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(AuditedAdmin):
    list_display = ("user", "label", "created")
    search_fields = ("user__email", "label")
    readonly_fields = ("user", "label", "created")

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(Suspension)
class SuspensionAdmin(ReadOnlyAdmin):
    list_display = ("user", "created", "until", "by", "ended_at", "appealed_at", "appeal_granted")
    list_filter = ("ended_at", "appeal_granted")
    search_fields = ("user__email",)
    readonly_fields = ("created",)


@admin.register(AccountWarning)
class AccountWarningAdmin(ReadOnlyAdmin):
    list_display = ("user", "created", "by", "seen_at")
    search_fields = ("user__email",)
    readonly_fields = ("created",)


@admin.register(EmailAddress)
class EmailAddressAdmin(AuditedAdmin):
    list_display = ("email", "user", "primary", "verified")
    list_filter = ("primary", "verified")
    search_fields = ("email", "user__email")
    raw_id_fields = ("user",)
    secret_fields = ("email",)


@admin.register(Authenticator)
class AuthenticatorAdmin(AuditedAdmin):
    """Second factors: taken away from who has lost theirs, and never shown or written here."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__email",)
    fields = list_display
    readonly_fields = list_display

    def has_add_permission(self, request: object) -> bool:
        return False
