"""Limits that several processes keep together, on a real Valkey that goes and comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django_ratelimit.core import get_usage
from pytest_django import Settings

from chatbot.accounts.limits import count_request, count_send, read_rate
from chatbot.accounts.models import User
from chatbot.core.errors import RateLimited, Unavailable
from chatbot.core.stores import REDIS
from tests.degraded.device import Device
from tests.live import ROOT
from tests.production import running_production
from tests.stores import Valkey

pytestmark = pytest.mark.process

LIMIT = 37


@pytest.fixture(scope="module")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def valkey(valkey_process: Valkey, settings: Settings) -> Iterator[Valkey]:
    if not valkey_process.is_alive:
        valkey_process.start()
    valkey_process.flush()
    settings.REDIS_URL = valkey_process.url
    settings.CACHES = {
        "default": {
            "BACKEND": "chatbot.core.cache.FallbackCache",
            "LOCATION": valkey_process.url,
        }
    }
    settings.SENDS_PER_MINUTE = {"free": LIMIT, "pro": LIMIT}
    REDIS.note_answer()
    yield valkey_process
    REDIS.note_answer()


def test_two_processes_at_once_let_exactly_the_limit_through(valkey: Valkey) -> None:
    user = User()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "chatbot.settings.test",
        "REDIS_URL": valkey.url,
        "FREE_SENDS_PER_MINUTE": str(LIMIT),
    }
    # With it the test's settings would take another of the server's databases.
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "tests.accounts.sending_process", str(user.pk), "200"]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    admitted = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(admitted) == LIMIT
    assert [window.limit - window.remaining for window in read_rate(user).windows] == [LIMIT, LIMIT]


def test_a_send_costs_one_command(valkey: Valkey) -> None:
    def commands() -> dict[str, int]:
        with valkey.client() as client:
            stats = client.info("commandstats")
        return {name: stat["calls"] for name, stat in stats.items() if "script" not in name}

    # The first makes the connection and brings the script.
    count_send(User())
    before = commands()
    count_send(User())
    after = commands()
    sent = {name: after[name] - before.get(name, 0) for name in after}
    # What the script itself calls is counted too; of what a client sends there is one.
    assert sent["cmdstat_evalsha"] == 1
    inside = {"cmdstat_get", "cmdstat_incr", "cmdstat_expire"}
    ours = {"cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello"}
    assert {name for name, calls in sent.items() if calls} <= inside | ours | {"cmdstat_evalsha"}


def test_the_counters_are_those_of_django_ratelimit(valkey: Valkey) -> None:
    user = User()
    for _ in range(3):
        count_send(user)
    request = SimpleNamespace(method="POST", META={})
    for rate in (f"{LIMIT}/m", "500/d"):
        usage = get_usage(request, "send", key=lambda *_: str(user.pk), rate=rate)
        assert usage["count"] == 3


def test_without_redis_each_process_counts_for_itself(valkey: Valkey) -> None:
    user = User()
    count_send(user)
    valkey.kill9()
    for _ in range(LIMIT):
        count_send(user)
    with pytest.raises(RateLimited):
        count_send(user)


def test_without_redis_sends_can_be_refused_and_nothing_else(
    valkey: Valkey, settings: Settings
) -> None:
    settings.RATE_LIMIT_WITHOUT_REDIS = "refuse"
    user = User()
    count_send(user)
    valkey.kill9()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            count_send(user)
        assert caught.value.body()["retryAfter"] == 5
    count_request(user)
    assert read_rate(user).windows[0].limit == LIMIT
    valkey.start()
    REDIS.note_answer()
    count_send(user)


@pytest.mark.slow
def test_parallel_sends_at_the_limit_through_two_web_processes() -> None:
    limit = 10
    environment = {"FREE_SENDS_PER_MINUTE": str(limit)}
    with running_production(webs=2, workers=0, environment=environment) as (production, _):
        # Each person's minute ends at another second: take one whose is far from its end.
        for token in production.make_people("crowd", 8):
            with (
                Device(production.webs[0], token) as phone,
                Device(production.webs[1], token) as laptop,
            ):
                minute = phone.http.get("/me").json()["rateLimits"]["minute"]
                if minute["resetsIn"] < 30:
                    continue
                devices = [phone, laptop] * limit
                places = [(each, each.new_conversation()) for each in devices]
                with ThreadPoolExecutor(len(places)) as pool:
                    answers = list(pool.map(lambda place: place[0].send(place[1]), places))
                codes = [answer.status_code for answer in answers]
                assert sorted(codes) == [202] * limit + [429] * limit
                assert {each.http.get("/me").json()["rateLimitRemaining"] for each in devices} == {
                    0
                }
                return
    pytest.fail("Nobody's minute was far from its end.")
