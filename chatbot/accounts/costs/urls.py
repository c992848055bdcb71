from __future__ import annotations

from django.urls import path

from chatbot.accounts.costs import pages

urlpatterns = [
    path("", pages.show_costs, name="costs"),
    path("<slug:slug>.csv", pages.download, name="costs-csv"),
]
