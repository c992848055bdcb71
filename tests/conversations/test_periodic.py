"""The beat schedule, run in the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery import Celery

from chatbot.celery import app as celery_app
from chatbot.core.tasks import spawn
from conversations.dispatch import TEND
from conversations.periodic import run_schedule

EVERY_S = 0.001


def app_with(**works: Callable[[], None]) -> Celery:
    """Return an application that does each of these as often as it can."""
    app = Celery("test", set_as_current=False)
    for name, work in works.items():
        _register(app, name, work)
    app.conf.beat_schedule = {name: {"task": name, "schedule": EVERY_S} for name in works}
    return app


def _register(app: Celery, name: str, work: Callable[[], None]) -> None:
    def task() -> None:
        work()

    # Not shared: the product's own application must not learn of it.
    app.task(name=name, shared=False, lazy=False)(task)


@contextmanager
def running(app: Celery) -> Iterator[None]:
    schedule = spawn(run_schedule(app), name="schedule under test")
    try:
        yield
    finally:
        schedule.cancel()


class Counter:
    """Counts its calls, from any thread; `enough` is set at the third."""

    def __init__(self) -> None:
        self.calls = 0
        self.enough = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 3:
            self._loop.call_soon_threadsafe(self.enough.set)


async def test_each_task_runs_again_and_again() -> None:
    first, second = Counter(), Counter()
    with running(app_with(first=first, second=second)):
        await asyncio.wait_for(first.enough.wait(), 10)
        await asyncio.wait_for(second.enough.wait(), 10)


async def test_a_task_that_fails_is_logged_and_neither_stops_nor_stops_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Celery sets Django's logging up again, which takes the handlers off the root.
    monkeypatch.setattr(logging.getLogger("conversations.periodic"), "handlers", [caplog.handler])
    failing, sound = Counter(), Counter()

    def fail() -> None:
        failing()
        raise RuntimeError("broken")

    with running(app_with(failing=fail, sound=sound)):
        await asyncio.wait_for(failing.enough.wait(), 10)
        await asyncio.wait_for(sound.enough.wait(), 10)
    assert "The periodic task failing failed" in caplog.text
    assert "sound failed" not in caplog.text


def test_every_entry_of_the_schedule_is_a_task_that_there_is() -> None:
    celery_app.loader.import_default_modules()
    schedule = celery_app.conf.beat_schedule
    assert schedule
    assert {entry["task"] for entry in schedule.values()} <= set(celery_app.tasks)


def test_what_is_sent_by_name_is_a_task_that_there_is() -> None:
    celery_app.loader.import_default_modules()
    assert TEND in celery_app.tasks
