"""What a load balancer and a scraper ask."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import AsyncClient
from prometheus_client import REGISTRY
from pytest_django import Settings

from chatbot.core.db import db_call
from conversations.worker import GenerationWorker
from conversations.workers import WorkerLoad, report_worker
from llm.breaker import FAILURES, BreakerGate, State as BreakerState
from llm.breaker_redis import RedisBreakers
from llm.conf import get_registry, set_local_endpoint
from llm.errors import ProviderOverloaded

pytestmark = pytest.mark.django_db(transaction=True)

STORES = {"redis": True} if settings.REDIS_URL else {}
ALL = {"database": True, "worker": True, "model": True, **STORES}


async def ready() -> tuple[int, Any]:
    response = await AsyncClient().get("/readyz")
    return response.status_code, response.json()


@pytest.fixture
async def at_work(worker: GenerationWorker) -> None:
    """A worker that has reported itself."""
    await db_call(report_worker, WorkerLoad("test", 0, 4, is_draining=False))


async def test_a_process_that_turns_is_healthy_whatever_is_missing() -> None:
    response = await AsyncClient().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_it_is_ready_when_everything_an_answer_needs_is_there(at_work: None) -> None:
    assert await ready() == (200, {"status": "ok", **ALL})


async def test_without_a_worker_it_is_not_ready(models: None) -> None:
    assert await ready() == (503, {"status": "unready", **ALL, "worker": False})


async def test_without_a_model_it_is_not_ready(at_work: None, settings: Settings) -> None:
    settings.LOCAL_MODEL_URL = ""
    set_local_endpoint(None)
    assert await ready() == (503, {"status": "unready", **ALL, "model": False})


async def test_without_its_database_it_is_not_ready(
    at_work: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "cursor", refuse)
        missing = {"database": False, "worker": None}
        assert await ready() == (503, {"status": "unready", **ALL, **missing})
    assert (await ready())[0] == 200


async def test_a_model_that_fails_is_named_by_processes_that_did_not_ask_it(
    at_work: None, settings: Settings
) -> None:
    registry = get_registry()
    (spec, *_) = registry.models()
    asked = BreakerGate(RedisBreakers()) if settings.REDIS_URL else registry.means.gate
    for _ in range(FAILURES):
        asked.leave(spec, ProviderOverloaded(), was_heard=False)
    while True:
        code, told = await ready()
        if "failing" in told:
            break
    assert (code, told) == (200, {"status": "ok", **ALL, "failing": [spec.name]})
    await AsyncClient().get("/metrics")
    labels = {"model": spec.name}
    assert REGISTRY.get_sample_value("parley_breaker_state", labels) == BreakerState.OPEN
    await asked.aclose()


async def test_what_is_counted_can_be_scraped() -> None:
    response = await AsyncClient().get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    text = response.content.decode()
    for name in (
        "parley_unreadable_values_total",
        "parley_generations_total",
        "parley_first_token_seconds",
        "parley_generations_running",
        "parley_stream_readers",
    ):
        assert f"# TYPE {name.removesuffix('_total')}" in text
