from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "chatbot.accounts"
    label = "accounts"
    # "Accounts" is what allauth calls its addresses, in the same list.
    verbose_name = "People"
