"""Only a round that failed three calls in a row excuses an answer that failed."""

from __future__ import annotations

import pytest

from tests.faults.excuses import lost_calls, may_fail
from tests.faults.plan import STORE_FAULTS, Fault

CUT = Fault("provider cut", 1.0, 0.0, 0)
FREEZE = Fault("worker freeze", 1.0, 1.0, 0)
KILL = Fault("worker kill", 1.0, 1.0, 0)
REFUSE = Fault("provider refuse", 1.0, 0.5, 0)


def stall(for_s: float) -> Fault:
    return Fault("provider stall", 1.0, for_s, 0)


def test_takeovers_excuse_nothing() -> None:
    assert not may_fail([KILL] * 4, calls=5, scripted=0)


def test_two_scripted_failures_and_a_takeover_excuse_nothing() -> None:
    assert not may_fail([KILL], calls=4, scripted=2)


def test_a_scripted_failure_that_no_call_came_to_excuses_nothing() -> None:
    assert not may_fail([CUT], calls=1, scripted=2)


@pytest.mark.parametrize("fault", [CUT, FREEZE, stall(2.0)], ids=lambda fault: fault.kind)
def test_two_scripted_failures_and_one_of_the_round_excuse_a_failure(fault: Fault) -> None:
    assert may_fail([fault], calls=2, scripted=2)


def test_cuts_alone_excuse_a_failure_from_the_third_on() -> None:
    assert not may_fail([CUT] * 2, calls=9, scripted=0)
    assert may_fail([CUT] * 3, calls=0, scripted=0)


def test_a_provider_that_refuses_connections_excuses_any_failure() -> None:
    assert may_fail([REFUSE], calls=0, scripted=0)


@pytest.mark.parametrize(("for_s", "lost"), [(0.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (3.0, 1)])
def test_a_stall_fails_a_call_for_each_time_that_a_token_is_waited_for(
    for_s: float, lost: int
) -> None:
    assert lost_calls([stall(for_s)]) == lost


def test_stalls_one_after_another_add_up() -> None:
    assert lost_calls([stall(3.0), stall(3.0)]) == 3


def test_faults_elsewhere_fail_no_call() -> None:
    elsewhere = [kind for kind in STORE_FAULTS if not kind.startswith("provider")]
    assert lost_calls([Fault(kind, 1.0, 3.0, 0) for kind in elsewhere]) == 0
