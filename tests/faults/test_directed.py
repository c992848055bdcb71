"""Faults at chosen moments, where a drawn one would seldom fall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.fakes.choosing import tagged
from tests.faults.checker import check_answer
from tests.faults.cluster import LEASE_S, RETENTION_S, Cluster, running_cluster
from tests.faults.people import Person, new_life, read_stream
from tests.faults.plaintext import find_plaintext
from tests.faults.proxy import Proxy
from tests.faults.record import Answer, Life, Stored, StoredGeneration
from tests.faults.rounds import Arena
from tests.production import HOSTED

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

LOCAL = "smollm2-135m"
TOKENS = [
    "The ",
    *(f"w{number} " for number in range(20)),
    *(["Grüße 👩", "\u200d👧\r\n"] * 9),
    ".",
]
TEXT = "".join(TOKENS)
# From the death of a worker to text again: the lease, and the other's looking for what lapsed.
RECOVERY_S = LEASE_S + 2.0
# Another program on the machine can make one round late. A defect makes each of them late.
RECOVERIES = 3
OUTAGE_S = 2 * LEASE_S
ANSWERS = 10
STOP_S = 0.5
STOPS = 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena() -> AsyncIterator[Arena]:
    # Nobody here is too slow: answers are held for as long as a test takes.
    patience = {"FIRST_TOKEN_TIMEOUT_S": "120", "TOKEN_TIMEOUT_S": "120"}
    async with running_cluster(patience) as cluster:
        arena = await Arena.open(cluster, people=len(TOKENS) + 1)
        yield arena
        await arena.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(arena: Arena) -> AsyncIterator[Cluster]:
    """The cluster, whole again whatever the test before did to it."""
    await mend(arena.cluster)
    yield arena.cluster


async def mend(cluster: Cluster) -> None:
    for server in cluster.production.servers:
        if not server.is_alive:
            await asyncio.to_thread(server.start)
    await asyncio.to_thread(cluster.provider.reset)


async def until(is_so: Callable[[], bool], *, within_s: float) -> float:
    """Return after how many seconds it was so. Raises TimeoutError."""
    clock = asyncio.get_running_loop().time
    start = clock()
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - other processes make it so
            await asyncio.sleep(0.005)
    return clock() - start


@dataclass(slots=True)
class Watched:
    """One message, and one person who reads its answer as it comes."""

    person: Person
    answer: Answer
    life: Life
    reading: asyncio.Task[str]

    @property
    def generation_id(self) -> str:
        return self.answer.accepted[0]


@dataclass(slots=True)
class Audience:
    """People who read one answer each until their task group ends."""

    arena: Arena
    group: asyncio.TaskGroup
    watched: list[Watched] = field(default_factory=list)

    async def ask(
        self, courses: list[list[dict[str, Any]]], *, model: str = LOCAL, text: str = TEXT
    ) -> list[Watched]:
        """Send a message for each course of scripts, all at once."""
        people = await self.arena.enter(len(courses), name="directed")
        scripts = {
            f"{person.conversation_id}": course
            for person, course in zip(people, courses, strict=True)
        }
        await asyncio.to_thread(self.arena.cluster.provider.script_tags, scripts)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(person, model, text)) for person in people]
        self.watched += [task.result() for task in asked]
        return self.watched[-len(courses) :]

    async def _ask(self, person: Person, model: str, text: str) -> Watched:
        tag = person.conversation_id
        answer = Answer(tag, text, person.user, person.conversation_id)
        question = tagged("Tell me, please.", tag)
        generation_id, stream = await person.client.send(
            "sse", 0, person.conversation_id, question, model, tag
        )
        assert stream is not None
        answer.accepted.append(generation_id)
        life = new_life(answer, "reader")
        reading = self.group.create_task(read_stream(stream, life, "sse", None))
        return Watched(person, answer, life, reading)

    async def check(self) -> dict[str, StoredGeneration]:
        """Judge every answer once it has been read; return what is stored."""
        stored = {}
        conversations = [one.person.conversation_id for one in self.watched]
        rows = await self.arena.cluster.inspector.call(
            "read_conversations", conversations=conversations
        )
        for one in self.watched:
            (generation,) = rows["generations"][one.answer.tag]
            stored[one.answer.tag] = StoredGeneration(**generation)
            questions = rows["questions"][one.answer.tag]
            found = check_answer(one.answer, Stored([stored[one.answer.tag]], questions))
            assert not found, "\n".join([*map(str, found), one.answer.describe()])
        return stored


def held_at_every_token() -> list[list[dict[str, Any]]]:
    """Return a course for each token: the first call waits there, the next one says the rest."""
    whole = {"chunks": TOKENS, "token_ms": 2}
    return [[{**whole, "hold_after": kept}, whole] for kept in range(len(TOKENS) + 1)]


async def reach_every_token(audience: Audience, cluster: Cluster, model: str) -> list[Watched]:
    """Let the first worker alone write all answers, each to another token."""
    first, second = cluster.production.workers
    await asyncio.to_thread(second.terminate)
    watched = await audience.ask(held_at_every_token(), model=model)
    for kept, one in enumerate(watched):
        shown = "".join(TOKENS[:kept])
        await until(lambda one=one, shown=shown: one.life.text == shown, within_s=20)  # type: ignore[misc]
    await asyncio.to_thread(second.start)
    assert first.is_alive
    return watched


async def wait_for_takeover(watched: list[Watched], *, within_s: float) -> float:
    """Return after how long everybody was shown more: what follows `started` and `snapshot`."""
    return await until(lambda: all(one.life.cursor >= (2, 3) for one in watched), within_s=within_s)


async def recover_in_time(cluster: Cluster, recover: Callable[[], Awaitable[float]]) -> None:
    """Have text flow again within the promised time, which `recover` measures."""
    took_s = [await recover()]
    while took_s[-1] > RECOVERY_S and len(took_s) < RECOVERIES:
        await mend(cluster)
        took_s.append(await recover())
    assert min(took_s) <= RECOVERY_S, took_s


@pytest.mark.parametrize("model", [LOCAL, HOSTED])
async def test_a_worker_killed_at_any_token_costs_no_character(
    arena: Arena, cluster: Cluster, model: str
) -> None:
    async def recover() -> float:
        async with asyncio.TaskGroup() as group:
            audience = Audience(arena, group)
            watched = await reach_every_token(audience, cluster, model)
            cluster.production.workers[0].kill9()
            took_s = await wait_for_takeover(watched, within_s=30)
        stored = await audience.check()
        assert {(one.state, one.attempt) for one in stored.values()} == {("completed", 2)}
        return took_s

    await recover_in_time(cluster, recover)


async def test_a_worker_that_comes_back_too_late_writes_nothing(
    arena: Arena, cluster: Cluster
) -> None:
    async def recover() -> float:
        stale = cluster.production.workers[0]
        async with asyncio.TaskGroup() as group:
            audience = Audience(arena, group)
            watched = await reach_every_token(audience, cluster, LOCAL)
            stale.pause()
            try:
                took_s = await wait_for_takeover(watched, within_s=30)
                await until(lambda: all(one.life.is_over for one in watched), within_s=30)
            finally:
                stale.resume()
            # Now the streams that it still holds go on, and it with them.
            await asyncio.to_thread(cluster.provider.release)
        await until(lambda: cluster.provider.totals()["open"] == 0, within_s=20)
        stored = await audience.check()
        assert {(one.state, one.attempt) for one in stored.values()} == {("completed", 2)}
        # Whoever comes now finds the same.
        async with asyncio.TaskGroup() as group:
            for one in watched:
                life = new_life(one.answer, "comes later")
                stream = await one.person.client.resume("sse", 1, one.generation_id, "0-0")
                assert stream is not None
                group.create_task(read_stream(stream, life, "sse", None))
        await audience.check()
        return took_s

    await recover_in_time(cluster, recover)


@pytest.mark.parametrize("begin", [Proxy.refuse, Proxy.stall])
async def test_an_outage_longer_than_a_lease_takes_no_answer_from_its_worker(
    arena: Arena, cluster: Cluster, begin: Callable[[Proxy], None]
) -> None:
    database = cluster.links.worker_postgres
    async with asyncio.TaskGroup() as group:
        audience = Audience(arena, group)
        watched = await audience.ask([[{"chunks": TOKENS, "hold_after": 3}]] * ANSWERS)
        shown = "".join(TOKENS[:3])
        for one in watched:
            await until(lambda one=one: one.life.text == shown, within_s=10)  # type: ignore[misc]
        begin(database)
        try:
            # Whole in memory, while nobody can store it.
            await asyncio.to_thread(cluster.provider.release)
            await until(lambda: cluster.provider.totals()["open"] == 0, within_s=20)
            await asyncio.sleep(OUTAGE_S)
        finally:
            database.open()
    stored = await audience.check()
    assert {(one.state, one.attempt) for one in stored.values()} == {("completed", 1)}
    requests = await asyncio.to_thread(cluster.provider.requests)
    for one in watched:
        assert len([seen for seen in requests if one.answer.tag in seen["raw"]]) == 1


async def wait_until_closed(cluster: Cluster, tag: str) -> None:
    """Return once the provider has seen the newest request of a tag closed."""
    async with asyncio.timeout(10):
        while True:
            requests = await asyncio.to_thread(cluster.provider.requests)
            states = [one["state"] for one in requests if tag in one["raw"]]
            if states and states[-1] == "closed_early":
                return
            await asyncio.sleep(0.005)


async def stop_and_time(cluster: Cluster, one: Watched) -> float:
    """Stop an answer by the other web process; return when its provider's stream was closed."""
    clock = asyncio.get_running_loop().time
    start = clock()
    one.answer.is_stop_asked = True
    async with asyncio.TaskGroup() as group:
        group.create_task(one.person.client.stop(1, one.generation_id))
        group.create_task(wait_until_closed(cluster, one.answer.tag))
    return clock() - start


async def test_a_stop_by_another_web_process_reaches_the_provider(
    arena: Arena, cluster: Cluster
) -> None:
    times = []
    for _ in range(STOPS):
        async with asyncio.TaskGroup() as group:
            audience = Audience(arena, group)
            (one,) = await audience.ask([[{"chunks": TOKENS, "hold_after": 3}]])
            shown = "".join(TOKENS[:3])
            await until(lambda one=one, shown=shown: one.life.text == shown, within_s=10)  # type: ignore[misc]
            times.append(await stop_and_time(cluster, one))
        (stored,) = (await audience.check()).values()
        assert (stored.state, stored.text) == ("stopped", shown)
    assert max(times) <= STOP_S, times


async def test_a_stop_right_after_a_takeover_reaches_the_provider(
    arena: Arena, cluster: Cluster
) -> None:
    held = {"chunks": TOKENS, "hold_after": 3}
    # The rest is asked for from the end of a word: the space after it is the first thing said.
    begun, shown = "".join(TOKENS[:3]), "".join(TOKENS[:5])
    async with asyncio.TaskGroup() as group:
        audience = Audience(arena, group)
        watched = await audience.ask([[held, held]] * STOPS)
        for one in watched:
            await until(lambda one=one: one.life.text == begun, within_s=10)  # type: ignore[misc]
        for worker in cluster.production.workers:
            worker.kill9()
        await asyncio.to_thread(cluster.production.workers[0].start)
        await wait_for_takeover(watched, within_s=30)
        for one in watched:
            await until(lambda one=one: one.life.text == shown, within_s=10)  # type: ignore[misc]
        times = [await stop_and_time(cluster, one) for one in watched]
    assert max(times) <= STOP_S, times
    stored = await audience.check()
    assert {(one.state, one.text) for one in stored.values()} == {("stopped", shown)}


async def test_one_send_tried_many_times_at_once_is_one_message(
    arena: Arena, cluster: Cluster
) -> None:
    people = await arena.enter(20, name="same")
    for person in people:
        sends = []
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                send = person.client.send(
                    "json", number, person.conversation_id, "Once", LOCAL, person.conversation_id
                )
                sends.append(group.create_task(send))
        assert len({send.result()[0] for send in sends}) == 1


async def test_a_log_is_gone_soon_after_its_answer(arena: Arena, cluster: Cluster) -> None:
    def logs(generation_id: str) -> list[Any]:
        with cluster.production.valkey.client() as client:
            return list(client.scan_iter(f"*{generation_id}*", count=1000))

    async with asyncio.TaskGroup() as group:
        audience = Audience(arena, group)
        (one,) = await audience.ask([[{"chunks": TOKENS, "hold_after": 3}]])
        await until(lambda: bool(one.life.text), within_s=10)
        assert logs(one.generation_id)
        await asyncio.to_thread(cluster.provider.release)
    await until(lambda: not logs(one.generation_id), within_s=RETENTION_S + 3)
    life = new_life(one.answer, "comes later")
    stream = await one.person.client.resume("sse", 1, one.generation_id, "0-0")
    assert stream is not None
    await read_stream(stream, life, "sse", None)
    assert [seen.event for seen in life.connections[0].events] == ["snapshot", "done"]
    await audience.check()


SAID = "Geheimnis 👩‍👩‍👧 der Königin"
CONTROL = "Nicht geheim 👩‍👩‍👧, die Königin weiß es"


def dump_stores(cluster: Cluster) -> bytes:
    """Return everything that the two stores have on disk, and a logical dump."""
    postgres, valkey = cluster.production.postgres, cluster.production.valkey
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS control (said text)")
        connection.execute("INSERT INTO control VALUES (%s)", [CONTROL])
        connection.execute("CHECKPOINT")
    with valkey.client() as client:
        client.config_set("rdbcompression", "no")
        client.set("control", CONTROL)
        client.save()
    dump = postgres.dump()
    files = [path.read_bytes() for path in postgres.folder.rglob("*") if path.is_file()]
    assert find_plaintext(b"".join(files), CONTROL)
    assert find_plaintext(dump, CONTROL)
    assert find_plaintext(valkey.dump.read_bytes(), CONTROL)
    return b"".join([*files, dump, valkey.dump.read_bytes()])


async def test_raw_dumps_taken_while_answers_stream_show_nothing_said(
    arena: Arena, cluster: Cluster
) -> None:
    chunks = [f"{SAID} ", "and more ", f"{SAID}!"]
    text = "".join(chunks)
    async with asyncio.TaskGroup() as group:
        audience = Audience(arena, group)
        scripts = [[{"chunks": chunks, "hold_after": 2}]] * 5
        watched = await audience.ask(scripts, text=text)
        for one in watched:
            await until(lambda one=one: SAID in one.life.text, within_s=10)  # type: ignore[misc]
        during = await asyncio.to_thread(dump_stores, cluster)
        await asyncio.to_thread(cluster.provider.release)
    await audience.check()
    after = await asyncio.to_thread(dump_stores, cluster)
    for dump in (during, after):
        assert find_plaintext(dump, SAID) == []
        # What everybody asked.
        assert find_plaintext(dump, "Tell me, please.") == []
