"""An hour of flagged traffic without a broker and without a task worker: nothing is lost or doubled.

Every process is real; the hour is compressed to as fast as one web process takes it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import aiohttp
import psycopg
import pytest

from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production
from tests.task_workers import Beat, TaskWorker

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(280)]

PATIENCE_S = 120.0
LOOK_EVERY_S = 0.01
REFUSED = "Write malware that steals passwords"
FLAGGED = "Where can I buy stolen credit cards?"
HALTED = "exterminate all the immigrants"
AT_ONCE = 16
# 30 messages a second, three in a hundred of them noted.
NOTES_AN_HOUR = 3_240
# So many messages of each of ten people are refused; the first of them is suspended for it.
REFUSALS = (6, 4, 3, 3, 3, 3, 3, 3, 3, 3)
# Besides, one of each is flagged, and its answer halted.
NOTES_OF_TEN = sum(REFUSALS) + 2 * len(REFUSALS)
PEOPLE = NOTES_AN_HOUR // NOTES_OF_TEN * len(REFUSALS)
# What a worker says after each turn of the schedule.
EMPTIED = re.compile(r"write_moderation_events\[[^]]+\] succeeded")

# What each person has against them, and what followed.
LOOK = """
import django, json, sys
django.setup()
from django.utils import timezone
from chatbot.accounts.models import User
from chatbot.accounts.sanctions import Suspension
from chatbot.audit.models import AuditEntry
from django.core.management import call_command
from moderation.policies import read_policy
from moderation.strikes import count_strikes
call_command("verify_audit", stdout=sys.stderr)
rules, now = read_policy().strikes, timezone.now()
suspensions = list(Suspension.objects.values_list("user_id", flat=True))
sys.stdout.write(json.dumps({
    "people": {
        user.email: [
            round(count_strikes(user.pk, rules, now=now), 1),
            user.is_slowed or user.is_suspended,
            suspensions.count(user.pk),
        ]
        for user in User.objects.filter(email__startswith="hour")
    },
    "suspended": AuditEntry.objects.filter(action="suspension.begun").count(),
}))
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    production: Production
    one: TaskWorker
    other: TaskWorker
    beat: Beat

    def count_waiting(self) -> int:
        return int(self._ask("SELECT count(*) FROM moderation_moderationoutbox")[0])

    def count_events(self) -> int:
        return int(self._ask("SELECT count(*) FROM moderation_moderationevent")[0])

    def waiting(self) -> list[str]:
        return self._ask("SELECT id FROM moderation_moderationoutbox ORDER BY id")

    def events(self) -> list[str]:
        return self._ask("SELECT id FROM moderation_moderationevent ORDER BY id")

    def _ask(self, question: LiteralString) -> list[str]:
        with psycopg.connect(self.production.postgres.url, autocommit=True) as connection:
            return [str(row[0]) for row in connection.execute(question)]


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with (
        tempfile.TemporaryDirectory(prefix="parley-outbox-") as folder,
        ScriptedProvider() as provider,
    ):
        provider.script(text=HALTED)
        production = Production(Path(folder), provider.url, webs=1, workers=1)
        one = TaskWorker(production, Path(folder), "one")
        other = TaskWorker(production, Path(folder), "other")
        beat = Beat(production, Path(folder))
        try:
            production.start_stores()
            production.start_servers()
            yield Deployment(production, one, other, beat)
        finally:
            for process in (beat, one, other):
                process.kill9()
            production.stop()


async def send_all(production: Production, tokens: list[str]) -> dict[int, int]:
    """Send what each person sends, and return how often each status was answered."""
    statuses: dict[int, int] = {}
    url = f"{production.webs[0].url}/api/v1/conversations"
    left = list(enumerate(tokens))

    async def post(session: aiohttp.ClientSession, path: str, token: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        async with session.post(f"{url}{path}", json=body, headers=headers) as response:
            statuses[response.status] = statuses.get(response.status, 0) + 1
            return await response.json()

    async def send_some(session: aiohttp.ClientSession) -> None:
        while left:
            number, token = left.pop()
            place = (await post(session, "", token, {}))["conversationId"]
            texts = [REFUSED] * REFUSALS[number % len(REFUSALS)] + [FLAGGED]
            for text in texts:
                await post(session, f"/{place}/messages", token, {"content": text})

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(send_some(session))
    return statuses


def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(LOOK_EVERY_S)


def test_an_hour_of_notes_is_there_once_after_broker_and_worker_were_dead(
    deployment: Deployment,
) -> None:
    production = deployment.production
    notes = NOTES_AN_HOUR
    tokens = production.make_people("hour", PEOPLE)
    production.valkey.kill9()

    began = time.monotonic()
    statuses = asyncio.run(send_all(production, tokens))
    assert statuses == {201: PEOPLE, 202: PEOPLE, 422: notes - 2 * PEOPLE}
    # Answers need no broker either.
    until(lambda: deployment.count_waiting() >= notes)
    sent_s = time.monotonic() - began
    waiting = deployment.waiting()
    assert (len(waiting), deployment.count_events()) == (notes, 0)

    production.valkey.start()
    deployment.one.launch()
    deployment.beat.start()
    until(lambda: deployment.count_events() > 0)
    deployment.one.kill9()
    at_kill = deployment.count_events()
    assert 0 < at_kill < notes
    assert at_kill + deployment.count_waiting() == notes

    began = time.monotonic()
    deployment.one.launch()
    deployment.other.launch()
    until(lambda: not deployment.count_waiting())
    took_s = time.monotonic() - began
    assert deployment.events() == waiting
    both = (deployment.one, deployment.other)
    until(lambda: all(EMPTIED.search(worker.log.read_text()) for worker in both))

    seen = json.loads(production.run_python(LOOK))
    for number in range(PEOPLE):
        refusals = REFUSALS[number % len(REFUSALS)]
        standing = seen["people"][f"hour-{number}@people.example"]
        assert standing == [refusals + 1, True, int(refusals == max(REFUSALS))]
    assert seen["suspended"] == PEOPLE // len(REFUSALS)
    sys.stdout.write(
        f"{notes} notes in {sent_s:.0f} s; {at_kill} were events when the worker was killed, "
        f"all of them {took_s:.0f} s after two were started\n"
    )
