"""A real Valkey Cluster on the loopback, whose nodes can be killed and whose slots move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.processes import LOOK_EVERY_S, ProcessFailed, free_port
from tests.stores import Valkey

NODES = 3
# A node is looked upon as gone after this, by the others and by itself.
NODE_TIMEOUT_MS = "1000"
AGREE_TIMEOUT_S = 30.0


class ValkeyCluster:
    """Three nodes that divide the slots evenly, each on a port that stays.

    What is said of one server can be said of it: it is flushed, saved, killed and started whole.
    """

    def __init__(self, folder: Path, *, options: Mapping[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        own = {"cluster-enabled": "yes", "cluster-node-timeout": NODE_TIMEOUT_MS}
        # A replica does not wait for others that might want a copy too.
        own |= {"repl-diskless-sync-delay": "0"}
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
            self._introduce(node)
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
        """Return the node that serves a slot, as the first one that lives has it."""
        living = next(node for node in self.nodes if node.is_alive)
        rows = ask(living, "CLUSTER", "SLOTS")
        port = next(row[2][1] for row in rows if row[0] <= slot <= row[1])
        return next(node for node in self.nodes if node.port == port)

    def slots_of(self, pattern: str) -> set[int]:
        """Return the slots in which there are keys that match."""
        return {key_slot(key) for node in self.nodes for key in ask(node, "KEYS", pattern)}

    def move(self, slot: int, target: Valkey) -> None:
        """Move a slot to another node as a resharding does, with what is in it."""
        with self.moving(slot, target):
            pass

    @contextmanager
    def moving(self, slot: int, target: Valkey) -> Iterator[None]:
        """Move a slot; inside, its keys have moved and its nodes refer to each other (ASK)."""
        source = self.owner(slot)
        source_id, target_id = (ask(node, "CLUSTER", "MYID") for node in (source, target))
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        yield
        others = [node for node in self.nodes if node not in (source, target)]
        for node in (target, source, *others):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def add_replica(self, node: Valkey) -> Valkey:
        """Return a further node once it has what `node` has, and takes over from it."""
        number = len(self.nodes)
        options = {**node.options, "cluster-port": str(free_port())}
        replica = Valkey(node.folder.parent / f"node{number}", options=options)
        self.nodes.append(replica)
        replica.start()
        self._introduce(replica)
        self.wait_until_agreed()
        ask(replica, "CLUSTER", "REPLICATE", ask(node, "CLUSTER", "MYID"))
        self._wait(lambda: b"master_link_status:up" in ask(replica, "INFO", "replication"))
        return replica

    def wait_until_copied(self, node: Valkey, replica: Valkey) -> None:
        """Return once a replica has all that its node has now."""
        goal = _offset(node, "master_repl_offset")
        self._wait(lambda: _offset(replica, "slave_repl_offset") >= goal)

    def wait_until_agreed(self) -> None:
        """Return once every node serves and knows every other. Raises ProcessFailed."""
        self._wait(lambda: all(self._is_settled(node) for node in self.nodes))

    def _wait(self, has_come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + AGREE_TIMEOUT_S
        while not has_come():
            if time.monotonic() > deadline:
                logs = "\n".join(node.log.read_text()[-2000:] for node in self.nodes)
                raise ProcessFailed(f"The nodes did not agree:\n{logs}")
            time.sleep(LOOK_EVERY_S)

    def _introduce(self, node: Valkey) -> None:
        bus = node.options["cluster-port"]
        ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)

    def _is_settled(self, node: Valkey) -> bool:
        said: bytes = ask(node, "CLUSTER", "INFO")
        lines = dict(line.split(":", 1) for line in said.decode().split("\r\n") if ":" in line)
        is_whole = lines["cluster_slots_ok"] == str(REDIS_CLUSTER_HASH_SLOTS)
        has_all = lines["cluster_known_nodes"] == str(len(self.nodes))
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


def _offset(node: Valkey, name: str) -> int:
    with node.client() as client:
        return int(client.info("replication")[name])
