"""Where a cluster's lanes lie."""

from __future__ import annotations

from collections import Counter

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from chatbot.core.cluster import spread_tags


@pytest.mark.parametrize(("lanes", "nodes"), [(1, 1), (3, 3), (6, 3), (12, 4), (64, 16)])
def test_nodes_that_divide_the_slots_evenly_have_equally_many_lanes(lanes: int, nodes: int) -> None:
    slots = [key_slot(tag.encode()) for tag in spread_tags(lanes)]
    counts = Counter(slot * nodes // REDIS_CLUSTER_HASH_SLOTS for slot in slots)
    assert counts == dict.fromkeys(range(nodes), lanes // nodes)


def test_all_lanes_are_different_slots() -> None:
    assert len({key_slot(tag.encode()) for tag in spread_tags(256)}) == 256
