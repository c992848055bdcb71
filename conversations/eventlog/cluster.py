"""The event log in a Redis Cluster: its logs divided among a fixed number of lanes.

A lane is a hash tag and so a slot: what is read together lies together. Each works for itself as
one server's log does, at whichever node its slot is, and is away by itself.
"""

from __future__ import annotations

from django.conf import settings

from chatbot.core.cluster import Cluster, spread_tags
from conversations.eventlog.base import StreamKey
from conversations.eventlog.follower import Follower
from conversations.eventlog.keys import Lane
from conversations.eventlog.redis import RedisEventLog
from conversations.eventlog.ticker import TickedWriter
from conversations.events import START, Cursor, Event


class ClusterEventLog:
    def __init__(self, *, retention_s: float | None = None) -> None:
        self._cluster = Cluster(settings.EVENT_LOG_CLUSTER)
        tags = spread_tags(settings.EVENT_LOG_CLUSTER_LANES)
        lanes = [Lane(self._cluster.place(tag), tag, len(tags)) for tag in tags]
        self._logs = [RedisEventLog(retention_s=retention_s, lane=lane) for lane in lanes]

    def lane_of(self, key: StreamKey) -> RedisEventLog:
        """Return the part that holds a log; a conversation's are all in the same."""
        return self._logs[key.conversation_id.int % len(self._logs)]

    def name_of(self, key: StreamKey) -> str:
        """Return the key in the cluster that holds a log."""
        return self.lane_of(key).name_of(key)

    def writer(self, key: StreamKey, attempt: int) -> TickedWriter:
        return self.lane_of(key).writer(key, attempt)

    async def append(self, key: StreamKey, event: Event) -> None:
        await self.lane_of(key).append(key, event)

    async def read(self, key: StreamKey, after: Cursor = START) -> list[Event]:
        return await self.lane_of(key).read(key, after)

    def follow(self, key: StreamKey, after: Cursor, *, is_new: bool = False) -> Follower:
        return self.lane_of(key).follow(key, after, is_new=is_new)

    async def delete(self, key: StreamKey) -> None:
        await self.lane_of(key).delete(key)

    async def aclose(self) -> None:
        for log in self._logs:
            await log.aclose()
        await self._cluster.aclose()
