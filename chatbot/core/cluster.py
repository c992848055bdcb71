"""Which node of a Redis (or Valkey) Cluster a slot is found at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError as RedisConnectionError, RedisClusterException

from chatbot.core.redis import CONNECT_TIMEOUT_S
from chatbot.core.tasks import spawn

# A node that accepts a connection and says nothing is passed over, and the next one asked.
LOOK_TIMEOUT_S = 1.0
# Many lines lose their node at once: they look together, and not again at once.
LOOK_EVERY_S = 0.1


@cache
def spread_tags(count: int) -> tuple[str, ...]:
    """Return as many hash tags, their slots spread evenly over all there are.

    The same number gives the same tags everywhere. Each lies in the middle half of its share of
    the slots, so that nodes which divide the slots evenly have equally many.
    """
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        tag = f"c{number}"
        share, rest = divmod(key_slot(tag.encode()) * count, REDIS_CLUSTER_HASH_SLOTS)
        if abs(2 * rest - REDIS_CLUSTER_HASH_SLOTS) <= REDIS_CLUSTER_HASH_SLOTS // 2:
            found.setdefault(share, tag)
        number += 1
    return tuple(found[share] for share in range(count))


class Cluster:
    """The cluster's map as it was last seen; a line that fails has it looked up again."""

    def __init__(self, urls: Sequence[str]) -> None:
        first, *others = urls
        nodes = [parse_url(url) for url in others]
        known = [ClusterNode(node["host"], node.get("port", 6379)) for node in nodes]
        # For its map and its way of connecting only: lines have their connections themselves.
        client: RedisCluster = RedisCluster.from_url(
            first,
            startup_nodes=known,
            # What a node serves is served, whatever became of the others.
            require_full_coverage=False,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=LOOK_TIMEOUT_S,
            protocol=2,
        )
        self._nodes = client.nodes_manager
        # The nodes that were found last may all be gone one day.
        self._given = [(str(node.host), int(node.port)) for node in client.startup_nodes]
        self._is_doubted = True
        self._looked_at = float("-inf")
        self._look: asyncio.Task[str] | None = None

    def place(self, tag: str) -> ClusterPlace:
        """Return where the keys with this hash tag are."""
        return ClusterPlace(self, key_slot(tag.encode()))

    def doubt(self) -> None:
        """Look the map up before it is used again."""
        self._is_doubted = True

    async def connection_to(self, slot: int) -> AbstractConnection:
        """Return a new connection, not yet made, to the node that a slot is written at.

        Raises redis-py's ConnectionError when no node can tell, or none has the slot.
        """
        is_recent = asyncio.get_running_loop().time() < self._looked_at + LOOK_EVERY_S
        look = self._look if self._look is not None and not self._look.done() else None
        if look is None and self._is_doubted and not is_recent:
            look = self._look = spawn(self._look_up(), name="redis cluster map")
        # One that gives up waiting leaves the look to the others.
        if look is not None and (problem := await asyncio.shield(look)):
            raise RedisConnectionError(problem)
        try:
            node = self._nodes.get_node_from_slot(slot)
        except (KeyError, RedisClusterException) as exc:
            raise RedisConnectionError("No node has the slot.") from exc
        arguments: dict[str, Any] = {**node.connection_kwargs, "socket_timeout": None}
        return node.connection_class(**arguments)

    async def aclose(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait([self._look])
        await self._disconnect()

    async def _look_up(self) -> str:
        """Refresh the map; return what hindered it."""
        self._is_doubted = False
        try:
            await self._nodes.initialize(additional_startup_nodes_info=self._given)
        except (IndexError, RedisClusterException):
            # Nobody answers, or those who do belong to no cluster.
            self._is_doubted = True
            return "No node of the cluster tells where the slots are."
        finally:
            self._looked_at = asyncio.get_running_loop().time()
            await self._disconnect()
        return ""

    async def _disconnect(self) -> None:
        await self._nodes.aclose()
        await self._nodes.aclose("startup_nodes")


class ClusterPlace:
    """Where one slot is, at whichever node that may be."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot

    async def connection(self) -> AbstractConnection:
        return await self._cluster.connection_to(self._slot)

    def doubt(self) -> None:
        self._cluster.doubt()
