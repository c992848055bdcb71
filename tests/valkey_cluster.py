"""A real Valkey Cluster on the loopback, whose nodes can be killed and whose slots move."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from tests.processes import LOOK_EVERY_S, ProcessFailed, free_port
from tests.stores import Valkey

NODES = 3
# A node is looked upon as gone after this, by the others and by itself.
NODE_TIMEOUT_MS = "1000"
AGREE_TIMEOUT_S = 30.0


class ValkeyCluster:
    """Three nodes without replicas that divide the slots evenly, each on a port that stays.

    What is said of one server can be said of it: it is flushed, saved, killed and started whole.
    """

    def __init__(self, folder: Path, *, options: Mapping[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        own = {"cluster-enabled": "yes", "cluster-node-timeout": NODE_TIMEOUT_MS}
        # One node's trouble is one node's: what the others hold is served.
        own |= {"cluster-require-full-coverage": "no", **(options or {})}
        self.nodes = []
        for number in range(NODES):
            # The bus need not be the usual 10,000 above, where there may be no port.
            ports = {"cluster-port": str(free_port())}
            self.nodes.append(Valkey(folder / f"node{number}", options={**own, **ports}))

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def create(self) -> None:
        """Start the nodes for the first time and make them a cluster."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_ready()
        for number, node in enumerate(self.nodes):
            first, end = (n * REDIS_CLUSTER_HASH_SLOTS // NODES for n in (number, number + 1))
            ask(node, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            # Nodes that meet with the same epoch would have to settle that first.
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            bus = node.options["cluster-port"]
            ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        self.wait_until_agreed()

    def start(self) -> None:
        """Start what does not run, and return once everything is served again."""
        down = [node for node in self.nodes if not node.is_alive]
        for node in down:
            node.launch()
        for node in down:
            node.wait_until_ready()
        self.wait_until_agreed()

    @property
    def is_alive(self) -> bool:
        return all(node.is_alive for node in self.nodes)

    def kill9(self) -> None:
        for node in self.nodes:
            node.kill9()

    def flush(self) -> None:
        for node in self.nodes:
            node.flush()

    def save(self) -> None:
        for node in self.nodes:
            node.save()

    def saved(self) -> bytes:
        return b"".join(node.saved() for node in self.nodes)

    def client(self) -> redis.RedisCluster:
        return redis.RedisCluster(host="127.0.0.1", port=self.nodes[0].port, socket_timeout=10)

    def owner(self, slot: int) -> Valkey:
        """Return the node that serves a slot."""
        port = next(
            row[2][1] for row in ask(self.nodes[0], "CLUSTER", "SLOTS") if row[0] <= slot <= row[1]
        )
        return next(node for node in self.nodes if node.port == port)

    def move(
        self, slot: int, target: Valkey, *, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Move a slot as a resharding does, with what is in it.

        Its keys have moved and the nodes still refer to each other (ASK) when `meanwhile` is
        called.
        """
        source = self.owner(slot)
        source_id, target_id = (ask(node, "CLUSTER", "MYID") for node in (source, target))
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        if meanwhile is not None:
            meanwhile()
        for node in (target, source, *self.nodes):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def wait_until_agreed(self) -> None:
        """Return once every node serves and knows every other. Raises ProcessFailed."""
        deadline = time.monotonic() + AGREE_TIMEOUT_S
        while not all(self._is_settled(node) for node in self.nodes):
            if time.monotonic() > deadline:
                logs = "\n".join(node.log.read_text()[-2000:] for node in self.nodes)
                raise ProcessFailed(f"The nodes did not agree:\n{logs}")
            time.sleep(LOOK_EVERY_S)

    def _is_settled(self, node: Valkey) -> bool:
        said = ask(node, "CLUSTER", "INFO")
        lines = dict(line.split(":", 1) for line in said.decode().split("\r\n") if ":" in line)
        is_whole = lines["cluster_slots_ok"] == str(REDIS_CLUSTER_HASH_SLOTS)
        has_all = lines["cluster_known_nodes"] == str(NODES)
        return is_whole and has_all and lines["cluster_state"] == "ok"


def ask(node: Valkey, *command: Any) -> Any:
    """Return what one node says, as it says it."""
    with node.client() as client:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            client.connection_pool.release(connection)
