"""The slots in Redis are those in memory, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from chatbot.core.stores import Absence
from llm.admission.memory import MemorySlots
from llm.admission.redis import SCRIPT_SHA, RedisSlots
from llm.admission.slots import Ask, Lane, Quota, Refusal, Rules, SlotsAway, Wish
from tests.stores import Valkey

LEASE_MS = 60_000


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("slots"))
    valkey.start()
    yield valkey
    valkey.kill9()


@pytest.fixture
def slots(valkey: Valkey) -> Iterator[RedisSlots]:
    if not valkey.is_alive:
        valkey.start()
    with valkey.client() as client:
        yield RedisSlots(client, Absence("Redis", memory_s=0))


some = st.integers(0, 12)
rates = st.one_of(st.none(), st.integers(1, 100_000))
rules = st.builds(
    Rules,
    ceiling=st.one_of(st.none(), st.integers(1, 50)),
    requests_per_minute=rates,
    tokens_per_minute=rates,
)
quotas = st.one_of(
    st.none(),
    st.builds(
        Quota,
        requests_per_minute=rates,
        requests_left=rates,
        tokens_per_minute=rates,
        tokens_left=rates,
    ),
)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """Draw what a worker says of a lane; slots are of few names, so that they meet again."""
    plain = st.lists(st.integers(0, 20).map(str), max_size=20, unique=True)
    names = st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 20)).map("{0[0]}:{0[1]}".format),
        max_size=20,
        unique=True,
    )
    numbers = st.integers(0, 60)
    retry_ms = st.one_of(st.none(), st.integers(0, 90_000))
    tokens = st.integers(0, 5_000)
    return Ask(
        lane=Lane("drawn", draw(rules)),
        take=[Wish(name, draw(tokens)) for name in draw(plain)],
        renew=draw(names),
        release=draw(names),
        accepted=draw(st.lists(numbers, max_size=20)),
        refused=[Refusal(draw(numbers), draw(retry_ms)) for _ in range(draw(st.integers(0, 3)))],
        held_ms=draw(st.lists(st.integers(1, 30_000), max_size=3)),
        tokens_back=draw(tokens),
        quota=draw(quotas),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=st.lists(asks(), min_size=1, max_size=12))
def test_redis_and_memory_give_the_same(slots: RedisSlots, course: list[Ask]) -> None:
    now_ms = 0
    memory = MemorySlots(clock=lambda: now_ms)
    name = uuid4().hex
    for number, ask in enumerate(course):
        # No slot is taken twice, nor renewed before it was taken.
        renewed = [name for name in ask.renew if int(name.split(":")[0]) < number]
        wishes = [Wish(f"{number}:{wish.slot}", wish.tokens) for wish in ask.take]
        asked = replace(ask, lane=Lane(name, ask.lane.rules), take=wishes, renew=renewed)
        (view,) = slots.exchange([asked], lease_ms=LEASE_MS)
        # The server's clock is the one that counts.
        now_ms = view.now_ms
        (expected,) = memory.exchange([asked], lease_ms=LEASE_MS)
        assert view == expected


def test_several_lanes_are_answered_at_once_and_apart(slots: RedisSlots) -> None:
    one, other = Lane(uuid4().hex, Rules(ceiling=1)), Lane(uuid4().hex)
    wishes = [Wish("a"), Wish("b")]
    views = slots.exchange([Ask(one, take=wishes), Ask(other, take=wishes)], lease_ms=LEASE_MS)
    assert [view.in_flight for view in views] == [1, 2]
    assert views[1].granted == (1, 2)


def test_all_workers_together_hold_no_more_than_the_limit(slots: RedisSlots) -> None:
    lane = Lane(uuid4().hex, Rules(ceiling=5))
    granted = 0
    for worker in range(4):
        wishes = [Wish(f"{worker}:{number}") for number in range(3)]
        (view,) = slots.exchange([Ask(lane, take=wishes)], lease_ms=LEASE_MS)
        granted += len(view.granted)
    assert granted == 5


def test_scripts_that_the_server_lost_are_brought_again(slots: RedisSlots, valkey: Valkey) -> None:
    lane = Lane(uuid4().hex)
    slots.exchange([Ask(lane)], lease_ms=LEASE_MS)
    with valkey.client() as client:
        assert client.script_exists(SCRIPT_SHA) == [True]
        client.script_flush()
    (view,) = slots.exchange([Ask(lane, take=[Wish("a")])], lease_ms=LEASE_MS)
    assert view.in_flight == 1


def test_a_role_is_one_process_s_until_its_lease_is_over(slots: RedisSlots, valkey: Valkey) -> None:
    role = uuid4().hex
    assert slots.hold_role(role, "one", lease_ms=LEASE_MS)
    assert slots.hold_role(role, "one", lease_ms=LEASE_MS)
    assert not slots.hold_role(role, "other", lease_ms=LEASE_MS)
    with valkey.client() as client:
        client.pexpire(f"admission:role:{role}", 0)
    assert slots.hold_role(role, "other", lease_ms=LEASE_MS)


def test_what_is_published_is_read_by_all(slots: RedisSlots) -> None:
    name = uuid4().hex
    assert slots.read(name) is None
    slots.publish(name, b"busy", keep_ms=LEASE_MS)
    assert slots.read(name) == b"busy"


def test_a_server_that_is_gone_is_said_to_be_away(slots: RedisSlots, valkey: Valkey) -> None:
    valkey.kill9()
    with pytest.raises(SlotsAway):
        slots.exchange([Ask(Lane("any"))], lease_ms=LEASE_MS)
    with pytest.raises(SlotsAway):
        slots.read("any")
