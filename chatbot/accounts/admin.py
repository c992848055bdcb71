from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from chatbot.accounts.models import ApiToken, BudgetPeriod, User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # untyped, and not generic
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
        ("Rights", {"fields": ("is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2", "plan")}),)
    filter_horizontal = ("user_permissions",)


@admin.register(BudgetPeriod)
class BudgetPeriodAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    list_display = ("user", "month", "limit", "reserved", "spent")
    list_filter = ("month",)
    search_fields = ("user__email",)
    readonly_fields = ("user", "month", "limit", "reserved", "spent")

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    list_display = ("user", "label", "created")
    search_fields = ("user__email", "label")
    readonly_fields = ("user", "label", "created")

    def has_add_permission(self, request: object) -> bool:
        return False
