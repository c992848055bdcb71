"""The real local model, in its real child process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from llm.errors import ContextOverflow, ProviderAuthenticationFailed, StreamCut
from llm.local import ROOT, LocalServer
from llm.local_env import API_KEY_VARIABLE
from llm.local_model import ModelUnavailable, ensure_model
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Provider
from llm.providers.connections import Endpoint
from llm.providers.local import CONTROL_TOKENS, LocalProvider, neutralise
from llm.providers.openai import OpenAiProvider
from llm.tokens import measure
from llm.types import Prompt, Turn
from tests.llm.asking import HELLO, ask

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chatbot" / "models"

pytestmark = pytest.mark.model


@pytest.fixture(scope="session")
def model_file() -> Path:
    return ensure_model(CACHE, lambda message: None)


@pytest.fixture
async def server(model_file: Path) -> AsyncIterator[LocalServer]:
    local = LocalServer(model_file)
    await local.start()
    await local.wait_ready(60)
    yield local
    await local.stop()


@pytest.fixture
async def model(server: LocalServer) -> AsyncIterator[Provider]:
    provider = LocalProvider(
        AnthropicProvider(Endpoint(server.base_url, server.api_key, is_local=True))
    )
    yield provider
    await provider.aclose()


async def call(server: LocalServer, path: str, body: object) -> dict[str, object]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(server.base_url + path, json=body) as response,
    ):
        answer: dict[str, object] = await response.json()
        return answer


async def test_answers_and_counts_what_it_read_and_wrote(model):
    outcome = await ask(model)
    assert len(outcome.texts) > 1
    assert outcome.finished is not None
    assert outcome.finished.usage.prompt_tokens > 10
    assert 1 < outcome.finished.usage.output_tokens <= HELLO.max_output


async def test_a_second_turn_reads_the_first_from_its_cache(model):
    question = Turn("user", "My name is Aurelia. Remember it.")
    first = await ask(model, Prompt("", (question,), 30))
    turns = (question, Turn("assistant", first.text), Turn("user", "What is my name?"))
    second = await ask(model, Prompt("", turns, 60))
    # Not what it says: a model this small forgets a name now and then.
    assert first.finished is not None
    assert second.finished is not None
    assert second.finished.usage.cache_read_tokens >= first.finished.usage.prompt_tokens


async def test_answers_through_the_protocol_of_openai_too(server):
    endpoint = Endpoint(f"{server.base_url}/v1", server.api_key, is_local=True)
    chat = OpenAiProvider(endpoint)
    turns = (Turn("user", "Count from one to ten, in digits, separated by commas."),)
    first = await ask(chat, Prompt("Be brief.", turns, 40))
    rest = await ask(chat, Prompt("", (*turns, Turn("assistant", "1, 2, 3, 4,")), 20))
    again = await ask(chat, Prompt("Be brief.", (*turns, Turn("assistant", first.text)), 5))
    await chat.aclose()
    assert first.finished is not None
    assert first.finished.is_metered
    assert first.finished.usage.prompt_tokens > 10
    assert 1 < first.finished.usage.output_tokens <= 40
    assert rest.text.strip().startswith("5")
    assert again.error is None or again.error.code == "empty_answer"


async def test_many_requests_in_a_row_all_get_their_answer(model):
    for _ in range(10):
        assert (await ask(model, Prompt("", HELLO.turns, 3))).error is None


async def test_goes_on_from_a_started_answer(model):
    turns = (
        Turn("user", "Count from one to ten, in digits, separated by commas."),
        Turn("assistant", "1, 2, 3, 4,"),
    )
    outcome = await ask(model, Prompt("", turns, 20))
    assert outcome.text.strip().startswith("5")


async def test_a_prompt_beyond_the_window_is_an_overflow(model):
    outcome = await ask(model, Prompt("", (Turn("user", "word " * 9_000),), 10))
    assert type(outcome.error) is ContextOverflow


async def test_nobody_gets_in_without_the_key(server):
    stranger = AnthropicProvider(Endpoint(server.base_url, "guess", is_local=True))
    outcome = await ask(stranger)
    await stranger.aclose()
    assert type(outcome.error) is ProviderAuthenticationFailed


async def test_no_text_of_a_user_becomes_a_control_token(server):
    last_control_id = len(CONTROL_TOKENS) - 1

    async def control_ids(text: str) -> list[int]:
        answer = await call(server, "/tokenize", {"content": text, "parse_special": True})
        tokens = answer["tokens"]
        assert isinstance(tokens, list)
        return [token for token in tokens if token <= last_control_id]

    everything = "x".join(CONTROL_TOKENS) + "<<|im_end|><|im_<|im_end|>end|>"
    assert set(await control_ids(everything)) == set(range(last_control_id + 1))
    assert await control_ids(neutralise(everything)) == []


@pytest.mark.parametrize(
    "text",
    [
        "It was a bright cold day in April, and the clocks were striking thirteen. " * 5,
        Path(__file__).read_text(encoding="utf-8"),
        "人工智能正在改变我们的生活方式，越来越多的人开始使用聊天机器人。" * 5,  # noqa: RUF001
        "😀🎉👍🏽🚀👨‍👩‍👧‍👦❤️🔥" * 5,
        json.dumps([{"id": number, "name": f"user{number}"} for number in range(40)]),
    ],
    ids=["english", "python", "chinese", "emoji", "json"],
)
async def test_the_estimate_is_never_far_under_the_truth(server, text):
    async def count(content: str) -> int:
        message = {"role": "user", "content": content}
        counted = await call(server, "/v1/messages/count_tokens", {"messages": [message]})
        tokens = counted["input_tokens"]
        assert isinstance(tokens, int)
        return tokens

    truth = await count(text) - await count("")
    assert 0.85 * truth <= measure(text).total <= 1.3 * truth


async def test_a_killed_server_is_started_again(server):
    killed, old_url = server.pid, server.base_url
    assert server.is_ready
    os.kill(killed, signal.SIGKILL)
    await gone(server, killed)
    assert not server.is_ready
    await server.wait_ready(60)
    assert server.pid != killed
    provider = AnthropicProvider(Endpoint(server.base_url, server.api_key, is_local=True))
    assert (await ask(provider)).finished is not None
    await provider.aclose()
    assert server.state == "ready"
    assert old_url


async def test_an_answer_in_progress_fails_cleanly_when_the_server_dies(server, model):
    prompt = Prompt("", (Turn("user", "Tell me a very long story."),), 1000)

    with pytest.raises(StreamCut):
        async with aclosing(model.stream(prompt, model_id="m")) as events:
            await anext(events)
            os.kill(server.pid, signal.SIGKILL)
            async for _ in events:
                pass


async def gone(server: LocalServer, pid: int) -> None:
    """Return once the supervisor noticed that this child is dead."""
    async with asyncio.timeout(10):
        while server.pid == pid:  # noqa: ASYNC110 - observes another task's state
            await asyncio.sleep(0.01)


async def test_stopping_takes_the_child_along_within_three_seconds(model_file):
    local = LocalServer(model_file)
    await local.start()
    await local.wait_ready(60)
    pid = local.pid
    assert pid is not None
    async with asyncio.timeout(3):
        await local.stop()
    assert not is_running(pid)
    assert local.state == "down"


async def test_stopping_during_the_start_leaves_nothing(model_file):
    local = LocalServer(model_file)
    await local.start()
    async with asyncio.timeout(10):
        while local.pid is None:  # noqa: ASYNC110 - observes another task's state
            await asyncio.sleep(0)
    pid = local.pid
    async with asyncio.timeout(3):
        await local.stop()
    assert not is_running(pid)


async def test_a_file_that_is_no_model_is_reported_and_retried(tmp_path):
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"not a model")
    local = LocalServer(junk)
    await local.start()
    with pytest.raises(ModelUnavailable, match="ended while loading the model"):
        await local.wait_ready(2)
    await local.stop()


async def test_a_missing_file_is_reported_at_once(tmp_path):
    with pytest.raises(ModelUnavailable, match="no model file"):
        await LocalServer(tmp_path / "none.gguf").start()


# Children that misbehave at their first start and are well at the second.
FIRST_START = """
import json, os, pathlib, sys
def say_address(url):
    print(json.dumps({"url": url}), flush=True)
    sys.stdin.read()
mark = pathlib.Path(sys.argv[2] + ".started")
if mark.exists():
    say_address("http://second")
mark.touch()
"""
MISBEHAVIOURS = {
    "an endless line": "sys.stdout.write('x' * 1_000_000); sys.stdout.flush()",
    "no address": "print('[1]', flush=True)",
    "long complaints": "sys.stderr.write('x' * 1_000_000 + 'the end'); sys.exit(3)",
    "chatter": "print('{\"url\": \"http://first\"}'); print('x\\n' * 500_000, flush=True)",
}


def supervise(folder: Path, code: str) -> LocalServer:
    model = folder / "model.gguf"
    model.touch()
    return LocalServer(model, command=(sys.executable, "-c", code))


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
async def test_a_child_that_misbehaves_is_replaced(tmp_path, misbehaviour):
    local = supervise(tmp_path, FIRST_START + misbehaviour)
    await local.start()
    async with asyncio.timeout(30):
        while local.base_url != "http://second":  # noqa: ASYNC110 - observes another task's state
            await asyncio.sleep(0.01)
        await local.wait_ready(30)
    await local.stop()


async def test_the_end_of_a_childs_complaints_is_told(tmp_path):
    complain = "import sys; sys.stderr.write('x' * 1_000_000 + 'the\\nend'); sys.exit(3)"
    local = supervise(tmp_path, complain)
    await local.start()
    with pytest.raises(ModelUnavailable, match=r"ended while loading.*x{900}the \| end") as caught:
        await local.wait_ready(1)
    assert len(str(caught.value)) < 5_000
    await local.stop()


async def test_the_child_sees_none_of_our_secrets(tmp_path, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "SECRET_KEY", "KEYRING", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    tell = "import json, os, sys; print(json.dumps({'url': ' '.join(os.environ)}), flush=True)"
    local = supervise(tmp_path, tell + "; sys.stdin.read()")
    await local.start()
    await local.wait_ready(30)
    seen = set(local.base_url.split())
    await local.stop()
    assert {"PATH", "HOME", "LANG", API_KEY_VARIABLE} <= seen
    assert not seen & {"ANTHROPIC_API_KEY", "SECRET_KEY", "KEYRING", "DATABASE_URL"}


PARENT = """
import asyncio, sys
from pathlib import Path
from llm.local import LocalServer

async def main():
    local = LocalServer(Path(sys.argv[1]))
    await local.start()
    await local.wait_ready(60)
    print(local.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_parent_killed_without_warning_takes_its_child_along(model_file):
    command = [sys.executable, "-c", PARENT, str(model_file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        watch = os.pidfd_open(child)
        parent.kill()
        parent.wait()
    try:
        assert exits(watch, within_s=5)
    finally:
        os.close(watch)


def exits(pidfd: int, *, within_s: float) -> bool:
    async def wait() -> bool:
        loop = asyncio.get_running_loop()
        exited = loop.create_future()
        loop.add_reader(pidfd, exited.set_result, True)
        try:
            async with asyncio.timeout(within_s):
                return bool(await exited)
        finally:
            loop.remove_reader(pidfd)

    return asyncio.run(wait())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
