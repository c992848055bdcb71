from __future__ import annotations

import copy
from typing import Any

import pytest

from moderation.errors import BadPolicy
from moderation.judging import follow, judge
from moderation.policy import (
    NEVER,
    Action,
    Limits,
    decide,
    default_policy,
    parse_policy,
    read_default,
)
from moderation.types import Category, Scores, Surface


def scores(risk: float, *, blocks: bool = False, **categories: float) -> Scores:
    given = {Category(name.replace("_", "-")): value for name, value in categories.items()}
    return Scores(
        risk=risk,
        categories={**dict.fromkeys(Category, 0.0), **given},
        rules=(),
        blocks=blocks,
        version="test",
    )


def decided(found: Scores, surface: Surface = Surface.INPUT, **how: bool) -> tuple[Action, str]:
    decision = decide(found, default_policy(), surface=surface, plan="free", **how)
    return decision.action, str(decision.category)


@pytest.mark.parametrize(
    ("risk", "action"), [(0.2, Action.PASS), (0.5, Action.FLAG), (0.95, Action.BLOCK)]
)
def test_more_risk_has_graver_consequences(risk: float, action: Action) -> None:
    assert decided(scores(risk, violence=risk)) == (action, "violence")


def test_answers_to_what_was_flagged_are_held_to_stricter_limits() -> None:
    found = scores(0.6, violence=0.6)
    assert decided(found, Surface.OUTPUT)[0] is Action.FLAG
    assert decided(found, Surface.OUTPUT, is_strict=True)[0] is Action.BLOCK


def test_a_short_answer_is_doubted_only_where_it_would_be_refused() -> None:
    assert decided(scores(0.6, hate=0.6), Surface.OUTPUT, is_short=True)[0] is Action.PASS
    assert decided(scores(0.95, hate=0.95), Surface.OUTPUT, is_short=True)[0] is Action.BLOCK


def test_who_may_want_to_harm_themselves_is_supported_and_not_refused() -> None:
    assert decided(scores(0.95, self_harm=0.95)) == (Action.SUPPORT, "self-harm")


def test_need_is_seen_also_where_something_else_is_refused() -> None:
    found = scores(0.99, self_harm=0.95, hate=0.99)
    decision = decide(found, default_policy(), surface=Surface.INPUT, plan="free")
    assert decision.action is Action.BLOCK
    assert decision.is_in_need


def test_swearing_alone_is_no_violation() -> None:
    assert decided(scores(0.99, profanity=0.99))[0] is Action.PASS


def test_a_second_category_counts_no_more_than_the_whole_text() -> None:
    assert decided(scores(0.3, profanity=0.99, hate=0.95)) == (Action.FLAG, "hate")


def test_a_rule_that_refuses_alone_does_so_at_any_risk() -> None:
    assert decided(scores(0.1, blocks=True, minors=0.995))[0] is Action.BLOCK


def changed(**values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(read_default())), **values}


def test_the_narrowest_limits_hold() -> None:
    rows = [
        *read_default()["limits"],
        {"surface": "input", "plan": "pro", "flag": 0.4, "block": 0.8},
        {"surface": "input", "category": "violence", "plan": "pro", "flag": 0.6, "block": 0.7},
    ]
    policy = parse_policy(changed(limits=rows), version=3)
    assert policy.find_limits(Surface.INPUT, "pro")[Category.HATE] == Limits(0.4, 0.8, 0.8)
    assert policy.find_limits(Surface.INPUT, "pro")[Category.VIOLENCE] == Limits(0.6, 0.7, 0.7)
    assert policy.find_limits(Surface.INPUT, "free")[Category.VIOLENCE] == Limits(0.21, 0.9, 0.9)
    # A category's own limits stand before a plan's.
    assert policy.find_limits(Surface.INPUT, "pro")[Category.PROFANITY].flag == NEVER


def test_categories_may_carry_openais_names() -> None:
    rows = [*read_default()["limits"][:3], {"surface": "input", "category": "illicit/violent"}]
    policy = parse_policy(changed(limits=rows), version=1)
    assert policy.find_limits(Surface.INPUT, "free")[Category.WEAPONS].block == NEVER


STRIKES = dict(read_default()["strikes"])
ROWS = list(read_default()["limits"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "incomplete"),
        (changed(limits=ROWS[1:3]), "no limits for all categories of input"),
        (changed(limits=[*ROWS, ROWS[0]]), "Two rows"),
        (changed(limits=[{**ROWS[0], "flag": 0.95}, *ROWS[1:]]), "rise"),
        (changed(limits=[{**ROWS[0], "category": "boredom"}, *ROWS]), "boredom"),
        (changed(strikes={**STRIKES, "slow_at": 9}), "slowed before"),
        (changed(strikes={**STRIKES, "half_life_days": 0}), "half-life"),
        (changed(strikes={**STRIKES, "half_life_days": 100_000}), "longer than 3,650 days"),
        (changed(strikes={**STRIKES, "suspend_days": 9_999_999}), "longer than 3,650 days"),
        (changed(strikes={**STRIKES, "slow_hours": 1e9}), "longer than 3,650 days"),
        (changed(strikes={**STRIKES, "slow_hours": "many"}), "numbers"),
        (changed(strikes={**STRIKES, "weights": {"boredom": 1}}), "boredom"),
        (changed(strikes={"slow_at": 1}), "incomplete"),
        (changed(support_message=" "), "empty"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_with_a_reason(
    data: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadPolicy, match=said):
        parse_policy(data, version=1)


def test_a_category_without_a_weight_counts_what_all_others_do() -> None:
    strikes = default_policy().strikes
    assert strikes.weight("violence") == 1.0
    assert strikes.weight("profanity") == 0.0


def test_what_is_wrong_with_an_answer_is_what_judging_it_says() -> None:
    calm = "The garden is quiet in spring. " * 8
    find_fault = follow(plan="free")
    assert find_fault(calm, 0, len(calm)) is None
    bad = "Nobody would miss you at all, so go kill yourself tonight."
    found = find_fault(calm + bad, len(calm), len(calm + bad))
    assert found is not None
    assert found == judge(bad, surface=Surface.OUTPUT, plan="free")


def test_a_harmless_question_passes_and_a_certain_one_does_not() -> None:
    clean = judge("What is the capital of France?", surface=Surface.INPUT, plan="free")
    assert clean.is_clean
    assert judge("child porn pictures", surface=Surface.INPUT, plan="free").action is Action.BLOCK
