from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from chatbot.accounts.models import ApiToken, BudgetPeriod, User
from chatbot.audit.staff import AuditedAdmin

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):  # type: ignore[type-arg]  # not generic when it runs
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("-date_joined",)
    list_display = ("email", "plan", "is_staff", "is_active", "suspended_at", "date_joined")
    list_filter = ("plan", "is_staff", "is_active", "suspended_at")
    search_fields = ("email",)
    readonly_fields = ("id", "date_joined", "last_login")
    fieldsets = (
        (None, {"fields": ("id", "email", "password")}),
        ("Plan", {"fields": ("plan", "monthly_token_budget")}),
        ("State", {"fields": ("is_active", "suspended_at")}),
        ("Rights", {"fields": ("is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2", "plan")}),)
    filter_horizontal = ("groups", "user_permissions")
    secret_fields = ("email", "password", "password1", "password2")

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
