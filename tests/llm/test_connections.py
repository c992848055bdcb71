"""How connections are made, kept and given up."""

from __future__ import annotations

import asyncio
import datetime
import gc
import ipaddress
import ssl
from collections.abc import Awaitable
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp.connector import Connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llm.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable, StreamCut
from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from llm.providers.pacing import Pacer
from llm.types import Finished
from tests.llm.asking import HELLO, Outcome, ask
from tests.llm.raw_server import BEGINNING, END, HEAD, REST, raw_server

WHOLE = HEAD + BEGINNING + REST + END


async def ask_once(url: str, **kwargs) -> Outcome:
    provider = AnthropicProvider(Endpoint(url, "k"), **kwargs)
    try:
        return await ask(provider)
    finally:
        await provider.aclose()


async def read_to_the_ending(provider: AnthropicProvider) -> None:
    """Leave a stream at its ending, as the runner does."""
    async with aclosing(provider.stream(HELLO, model_id="m")) as events:
        async for event in events:
            if isinstance(event, Finished):
                return


async def read_to_a_cut(reading: Awaitable[None]) -> bool:
    try:
        await reading
    except StreamCut:
        return True
    return False


async def test_a_reader_that_leaves_at_the_ending_gives_the_connection_back(scripted, provider):
    await read_to_the_ending(provider)
    async with asyncio.timeout(5):
        while not provider._session.connector._conns:  # noqa: ASYNC110 - observes the pool
            await asyncio.sleep(0.01)


async def test_a_body_that_never_ends_does_not_keep_its_connection():
    async with raw_server(HEAD + BEGINNING + REST) as server:
        provider = AnthropicProvider(Endpoint(server.url, "k"))
        assert (await ask(provider)).finished is not None
        async with asyncio.timeout(5):
            await server.closed.wait()
        await provider.aclose()


async def test_a_client_that_closes_leaves_no_connection_behind():
    async with raw_server(HEAD + BEGINNING + REST) as server:
        # The end of the body has not come yet: it may still be on its way.
        assert (await ask_once(server.url)).finished is not None
        # Not isinstance: it would wake the lazy objects of whatever ran before.
        mine = [found for found in gc.get_objects() if type(found) is Connection]
        assert all(connection.protocol is None for connection in mine)


async def test_a_body_with_broken_framing_is_a_cut():
    async with raw_server(HEAD + BEGINNING, b"no length\r\n", pause_s=0.2) as server:
        outcome = await ask_once(server.url)
    assert type(outcome.error) is StreamCut
    assert outcome.text == "Hel"


async def test_a_server_that_never_answers_times_out():
    async with raw_server() as server:
        outcome = await ask_once(server.url, timeouts=Timeouts(first_token_s=0.2, token_s=0.2))
        assert type(outcome.error) is ProviderTimeout
        await server.closed.wait()


async def test_a_refusal_that_never_ends_times_out():
    head = b"HTTP/1.1 529 Overloaded\r\ncontent-length: 50\r\n\r\n{"
    async with raw_server(head) as server:
        outcome = await ask_once(server.url, timeouts=Timeouts(first_token_s=0.2, token_s=0.2))
        assert type(outcome.error) is ProviderTimeout
        await server.closed.wait()


async def test_a_question_and_its_key_go_nowhere_else():
    async with raw_server(WHOLE) as elsewhere:
        away = f"HTTP/1.1 307 Elsewhere\r\nlocation: {elsewhere.url}/\r\ncontent-length: 0\r\n\r\n"
        async with raw_server(away.encode()) as server:
            outcome = await ask_once(server.url)
    assert type(outcome.error) is ProviderRejected
    assert server.first_lines
    assert elsewhere.first_lines == []


async def test_a_closed_client_is_unavailable(scripted, provider):
    await provider.aclose()
    assert type((await ask(provider)).error) is ProviderUnavailable


async def test_closing_the_client_ends_its_streams(scripted, provider):
    scripted.script({"stall_after": 1})
    with pytest.raises(StreamCut):
        async with aclosing(provider.stream(HELLO, model_id="m")) as events:
            await anext(events)
            await provider.aclose()
            await anext(events)


async def test_closing_the_client_ends_a_wait_for_text(scripted, provider):
    scripted.script({"stall_after": 1})
    has_text = asyncio.Event()

    async def read() -> None:
        async with aclosing(provider.stream(HELLO, model_id="m")) as events:
            async for _ in events:
                has_text.set()

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read_to_a_cut(read()))
        await has_text.wait()
        await provider.aclose()
        async with asyncio.timeout(5):
            assert await reader


async def test_a_hosted_model_is_reached_through_the_environments_proxy(monkeypatch):
    async with raw_server(WHOLE) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        outcome = await ask_once("http://models.example")
    assert outcome.text == "Hello"
    assert proxy.first_lines == [b"POST http://models.example/v1/messages HTTP/1.1"]


async def test_a_local_model_is_never_reached_through_a_proxy(monkeypatch, scripted):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    provider = AnthropicProvider(Endpoint(scripted.url, "k", is_local=True))
    assert (await ask(provider)).finished is not None
    await provider.aclose()


async def test_an_address_with_a_path_keeps_it():
    async with raw_server(WHOLE) as server:
        assert (await ask_once(server.url + "/gateway")).text == "Hello"
    assert server.first_lines == [b"POST /gateway/v1/messages HTTP/1.1"]


@pytest.fixture
def certified(tmp_path: Path, monkeypatch) -> ssl.SSLContext:
    """A server's TLS context whose certificate this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_streams_over_tls_are_paced_too(certified):
    async with raw_server(HEAD + BEGINNING, REST, END, tls=certified, pause_s=0.02) as server:
        outcome = await ask_once(server.url, pacer=Pacer(min_streams=1, gather_s=0.05))
        assert outcome.text == "Hello"
        assert outcome.finished is not None


async def test_a_stop_during_a_hold_closes_a_tls_connection_at_once(certified):
    async with raw_server(HEAD + BEGINNING, tls=certified) as server:
        pacer = Pacer(min_streams=1, gather_s=1_000)
        provider = AnthropicProvider(Endpoint(server.url, "k"), pacer=pacer)
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(0.2),
                aclosing(provider.stream(HELLO, model_id="m")) as events,
            ):
                async for _ in events:
                    pass
        async with asyncio.timeout(5):
            await server.closed.wait()
        await provider.aclose()


async def test_a_stranger_with_a_certificate_of_its_own_is_not_asked(certified, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    async with raw_server(WHOLE, tls=certified) as server:
        outcome = await ask_once(server.url)
    assert type(outcome.error) is ProviderUnavailable
    assert server.first_lines == []
