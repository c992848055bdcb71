"""Which generation workers there are, as they report themselves; by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Sum
from django.db.models.functions import Now

from conversations.models import Worker

REPORT_S = 5.0
# Two reports may be lost.
SILENCE = timedelta(seconds=3 * REPORT_S)
FORGET = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    name: str
    running: int
    concurrency: int
    is_draining: bool


def report_worker(load: WorkerLoad) -> None:
    """Say that a worker lives and what it does; forget those that have long been silent."""
    known = Worker.objects.filter(name=load.name).update(
        running=load.running, is_draining=load.is_draining, seen=Now()
    )
    if known:
        return
    Worker.objects.filter(seen__lt=Now() - FORGET).delete()
    new = Worker(
        name=load.name,
        running=load.running,
        concurrency=load.concurrency,
        is_draining=load.is_draining,
        started=Now(),
        seen=Now(),
    )
    Worker.objects.bulk_create([new], ignore_conflicts=True)


def remove_worker(name: str) -> None:
    Worker.objects.filter(name=name).delete()


def _at_work() -> dict[str, object]:
    return {"is_draining": False, "seen__gt": Now() - SILENCE}


def has_workers() -> bool:
    """Say whether anybody takes what is queued."""
    return Worker.objects.filter(**_at_work()).exists()


def count_slots() -> int:
    """Return how many answers can be written at once, by all workers together."""
    total = Worker.objects.filter(**_at_work()).aggregate(slots=Sum("concurrency"))["slots"]
    return total or 0
