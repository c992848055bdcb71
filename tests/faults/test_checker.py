"""The oracle can fail: each promise is broken here on purpose, in an otherwise good record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import check_answer
from tests.faults.record import Answer, Life, Seen, Stored, StoredGeneration

SCRIPT = "Grüße 👩‍👩‍👧\r\ndata: x\n\nend"


def done(text: str, cursor: tuple[int, int] = (2, 5)) -> Seen:
    data = {
        "message": {"content": text},
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    return Seen(cursor, "done", data)


def delta(cursor: tuple[int, int], text: str) -> Seen:
    return Seen(cursor, "delta", {"text": text})


def good_events() -> list[Seen]:
    return [
        Seen((1, 1), "started", {}),
        delta((1, 2), SCRIPT[:3]),
        delta((1, 3), SCRIPT[3:7]),
        Seen((2, 1), "started", {}),
        Seen((2, 2), "snapshot", {"text": SCRIPT[:5]}),
        delta((2, 3), SCRIPT[5:10]),
        delta((2, 4), SCRIPT[10:]),
        done(SCRIPT),
    ]


def read(events: list[Seen], *, cut_after: int = 3) -> Life:
    life = Life("reader")
    life.connect("sse")
    for seen in events[:cut_after]:
        life.apply(seen)
    life.connect("websocket")
    for seen in events[cut_after:]:
        life.apply(seen)
    return life


GENERATION = StoredGeneration("g", "completed", 2, SCRIPT, "complete")
STORED = Stored([GENERATION], 1)


def answer_with(events: list[Seen]) -> Answer:
    return Answer("tag", SCRIPT, accepted=["g"], lives=[read(events)])


def promises(answer: Answer, stored: Stored = STORED) -> set[str]:
    return {violation.promise for violation in check_answer(answer, stored)}


def test_a_good_record_breaks_no_promise() -> None:
    assert promises(answer_with(good_events())) == set()


@pytest.mark.parametrize("cut_after", range(9))
def test_where_the_connection_was_cut_does_not_matter(cut_after: int) -> None:
    answer = Answer("tag", SCRIPT, accepted=["g"])
    answer.lives.append(read(good_events(), cut_after=cut_after))
    assert promises(answer) == set()


def test_what_is_sent_again_on_another_connection_is_dropped() -> None:
    events = good_events()
    answer = answer_with([*events[:3], *events[1:]])
    assert promises(answer) == set()
    assert answer.lives[0].dropped == 2


ENDS = "a reader ends with the stored text"
NEVER = "a reader never sees what the model did not say"
HASH = "the hash of `done` is that of the text"
ONE_END = "a reader sees exactly one terminal event"
GROW = "ids grow on each connection"

Doctor = Callable[[list[Seen]], list[Seen]]


def swap_texts(events: list[Seen]) -> list[Seen]:
    first, second = events[5], events[6]
    events[5] = delta(first.cursor, second.data["text"])
    events[6] = delta(second.cursor, first.data["text"])
    return events


@pytest.mark.parametrize(
    ("doctor", "broken"),
    [
        pytest.param(lambda e: [*e[:5], *e[6:]], {ENDS, NEVER, HASH}, id="lost delta"),
        pytest.param(
            lambda e: [*e[:6], delta(e[6].cursor, e[6].data["text"][:-1]), e[7]],
            {ENDS, HASH},
            id="lost last character",
        ),
        pytest.param(
            lambda e: [*e[:6], delta(e[6].cursor, e[6].data["text"] + "d"), e[7]],
            {ENDS, NEVER, HASH},
            id="doubled last character",
        ),
        pytest.param(swap_texts, {ENDS, NEVER, HASH}, id="reordered text"),
        pytest.param(
            lambda e: [*e[:2], delta((1, 3), "?"), *e[3:]], {NEVER}, id="wrong, mended later"
        ),
        pytest.param(
            lambda e: [*e[:4], Seen(e[4].cursor, "snapshot", {"text": SCRIPT[:4]}), *e[5:]],
            {ENDS, NEVER, HASH},
            id="snapshot too short",
        ),
        pytest.param(lambda e: e[:-1], {ONE_END}, id="no terminal event"),
        pytest.param(
            lambda e: [*e, done(SCRIPT, (2, 6))],
            {ONE_END, "nothing follows the terminal event"},
            id="two terminal events",
        ),
        pytest.param(lambda e: [*e[:5], e[6], e[5], e[7]], {GROW, ENDS, NEVER, HASH}, id="order"),
        pytest.param(lambda e: [*e[:6], e[5], *e[6:]], {GROW}, id="sent twice on one connection"),
        pytest.param(
            lambda e: [*e[:-1], Seen((2, 5), "failed", {"error": {}})],
            {"the terminal event tells the stored state"},
            id="wrong terminal event",
        ),
        pytest.param(
            lambda e: [*e[:-1], done(SCRIPT[:-1])],
            {HASH, "the terminal event carries the stored text"},
            id="done of another text",
        ),
    ],
)
def test_a_doctored_reader_is_found(doctor: Doctor, broken: set[str]) -> None:
    assert promises(answer_with(doctor(good_events()))) == broken


def test_a_reader_who_left_needs_no_end_but_the_right_text() -> None:
    answer = answer_with(good_events()[:3])
    answer.lives[0].is_left = True
    assert promises(answer) == set()
    answer.lives[0].texts.append("never said")
    assert promises(answer) == {NEVER}


@pytest.mark.parametrize(
    ("stored", "broken"),
    [
        pytest.param(Stored([], 0), {"no accepted message is lost"}, id="lost"),
        pytest.param(
            Stored([GENERATION, replace(GENERATION, id="h")], 2),
            {"one key is one generation"},
            id="two generations",
        ),
        pytest.param(Stored([GENERATION], 2), {"a message is stored once"}, id="doubled question"),
        pytest.param(
            Stored([replace(GENERATION, state="running", status="pending")], 1),
            {"every accepted message is answered"},
            id="never ended",
        ),
        pytest.param(
            Stored([replace(GENERATION, text=SCRIPT[:-1])], 1),
            {
                "a completed answer is what the model said",
                "the terminal event carries the stored text",
                ENDS,
            },
            id="stored short",
        ),
        pytest.param(
            Stored([replace(GENERATION, state="stopped", status="stopped")], 1),
            {"nothing is stopped unasked", "the terminal event tells the stored state"},
            id="stopped unasked",
        ),
        pytest.param(
            Stored([replace(GENERATION, state="failed", status="failed")], 1),
            {"nothing fails that can go on", "the terminal event tells the stored state"},
            id="failed",
        ),
        pytest.param(
            Stored([replace(GENERATION, status="pending")], 1),
            {"message and generation agree"},
            id="message left pending",
        ),
    ],
)
def test_a_doctored_database_is_found(stored: Stored, broken: set[str]) -> None:
    assert promises(answer_with(good_events()), stored) == broken


def test_replies_are_judged_too() -> None:
    answer = answer_with(good_events())
    answer.odd.append("500 internal_error")
    answer.accepted.append("another")
    assert promises(answer) == {
        "every reply is one that a client can act on",
        "one key is one generation",
        "no accepted message is lost",
    }
    answer.accepted.clear()
    answer.odd.clear()
    assert promises(answer) == {"every message is accepted in the end"}
