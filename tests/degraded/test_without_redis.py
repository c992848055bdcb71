"""With Redis flushed, restarted, gone or silent, what a web process does goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.degraded.device import Device, Socket, eventually, takes_less_than
from tests.production import Production

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

# Waits are bounded; how long they take on a busy machine is not the claim.
BOUND_S = 10.0


@contextmanager
def redis_gone(production: Production) -> Iterator[None]:
    production.valkey.kill9()
    try:
        yield
    finally:
        production.valkey.start()


@contextmanager
def redis_silent(production: Production) -> Iterator[None]:
    production.valkey.pause()
    try:
        yield
    finally:
        production.valkey.resume()


@pytest.mark.parametrize("away", [redis_gone, redis_silent])
def test_people_send_and_are_counted_in_one_process(
    production: Production, phone: Device, away: type
) -> None:
    with away(production):
        counts = []
        for _ in range(5):
            with takes_less_than(BOUND_S):
                assert phone.send(phone.new_conversation()).status_code == 202
            counts.append(phone.remaining())
    assert counts == [counts[0] - number for number in range(5)]
    # Back in Redis, which knows little of these.
    eventually(lambda: phone.remaining() > counts[-1], within_s=5)


@pytest.mark.parametrize("away", [redis_gone, redis_silent])
def test_a_socket_opens_and_hears_its_own_process(
    production: Production, phone: Device, away: type
) -> None:
    conversation = phone.new_conversation()
    with away(production):
        with takes_less_than(BOUND_S), phone.socket() as socket:
            socket.send(type="send", conversationId=conversation, content="Hi", clientId="c")
            assert socket.receive("accepted")["clientId"] == "c"
        with phone.socket() as socket:
            phone.change(conversation)
            assert socket.hears(within_s=BOUND_S)


@pytest.mark.parametrize("away", [redis_gone, redis_silent])
def test_an_open_socket_hears_of_other_processes_again_once_redis_is_back(
    production: Production, phone: Device, laptop: Device, away: type
) -> None:
    conversation = phone.new_conversation()
    with laptop.socket() as socket:
        with away(production):
            phone.change(conversation)
        wait_until_heard(phone, socket, conversation)


def wait_until_heard(phone: Device, socket: Socket, conversation: str) -> None:
    """Return once the socket hears of a change: a process remembers Redis's absence a moment."""

    def is_heard() -> bool:
        phone.change(conversation)
        return socket.hears(within_s=0.5)

    eventually(is_heard, within_s=15)


def test_a_flush_costs_no_notice(production: Production, phone: Device, laptop: Device) -> None:
    conversation = phone.new_conversation()
    with laptop.socket() as socket:
        wait_until_heard(phone, socket, conversation)
        production.valkey.flush()
        phone.change(conversation)
        assert socket.hears(within_s=5)


@pytest.mark.parametrize("away", [redis_gone, redis_silent])
def test_readiness_says_that_redis_is_away_and_stays_in_service(
    production: Production, away: type
) -> None:
    def probe() -> dict[str, object]:
        with takes_less_than(3):
            url = f"{production.webs[0].url}/readyz"
            parts: dict[str, object] = httpx2.get(url, trust_env=False, timeout=30).json()
            return parts

    with away(production):
        assert probe()["redis"] is False
        assert probe()["database"] is True
    eventually(lambda: probe()["redis"] is True, within_s=5)
