"""Fixtures that more than one app's tests use. Services are real; only models are scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
from django.conf import settings
from hypothesis import settings as examples
from pytest_django import Settings
from redis import Redis

from chatbot.accounts.models import User
from chatbot.core.stores import DATABASE, REDIS
from chatbot.core.tasks import spawn
from conversations.eventlog import EventLog, get_event_log
from conversations.worker import GenerationWorker
from llm.conf import forget_slots, get_registry, set_local_endpoint
from tests.clocks import LimiterClock
from tests.emptying import empty_quickly
from tests.factories import make_person
from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess
from tests.stores import Valkey

# How long an example takes is no claim: a busy machine would refute it.
examples.register_profile("untimed", deadline=None)
examples.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stores", action="store_true", help="only what meets the configured stores")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put whole processes first, which take longest and wait most."""
    items.sort(key=lambda item: item.get_closest_marker("process") is None)
    if config.getoption("--stores"):
        others = [item for item in items if not _uses_stores(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _uses_stores(item)]


def _uses_stores(item: pytest.Item) -> bool:
    """Say whether a test meets the stores that are configured.

    Of conversations that is what meets the database: what is tested of Redis alone there brings one.
    """
    if item.get_closest_marker("django_db") or "conversations" not in item.path.parts:
        return True
    return not {"db", "transactional_db"}.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly() -> None:
    empty_quickly()


@pytest.fixture(autouse=True)
def stores_are_there() -> None:
    """Begin without what an earlier test taught the process of its stores."""
    DATABASE.note_answer()
    REDIS.note_answer()


@pytest.fixture(autouse=True)
def limiter_clock(monkeypatch: pytest.MonkeyPatch) -> LimiterClock:
    """Stand still in one window of all rate limits, but for what the test adds."""
    clock = LimiterClock()
    stub = SimpleNamespace(time=lambda: clock.now)
    monkeypatch.setattr("django_ratelimit.core.time", stub)
    monkeypatch.setattr("chatbot.accounts.rates.time", stub)
    return clock


@pytest.fixture(scope="session")
def provider_process() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def provider(provider_process: ScriptedProvider) -> ScriptedProvider:
    """A model provider over real HTTP that does what the test scripts."""
    provider_process.reset()
    return provider_process


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    # What is saved stays as it is, so that it can be searched.
    options = {"rdbcompression": "no"}
    valkey = Valkey(tmp_path_factory.mktemp("valkey"), options=options)
    valkey.start()
    yield valkey
    valkey.kill9()


@pytest.fixture
def valkey(valkey_process: Valkey, settings: Settings) -> Valkey:
    """A Valkey of the tests' own, empty, which the test may kill and start."""
    if not valkey_process.is_alive:
        valkey_process.start()
    valkey_process.flush()
    settings.REDIS_URL = valkey_process.url
    return valkey_process


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Redis | None]:
    """This process's database of the Redis that the tests run on, if they do."""
    client = Redis.from_url(settings.REDIS_URL) if settings.REDIS_URL else None
    yield client
    if client is not None:
        client.close()


@pytest.fixture(autouse=True)
def nothing_shared(shared_redis: Redis | None) -> None:
    """Begin without what an earlier test taught of providers, their limits and their failures."""
    forget_slots()
    if shared_redis is not None:
        shared_redis.flushdb()


@pytest.fixture
async def models(provider: ScriptedProvider, settings: Settings) -> AsyncIterator[None]:
    """Make the scripted provider the local model."""
    settings.ANTHROPIC_API_KEY = ""
    settings.LOCAL_MODEL_URL = provider.url
    settings.LOCAL_MODEL_API_KEY = "scripted"
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


@pytest.fixture
async def event_log() -> AsyncIterator[EventLog]:
    """The process's event log: in memory, or in Valkey where the tests run on one."""
    get_event_log.cache_clear()
    log = get_event_log()
    yield log
    await log.aclose()
    get_event_log.cache_clear()


@pytest.fixture
def user(transactional_db: None) -> User:
    return make_person()


@pytest.fixture(scope="session")
def live(provider_process: ScriptedProvider) -> Iterator[ServeProcess]:
    """The whole product in a process of its own, with the scripted provider as its model."""
    environment = {
        "LOCAL_MODEL_URL": provider_process.url,
        "LOCAL_MODEL_API_KEY": "scripted",
        "ANTHROPIC_API_KEY": "",
        "FREE_SENDS_PER_MINUTE": "1000",
        "FREE_SENDS_PER_DAY": "1000000",
        "REQUESTS_PER_MINUTE": "1000000",
        # All tests in the browser come from one address.
        "SIGN_INS_PER_MINUTE": "1000",
        "SIGN_UPS_PER_MINUTE": "1000",
    }
    with ServeProcess(environment) as server:
        yield server


@pytest.fixture
def live_url(live: ServeProcess, provider: ScriptedProvider) -> str:
    return live.url


@pytest.fixture
async def worker(models: None, event_log: EventLog) -> AsyncIterator[GenerationWorker]:
    """A generation worker on the test's own event loop."""
    worker = GenerationWorker(owner="test", concurrency=4, log=event_log)
    task = spawn(worker.run(), name="worker under test")
    yield worker
    await worker.drain(grace_s=0)
    await task
