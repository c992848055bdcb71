"""What must hold of every answer, whatever was killed while it was written and read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.record import Answer, Life, Seen, Stored, StoredGeneration

# The terminal event that tells of each terminal state.
TOLD = {"completed": "done", "stopped": "stopped", "halted": "halted", "failed": "failed"}
STATUS = {"completed": "complete", "stopped": "stopped", "halted": "halted", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Violation:
    promise: str
    tag: str
    detail: str

    def __str__(self) -> str:
        return f"{self.promise} [{self.tag}]: {self.detail}"


def check_answer(answer: Answer, stored: Stored) -> list[Violation]:
    """Return every promise that was broken for one answer."""
    broken = [
        *_check_acceptance(answer, stored),
        *_check_state(answer, stored),
        *(found for life in answer.lives for found in _check_life(answer, life, stored)),
    ]
    return [Violation(promise, answer.tag, detail) for promise, detail in broken]


Broken = Iterator[tuple[str, str]]


def _check_acceptance(answer: Answer, stored: Stored) -> Broken:
    for reply in answer.odd:
        yield "every reply is one that a client can act on", reply
    names = set(answer.accepted)
    if len(names) > 1:
        yield "one key is one generation", f"told of {sorted(names)}"
    if not names:
        yield "every message is accepted in the end", "it never was"
    if len(stored.generations) > 1:
        yield "one key is one generation", f"stored {[one.id for one in stored.generations]}"
    lost = names - {one.id for one in stored.generations}
    if lost:
        yield "no accepted message is lost", f"{sorted(lost)} are not stored"
    if stored.questions != len(stored.generations):
        yield "a message is stored once", f"it is there {stored.questions} times"


def _check_state(answer: Answer, stored: Stored) -> Broken:
    for one in stored.generations:
        if one.state not in TOLD:
            yield "every accepted message is answered", f"{one.id} is {one.state}"
            continue
        if one.status != STATUS[one.state]:
            yield "message and generation agree", f"{one.state}, but {one.status}"
        if one.state == "completed" and one.text != answer.script:
            detail = _difference(one.text, answer.script)
            yield "a completed answer is what the model said", detail
        elif not answer.script.startswith(one.text):
            yield "an unfinished answer is how it begins", _difference(one.text, answer.script)
        if one.state == "stopped" and not answer.is_stop_asked:
            yield "nothing is stopped unasked", one.id
        if one.state == "failed" and not answer.may_fail:
            yield "nothing fails that can go on", f"{one.error_code} in attempt {one.attempt}"


def _check_life(answer: Answer, life: Life, stored: Stored) -> Broken:
    yield from ((promise, f"{life.name}: {detail}") for promise, detail in _check_order(life))
    for text in life.texts:
        if not answer.script.startswith(text):
            detail = f"{life.name}: {_difference(text, answer.script)}"
            yield "a reader never sees what the model did not say", detail
            break
    if life.is_left:
        return
    if len(life.terminals) != 1:
        ends = [seen.event for seen in life.terminals]
        yield "a reader sees exactly one terminal event", f"{life.name}: {ends}"
        return
    for one in stored.generations:
        for promise, detail in _check_end(life, life.terminals[0], one):
            yield promise, f"{life.name}: {detail}"


def _check_order(life: Life) -> Broken:
    for connection in life.connections:
        for earlier, later in pairwise(connection.events):
            if later.cursor <= earlier.cursor:
                yield "ids grow on each connection", f"{later.cursor} after {earlier.cursor}"
            if earlier.is_terminal:
                yield "nothing follows the terminal event", f"{later.event} did"


def _check_end(life: Life, end: Seen, one: StoredGeneration) -> Broken:
    if one.state in TOLD and end.event != TOLD[one.state]:
        yield "the terminal event tells the stored state", f"{end.event}, stored {one.state}"
    if life.text != one.text:
        yield "a reader ends with the stored text", _difference(life.text, one.text)
    if end.event == "done":
        digest = hashlib.sha256(life.text.encode()).hexdigest()
        if end.data.get("sha256") != digest:
            yield "the hash of `done` is that of the text", f"{end.data.get('sha256')}"
    if end.event in {"done", "stopped"} and end.data["message"]["content"] != one.text:
        detail = _difference(str(end.data["message"]["content"]), one.text)
        yield "the terminal event carries the stored text", detail


def _difference(found: str, expected: str) -> str:
    """Say where two texts part, and how each goes on."""
    place = next(
        (at for at, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b),
        min(len(found), len(expected)),
    )
    lengths = f"{len(found)} instead of {len(expected)} characters"
    return f"{lengths}; at {place} {found[place:][:40]!r} instead of {expected[place:][:40]!r}"
