"""The channel layer: channels_redis's pub/sub, for a Redis that comes and goes.

channels_redis subscribes while a socket opens and waits for Redis inside one lock: with Redis
away no socket would open, and with a silent one each would wait behind the last. Here what a
process wants to hear is a set; one task makes Redis agree with it, on a new connection where the
old one broke, and a socket waits for that a moment at most. What Redis does not take is heard in
this process alone, as is everything where there is no Redis. What waits for one socket is bounded:
whoever falls behind is told that something was missed, in place of what it was; so is whoever
listened while the way from Redis was broken.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close
from django.conf import settings
from redis.asyncio.client import PubSub

from chatbot.core.redis import RedisAway, RedisPipeline, open_redis
from chatbot.core.stores import REDIS
from chatbot.core.tasks import spawn

# How long a socket that opens waits to be heard by other processes.
PATIENCE_S = 0.5
# A busy event loop looks to itself like a slow Redis: nobody waits, so this can be generous.
RING_TIMEOUT_S = 2.0
BEAT_S = 3.0
# Two beats without an answer, and something between: the connection leads nowhere.
SILENCE_S = 8.0
RECONNECT_S = 1.0
# A page takes a notice in a moment. One that this many wait for is better off reading anew, and a
# notice is a few hundred bytes, so that a socket nobody reads from costs some kilobytes.
MOST_WAITING = 64
# The type of the message in place of those that a channel had no room for.
MISSED = "notices.missed"


class Notices(asyncio.Queue[bytes]):
    """What waits for one socket; `missed` takes the place of everything once it is too much."""

    def __init__(self, missed: bytes) -> None:
        super().__init__()
        self._missed = missed

    def put_nowait(self, message: bytes) -> None:
        if self.qsize() < MOST_WAITING:
            super().put_nowait(message)
            return
        # Whoever reads anew after this learns of all that was, the newest included.
        while not self.empty():
            self.get_nowait()
        super().put_nowait(self._missed)


class Within:
    """Tells what is told in this process to this process, and to no other (a "shard")."""

    def __init__(self, layer: RedisPubSubLoopLayer) -> None:
        self._layer = layer

    async def subscribe(self, channel: str) -> None:
        """Nothing to do: the layer keeps who is in a group."""

    async def unsubscribe(self, channel: str) -> None:
        """Nothing to do, as for `subscribe`."""

    async def publish(self, channel: str, message: bytes) -> None:
        self._deliver(channel, message)

    async def flush(self) -> None:
        """Nothing to do: the layer forgets its groups itself."""

    def _deliver(self, channel: str, message: bytes) -> None:
        queues = self._layer.channels
        for name in self._layer.groups.get(channel, ()):
            if name in queues:
                queues[name].put_nowait(message)


class Subscriptions(Within):
    """What one event loop wants to hear from Redis, and its way to be heard (a "shard")."""

    def __init__(self, layer: RedisPubSubLoopLayer, missed: bytes) -> None:
        super().__init__(layer)
        self._missed = missed
        self._pipeline = RedisPipeline()
        self._wanted: dict[str, asyncio.Event] = {}
        # Channels that sockets listen for in vain: what is told meanwhile is missed.
        self._deaf: set[str] = set()
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def subscribe(self, channel: str) -> None:
        """Want a channel; returns once it is heard, or a moment later."""
        is_heard = self._wanted.setdefault(channel, asyncio.Event())
        self._changed.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = spawn(self._keep(), name="channel layer")
        if is_heard.is_set():
            return
        if REDIS.is_noted:
            self._deaf.add(channel)
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await is_heard.wait()
        except TimeoutError:
            self._deaf.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        if self._wanted.pop(channel, None):
            self._deaf.discard(channel)
            self._changed.set()

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell all processes, or this one alone while Redis is away; returns at once."""
        if REDIS.may_try():
            _ = spawn(self._ring(channel, message), name="notice")
        else:
            self._deliver(channel, message)

    async def _ring(self, channel: str, message: bytes) -> None:
        try:
            async with asyncio.timeout(RING_TIMEOUT_S):
                await self._pipeline.ask("PUBLISH", channel, message)
        except RedisAway as exc:
            REDIS.note_failure(exc)
            self._deliver(channel, message)
        else:
            REDIS.note_answer()

    async def flush(self) -> None:
        """Forget everything and close the connections."""
        self._wanted.clear()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        await self._pipeline.aclose()

    async def _keep(self) -> None:
        while True:
            try:
                await self._hear()
            except* RedisAway as lost:
                REDIS.note_failure(lost.exceptions[0])
            self._deaf.update(self._wanted)
            for is_heard in self._wanted.values():
                is_heard.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self) -> None:
        """Hear what is wanted on one connection, until it breaks."""
        async with aclosing(open_redis()) as client, client.pubsub() as pubsub:
            await pubsub.connect()
            REDIS.note_answer()
            async with asyncio.TaskGroup() as connection:
                connection.create_task(self._read(pubsub))
                connection.create_task(self._agree(pubsub))

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            response = await pubsub.parse_response(block=False, timeout=SILENCE_S)
            if response is None:
                raise TimeoutError
            message = await pubsub.handle_message(response)  # type: ignore[no-untyped-call]
            channel = message["channel"].decode() if message["channel"] else ""
            if message["type"] == "message":
                self._deliver(channel, message["data"])
            elif message["type"] == "subscribe" and channel in self._wanted:
                self._wanted[channel].set()
                if channel in self._deaf:
                    self._deaf.remove(channel)
                    self._deliver(channel, self._missed)

    async def _agree(self, pubsub: PubSub) -> None:
        """Make Redis send what is wanted and nothing else; ask now and then whether it lives."""
        agreed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._wanted)
            if added := wanted - agreed:
                await pubsub.subscribe(*added)
            if dropped := agreed - wanted:
                await pubsub.unsubscribe(*dropped)
            agreed = wanted
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                await pubsub.ping()


class _LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The groups and queues of one event loop."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._missed = self.channel_layer.serialize({"type": MISSED})
        is_shared = bool(settings.REDIS_URL)
        self._shards = [Subscriptions(self, self._missed) if is_shared else Within(self)]

    async def _subscribe_to_channel(self, channel: str) -> None:
        # Only groups are rung; one socket's own channel is nobody else's business.
        self.channels[channel] = Notices(self._missed)


class PatientChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Groups across processes over Redis, or within one while it is away; never raises for it."""

    def _get_layer(self) -> _LoopLayer:
        loop = asyncio.get_running_loop()
        layer: _LoopLayer | None = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = _LoopLayer(channel_layer=self)
            _wrap_close(self, loop)
        return layer
