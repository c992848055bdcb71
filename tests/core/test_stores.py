from __future__ import annotations

from types import SimpleNamespace

import pytest

from chatbot.core.stores import Absence


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=100.0)


@pytest.fixture
def absence(clock: SimpleNamespace) -> Absence:
    return Absence("A store", memory_s=1, clock=lambda: clock.now)


def test_a_store_that_never_failed_is_asked_by_all(absence: Absence) -> None:
    assert all(absence.may_try() for _ in range(3))


def test_after_a_failure_one_caller_in_each_moment_asks(
    absence: Absence, clock: SimpleNamespace
) -> None:
    absence.note_failure(OSError())
    assert not absence.may_try()
    clock.now += 1
    assert [absence.may_try() for _ in range(3)] == [True, False, False]
    clock.now += 1
    assert [absence.may_try() for _ in range(3)] == [True, False, False]


def test_an_answer_lets_all_ask_again(absence: Absence) -> None:
    absence.note_failure(OSError())
    absence.note_answer()
    assert all(absence.may_try() for _ in range(3))


def test_going_and_coming_are_each_logged_once(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        absence.note_failure(ConnectionRefusedError("10.0.0.7:6379"))
    for _ in range(3):
        absence.note_answer()
    assert caplog.messages == ["A store is away: ConnectionRefusedError", "A store is back"]
