"""Whatever is done to a log afterwards is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chatbot.audit.chain import NOTHING, Link, find_faults, signing_key

KEYS = {"old": signing_key(b"o" * 32), "new": signing_key(b"n" * 32)}
Signed = list[tuple[Link, bytes]]


def write(count: int) -> Signed:
    signed: Signed = []
    for seq in range(1, count + 1):
        link = Link(
            seq=seq,
            at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seq, microseconds=7),
            actor="user:1",
            action="user.changed",
            subject=f"user:{seq}",
            detail={"changes": {"plan": ["free", "pro"]}},
            key_id="old" if seq < count / 2 else "new",
            previous=signed[-1][1] if signed else NOTHING,
        )
        signed.append((link, link.sign(KEYS[link.key_id])))
    return signed


def faults(
    signed: Signed, *, heads: dict[int, set[bytes]] | None = None, last: int = 0
) -> list[str]:
    """Return what is found, as the database's own count has the last entry, or `last`."""
    end = (signed[-1][0].seq, signed[-1][1]) if signed else (0, NOTHING)
    end = (last, end[1]) if last else end
    return [str(one) for one in find_faults(signed, keys=KEYS, heads=heads or {}, last=end)]


def test_a_log_as_it_was_written_has_no_fault() -> None:
    signed = write(9)
    assert faults(signed) == []
    assert faults(signed, heads={link.seq: {digest} for link, digest in signed}) == []
    assert faults([]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "user:2"},
        {"action": "user.added"},
        {"subject": "user:9"},
        {"detail": {}},
        {"at": datetime(2026, 11, 1, tzinfo=UTC)},
        {"key_id": "new"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_entry_is_named(change: dict[str, Any]) -> None:
    signed = write(5)
    signed[1] = (replace(signed[1][0], **change), signed[1][1])
    assert faults(signed) == ["entry 2: was altered"]


@given(st.integers(1, 8), st.data())
def test_a_removed_entry_is_missed(count: int, data: st.DataObject) -> None:
    signed = write(count + 1)
    place = data.draw(st.integers(0, count - 1))
    del signed[place]
    assert faults(signed)


@given(st.integers(2, 8), st.data())
def test_entries_that_changed_places_are_found(count: int, data: st.DataObject) -> None:
    signed = write(count)
    one, other = data.draw(st.permutations(range(count)))[:2]
    signed[one], signed[other] = (
        (replace(signed[other][0], seq=one + 1), signed[other][1]),
        (replace(signed[one][0], seq=other + 1), signed[one][1]),
    )
    assert faults(signed)


def test_an_entry_that_was_put_in_between_is_found_without_its_key() -> None:
    signed = write(3)
    link = replace(signed[-1][0], seq=4, previous=signed[-1][1])
    signed.append((link, link.sign(b"guessed" * 5)))
    assert faults(signed) == ["entry 4: was altered"]


def test_an_entry_of_a_tail_that_was_cut_off_does_not_fit_into_what_was_written_since() -> None:
    cut = write(5)[-1]
    signed = write(3)
    for link, _ in write(5)[3:]:
        link = replace(link, actor="user:2", previous=signed[-1][1])
        signed.append((link, link.sign(KEYS[link.key_id])))
    assert faults(signed) == []
    signed[-1] = (replace(cut[0], previous=signed[-2][1]), cut[1])
    assert faults(signed) == ["entry 5: was altered"]


def test_a_tail_that_was_cut_off_is_found_by_a_head_that_was_kept() -> None:
    signed = write(6)
    kept = {signed[5][0].seq: {signed[5][1]}}
    cut = signed[:4]
    assert faults(cut) == []
    assert faults(cut, heads=kept) == ["entry 6: was written and is gone: the log ends with 4"]
    assert faults(cut, last=6) == [
        "entry 6: is the last by the database's own count, but the log ends with 4"
    ]


def test_a_log_written_anew_by_whoever_has_the_key_is_found_by_a_head() -> None:
    signed = write(6)
    kept = {4: {signed[3][1]}}
    assert faults(write(6), heads=kept) == []
    other: Signed = []
    for link, _ in write(6):
        link = replace(link, actor="user:2", previous=other[-1][1] if other else NOTHING)
        other.append((link, link.sign(KEYS[link.key_id])))
    assert faults(other) == []
    assert faults(other, heads=kept) == ["entry 4: is not the one whose digest was kept elsewhere"]


def test_a_tail_that_was_cut_off_and_written_anew_is_found_by_both_heads() -> None:
    signed = write(6)
    assert faults(signed, heads={6: {b"x" * 32, signed[5][1]}}) == [
        "entry 6: is not the one whose digest was kept elsewhere"
    ]


def test_an_entry_whose_key_is_gone_cannot_be_checked() -> None:
    signed = write(2)
    found = find_faults(signed, keys={"new": KEYS["new"]}, heads={}, last=(2, signed[-1][1]))
    assert [str(one) for one in found] == []
    signed = write(4)
    found = find_faults(signed, keys={"new": KEYS["new"]}, heads={}, last=(4, signed[-1][1]))
    assert [one.words for one in found] == ["cannot be checked: the keyring has no key old"]
