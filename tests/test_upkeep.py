"""Task workers that are killed, on a real broker and a real database: one summary, whatever happens."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversations.memories import NARROW_MODEL
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production
from tests.task_workers import TaskWorker

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.05

# Marked by a process that ends before it could tell anybody.
SET_UP = """
import django
django.setup()
from chatbot.accounts.people import create_person
from conversations.chores import mark_chore
from conversations.models import ChoreKind
from tests.conversations.memories import long_conversation
talk = long_conversation(create_person("ada@people.example", None))
mark_chore(talk.pk, ChoreKind.SUMMARY)
"""
SWEEP = """
import django
django.setup()
from chatbot.celery import app
app.send_task("conversations.sweep_chores")
"""
# As after the time that a lease has.
LAPSE_AND_SWEEP_TWICE = """
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from chatbot.celery import app
from conversations.models import Chore
Chore.objects.update(held_until=timezone.now() - timedelta(seconds=1))
app.send_task("conversations.sweep_chores")
app.send_task("conversations.sweep_chores")
"""
# Waits for as long as it is given for the last chore to be done.
LOOK = """
import django, json, sys, time
django.setup()
from chatbot.accounts.models import LedgerEntry
from conversations.models import Chore, Conversation
from tests.conversations.memories import told
deadline = time.monotonic() + PATIENCE
while Chore.objects.exists() and time.monotonic() < deadline:
    time.sleep(0.05)
sys.stdout.write(json.dumps({
    "told": told(Conversation.objects.get()),
    "chores": Chore.objects.count(),
    "paid": LedgerEntry.objects.filter(purpose="summary").count(),
}))
"""


@pytest.fixture
def deployment() -> Iterator[tuple[Production, TaskWorker, ScriptedProvider]]:
    with (
        tempfile.TemporaryDirectory(prefix="parley-upkeep-") as folder,
        ScriptedProvider() as provider,
    ):
        models = Path(folder) / "models.toml"
        models.write_text(NARROW_MODEL)
        environment = {
            "ANTHROPIC_API_KEY": "scripted",
            "ANTHROPIC_BASE_URL": provider.url,
            "LOCAL_MODEL_URL": "",
            "MODELS_FILE": str(models),
        }
        production = Production(
            Path(folder), provider.url, webs=0, workers=0, environment=environment
        )
        worker = TaskWorker(production, Path(folder))
        try:
            production.start_stores()
            production.run_python(SET_UP)
            yield production, worker, provider
        finally:
            worker.kill9()
            production.stop()


def look(production: Production, *, patience_s: float = 0.0) -> Any:
    return json.loads(production.run_python(LOOK.replace("PATIENCE", str(patience_s))))


def test_a_summary_whose_worker_was_killed_is_made_once(
    deployment: tuple[Production, TaskWorker, ScriptedProvider],
) -> None:
    production, worker, provider = deployment
    provider.script(text="Born in 1901.", hold_after=1)
    worker.start()
    production.run_python(SWEEP)
    deadline = time.monotonic() + PATIENCE_S
    while not provider.requests():
        assert time.monotonic() < deadline
        time.sleep(LOOK_EVERY_S)
    worker.kill9()
    assert look(production) == {"told": [], "chores": 1, "paid": 0}
    provider.release()
    worker.restart()
    production.run_python(LAPSE_AND_SWEEP_TWICE)
    seen = look(production, patience_s=PATIENCE_S)
    assert seen == {"told": [[6, "Born in 1901."]], "chores": 0, "paid": 1}
    assert len(provider.requests()) == 2
