"""Celery front doors of the conversations."""

from __future__ import annotations

from celery import shared_task

from conversations.generations import fail_abandoned as fail_abandoned_generations


@shared_task(name="conversations.fail_abandoned")
def fail_abandoned() -> None:
    fail_abandoned_generations()
