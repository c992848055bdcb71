"""A whole deployment answers with its event log in a Valkey Cluster, also while slots move."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.degraded.device import Device
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production, running_production
from tests.sse import decode_block
from tests.valkey_cluster import ValkeyCluster

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

PIECES = ["An ", "answer ", "in ", "several ", "pieces"]
HELD = {"chunks": PIECES, "hold_after": 2}
LANES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.create()
        yield cluster
    finally:
        cluster.kill9()


@pytest.fixture(scope="module")
def deployment(cluster: ValkeyCluster) -> Iterator[tuple[Production, ScriptedProvider]]:
    environment = {
        "EVENT_LOG_CLUSTER": ",".join(cluster.urls),
        "EVENT_LOG_CLUSTER_LANES": str(LANES),
    }
    with running_production(environment=environment) as deployment:
        yield deployment


def move_all_logs(cluster: ValkeyCluster) -> int:
    """Move every slot that holds a log to the next node; return how many there were."""
    moved = 0
    for slot in cluster.slots_of("log:*"):
        home = cluster.nodes.index(cluster.owner(slot))
        cluster.move(slot, cluster.nodes[(home + 1) % len(cluster.nodes)])
        moved += 1
    return moved


@pytest.mark.slow
def test_an_answer_streams_by_sse_while_its_slot_moves(
    cluster: ValkeyCluster, deployment: tuple[Production, ScriptedProvider]
) -> None:
    production, provider = deployment
    (token,) = production.make_people("sse", 1)
    provider.script(HELD)
    text = ""
    with Device(production.webs[0], token) as device:
        path = f"/conversations/{device.new_conversation()}/messages"
        with device.http.stream("POST", path, json={"content": "Hi"}) as response:
            buffer, kinds = b"", []
            for chunk in response.iter_bytes():
                *blocks, buffer = (buffer + chunk).split(b"\n\n")
                for frame in filter(None, map(decode_block, blocks)):
                    kinds.append(frame.event)
                    if frame.event in {"delta", "snapshot"}:
                        text = (text if frame.event == "delta" else "") + frame.data["text"]
                    if text == "".join(PIECES[:2]) and kinds[-1] == "delta":
                        assert move_all_logs(cluster)
                        provider.release()
    assert text == "".join(PIECES)
    assert kinds.count("done") == 1


def test_an_answer_streams_by_websocket_while_its_slot_moves(
    cluster: ValkeyCluster, deployment: tuple[Production, ScriptedProvider]
) -> None:
    production, provider = deployment
    (token,) = production.make_people("socket", 1)
    provider.script(HELD)
    text = ""
    with Device(production.webs[0], token) as device:
        conversation = device.new_conversation()
        with device.socket() as socket:
            socket.send(type="send", conversationId=conversation, content="Hi", clientId="one")
            while True:
                frame = json.loads(socket.connection.recv(timeout=30))
                if frame["type"] in {"delta", "snapshot"}:
                    text = (text if frame["type"] == "delta" else "") + frame["text"]
                    if text == "".join(PIECES[:2]) and frame["type"] == "delta":
                        assert move_all_logs(cluster)
                        provider.release()
                if frame["type"] in {"done", "failed", "error"}:
                    break
    assert frame["type"] == "done"
    assert text == "".join(PIECES)


def test_the_log_is_in_the_cluster_and_not_beside_it(
    cluster: ValkeyCluster, deployment: tuple[Production, ScriptedProvider]
) -> None:
    production, _ = deployment
    assert cluster.slots_of("log:*")
    with production.valkey.client() as client:
        assert client.keys("log:*") == []
