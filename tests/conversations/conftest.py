from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.http import StreamingHttpResponse
from django.test import AsyncClient
from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.core.db import db_call
from conversations.eventlog import StreamKey
from conversations.eventlog.cluster import ClusterEventLog
from conversations.eventlog.redis import RedisEventLog
from conversations.models import Conversation
from llm.conf import get_registry, set_local_endpoint
from tests.conversations.lanes import describe
from tests.conversations.memories import use_hosted
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider
from tests.sse import Frame, read_frames
from tests.stores import Valkey
from tests.valkey_cluster import ValkeyCluster


class ApiClient:
    """The API as a program uses it, with a bearer token."""

    def __init__(self, token: str) -> None:
        self.http = AsyncClient()
        self.token = token
        self._authorization = {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        send: Callable[..., Awaitable[Any]] = getattr(self.http, method)
        arguments: dict[str, Any] = {"headers": self._authorization | headers}
        if method != "get":
            # The test client would send a form where there is no body.
            data = b"" if body is None else body
            arguments |= {"data": data, "content_type": "application/json"}
        return await send(f"/api/v1{path}", **arguments)

    async def new_conversation(self, **body: Any) -> str:
        response = await self.call("post", "/conversations", body)
        assert response.status_code == 201, response.content
        return str(response.json()["conversationId"])

    async def stream(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> AsyncGenerator[Frame]:
        response = await self.call(method, path, body, **headers)
        assert response.status_code == 200, (response.status_code, response.content)
        assert isinstance(response, StreamingHttpResponse)
        async with aclosing(read_frames(aiter(response))) as frames:
            async for frame in frames:
                yield frame

    async def send(self, conversation_id: str, content: str, **headers: str) -> list[Frame]:
        """Send a message and read its answer to the end."""
        path = f"/conversations/{conversation_id}/messages"
        return [frame async for frame in self.stream("post", path, {"content": content}, **headers)]

    async def enqueue(self, conversation_id: str, content: str, **headers: str) -> dict[str, str]:
        """Send a message without waiting for its answer."""
        path = f"/conversations/{conversation_id}/messages"
        body = {"content": content}
        response = await self.call("post", path, body, accept="application/json", **headers)
        assert response.status_code == 202, response.content
        reference: dict[str, str] = response.json()
        return reference

    async def read(self, conversation_id: str) -> Any:
        return (await self.call("get", f"/conversations/{conversation_id}")).json()


def key_of(conversation_id: str, frames: list[Frame]) -> StreamKey:
    return StreamKey(UUID(conversation_id), UUID(frames[0].data["generationId"]))


@pytest.fixture
def api(user: User) -> ApiClient:
    return ApiClient(create_token(user))


@pytest.fixture
async def conversation(user: User) -> Conversation:
    return await db_call(make_conversation, user)


@pytest.fixture
def conversation_id(conversation: Conversation) -> UUID:
    return conversation.pk


@pytest.fixture
async def hosted(
    provider: ScriptedProvider, settings: Settings, tmp_path: Path
) -> AsyncIterator[None]:
    """Hosted models from the scripted provider: one with a narrow window, and those of Anthropic."""
    for _ in use_hosted(provider, settings, tmp_path):
        yield
        await get_registry().aclose()


@pytest.fixture
def held(settings: Settings) -> None:
    """Let an answer out eighty characters behind what was judged of it."""
    settings.MODERATION_HOLD_BACK = 80


@pytest.fixture(scope="session")
def cluster_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    options = {"rdbcompression": "no"}
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"), options=options)
    try:
        cluster.create()
        yield cluster
    finally:
        cluster.kill9()


@pytest.fixture
def cluster(cluster_processes: ValkeyCluster, settings: Settings) -> ValkeyCluster:
    """A Valkey Cluster of the tests' own, empty, which the test may kill and start."""
    if not cluster_processes.is_alive:
        cluster_processes.start()
    cluster_processes.flush()
    settings.EVENT_LOG_CLUSTER = cluster_processes.urls
    return cluster_processes


@pytest.fixture(params=["server"])
def store(request: pytest.FixtureRequest) -> Valkey | ValkeyCluster:
    """What the log is kept in: `server` or `cluster`, as a test asks for it."""
    found: Valkey | ValkeyCluster
    found = request.getfixturevalue("cluster" if request.param == "cluster" else "valkey")
    return found


@pytest.fixture
def redis_client(store: Valkey | ValkeyCluster) -> Iterator[redis.Redis | redis.RedisCluster]:
    with store.client() as client:
        yield client


@pytest.fixture
async def redis_log(
    store: Valkey | ValkeyCluster,
) -> AsyncIterator[RedisEventLog | ClusterEventLog]:
    log = ClusterEventLog() if isinstance(store, ValkeyCluster) else RedisEventLog()
    yield log
    await log.aclose()


@pytest.fixture(scope="module")
def other_process() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def other(other_process: ScriptedProvider) -> ScriptedProvider:
    """A second provider."""
    other_process.reset()
    return other_process


@pytest.fixture
async def two_lanes(
    request: pytest.FixtureRequest,
    provider: ScriptedProvider,
    other: ScriptedProvider,
    settings: Settings,
    tmp_path: Path,
) -> AsyncIterator[None]:
    """Two providers with a model each; the parameter is what is said of the first."""
    path = tmp_path / "models.toml"
    path.write_text(describe(provider.url, other.url, **getattr(request, "param", {})))
    settings.MODELS_FILE = str(path)
    settings.ANTHROPIC_API_KEY = settings.LOCAL_MODEL_URL = ""
    settings.SENDS_PER_MINUTE = {"free": 1000, "pro": 1000}
    set_local_endpoint(None)
    yield
    await get_registry().aclose()
    set_local_endpoint(None)


@pytest.fixture
async def token(user: User) -> str:
    return await db_call(create_token, user)
