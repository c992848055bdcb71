"""A web process that is asked to end: streams end in order, and no answer fails."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Event

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from tests.degraded.device import Device, takes_less_than
from tests.production import Production, running_production

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

STREAMS = 20
ASKERS = 4
# Far within the patience that `tests/production.py` gives the server.
DRAIN_BOUND_S = 3.0


def follow(production: Production, device: Device, generation: str, begun: Barrier) -> bytes:
    """Read a stream to where the server ends it."""
    path = f"/generations/{generation}/events"
    with device.http.stream("GET", path) as response:
        assert response.status_code == 200
        pieces = response.iter_bytes()
        text = next(pieces)
        begun.wait(20)
        return text + b"".join(pieces)


def ask_until_refused(device: Device, is_ending: Event) -> int:
    """Ask one thing after another, each answered whole; a refused connection ends it."""
    count = 0
    while True:
        try:
            response = device.http.send(
                device.http.build_request("GET", "/conversations"), stream=True
            )
        except (httpx2.ConnectError, httpx2.RemoteProtocolError, httpx2.ReadError):
            assert is_ending.is_set()
            return count
        assert response.status_code == 200
        # Raises for an answer that was broken off.
        assert response.read()
        count += 1


def test_streams_end_in_order_and_requests_are_answered_when_a_process_is_asked_to_end() -> None:
    with (
        running_production(webs=1, workers=0) as (production, _),
        ThreadPoolExecutor(STREAMS + ASKERS) as people,
        ExitStack() as opened,
    ):
        web = production.webs[0]
        begun, is_ending = Barrier(STREAMS + 1), Event()
        devices = [
            opened.enter_context(Device(web, token))
            for token in production.make_people("drain", STREAMS)
        ]
        streams: list[Future[bytes]] = []
        for device in devices:
            generation = device.send(device.new_conversation()).json()["generationId"]
            streams.append(people.submit(follow, production, device, generation, begun))
        begun.wait(20)
        with devices[0].socket() as socket:
            asked = [people.submit(ask_until_refused, devices[n], is_ending) for n in range(ASKERS)]
            is_ending.set()
            with takes_less_than(DRAIN_BOUND_S):
                web.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                socket.receive("pong")
        # Chunked bodies with an end: httpx2 raises for one that is broken off.
        assert all(stream.result() for stream in streams)
        assert sum(answered.result() for answered in asked) > 0
        assert closed.value.rcvd is not None
        # Service restart (RFC 6455's registry): the client connects again.
        assert closed.value.rcvd.code == 1012
        assert not web.log.read_text()
