"""Celery front doors of the accounts."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

from chatbot.accounts.costs.rollup import count_recent, review


@shared_task(name="accounts.clear_expired_sessions")
def clear_expired_sessions() -> None:
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


@shared_task(name="accounts.count_costs")
def count_costs() -> None:
    count_recent()


@shared_task(name="accounts.review_costs")
def review_costs() -> None:
    review()
