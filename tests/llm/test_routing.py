"""Which model answers: what a question asks for, within the plan, the budget and the window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chatbot.accounts.models import Plan
from llm.catalog import PLANS, ModelSpec
from llm.catalog_file import load_catalog
from llm.errors import ModelNotInPlan, UnknownModel
from llm.routing import (
    Allowance,
    Asked,
    Reason,
    Route,
    find_stand_ins,
    prefer,
    route,
    worst_case_tokens,
)

CATALOG = load_catalog()
MODELS = prefer(CATALOG.models, CATALOG)
SONNET, HAIKU, OPUS, LOCAL = MODELS
CODE = "Write a Python function that merges two sorted lists."
PLENTY = Allowance(1_000_000, 900_000)


def ask(text: str, models: list[ModelSpec] = MODELS, *, plan: str = "pro", **known: Any) -> Route:
    return route(Asked(text, plan, **known), models)


def names(found: Route) -> list[str]:
    return [spec.name for spec in found.candidates]


def test_the_plans_of_the_catalogue_are_those_of_people():
    assert set(PLANS) == set(Plan.values)


def test_the_defaults_come_first_then_what_is_cheaper_and_local_models_last():
    assert [spec.name for spec in (SONNET, HAIKU, OPUS, LOCAL)] == [
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-opus-5-5",
        "smollm2-135m",
    ]
    cheap = replace(OPUS, name="cheap", price=HAIKU.price)
    assert prefer([OPUS, LOCAL, cheap, SONNET], CATALOG) == [SONNET, cheap, OPUS, LOCAL]


@pytest.mark.parametrize(
    ("text", "tier", "reason"),
    [
        ("hi", "fast", Reason.SIMPLE),
        ("Wie heißt die Hauptstadt von Kanada?", "fast", Reason.SIMPLE),
        ("把这句话翻译成英文：我明天不能来上班", "fast", Reason.SIMPLE),
        (CODE, "smart", Reason.CODE),
        ("```\nx = 1\n```\nwhat is this", "smart", Reason.CODE),
        ("Докажи, что корень из 3 — иррациональное число", "smart", Reason.MATHS),
        ("3x + 5y = 47, 2x - y = 1, x, y?", "smart", Reason.MATHS),
        ("Compare the pros and cons of nuclear power", "smart", Reason.REASONING),
        ("word " * 400, "smart", Reason.LONG),
        ("说" * 2_000, "smart", Reason.LONG),
        (
            "Book a table: for 2, not before 8, no fish, under 60, near the park, in the shade.",
            "smart",
            Reason.CONDITIONS,
        ),
    ],
)
def test_a_question_goes_to_the_tier_it_needs(text, tier, reason):
    found = ask(text)
    assert (found.primary.tier, found.reason) == (tier, reason)
    assert found.is_earned == (tier == "smart")


def test_the_fallbacks_follow_as_far_as_they_are_there_and_in_the_plan():
    assert names(ask(CODE)) == ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"]
    assert names(ask(CODE, plan="free")) == ["claude-sonnet-5-5", "claude-haiku-5-5"]
    assert names(ask(CODE, [SONNET, HAIKU])) == ["claude-sonnet-5-5", "claude-haiku-5-5"]
    assert names(ask("hi")) == ["claude-haiku-5-5", "claude-sonnet-5-5"]


def test_what_was_chosen_by_name_answers_whatever_is_asked():
    for spec in (HAIKU, OPUS, LOCAL):
        found = route(Asked(CODE, "pro"), MODELS, chosen=spec)
        assert (found.primary, found.reason) == (spec, Reason.CHOSEN)
        assert found.is_earned == (spec.tier == "smart")


def test_a_model_outside_the_plan_is_refused_by_name_and_never_chosen():
    with pytest.raises(ModelNotInPlan) as caught:
        route(Asked("hi", "free"), MODELS, chosen=OPUS)
    assert (caught.value.code, caught.value.status) == ("model_not_in_plan", 403)
    assert caught.value.detail == {"model": "claude-opus-5-5", "plans": ["pro"]}
    only_pro = [replace(SONNET, plans=("pro",)), HAIKU]
    assert ask(CODE, only_pro, plan="free").primary == HAIKU


def test_without_a_model_or_one_in_the_plan_the_refusal_says_which():
    with pytest.raises(UnknownModel):
        ask("hi", [])
    with pytest.raises(ModelNotInPlan):
        ask("hi", [OPUS], plan="free")


@pytest.mark.parametrize("text", ["hi", CODE, "word " * 1_000])
@pytest.mark.parametrize("models", [[LOCAL], [HAIKU], [SONNET], [HAIKU, LOCAL], [SONNET, OPUS]])
def test_where_there_is_one_tier_only_its_preferred_model_answers(text, models):
    found = ask(text, models, allowance=Allowance(10, 0))
    assert found.primary == models[0]
    assert found.reason is Reason.ONLY


def test_the_model_of_this_machine_answers_only_where_no_hosted_one_can():
    assert ask("hi", [SONNET, LOCAL]).primary == SONNET
    hosted_for_pro = [replace(SONNET, plans=("pro",)), LOCAL]
    assert ask("hi", hosted_for_pro, plan="free").primary == LOCAL


def test_a_follow_up_stays_with_the_smart_model_but_earns_it_no_longer():
    found = ask("and without the loop?", follows_smart=True)
    assert (found.primary, found.reason, found.is_earned) == (SONNET, Reason.FOLLOW_UP, False)
    assert ask("and without the loop?").primary == HAIKU


def test_a_long_conversation_tips_the_balance():
    text = "So why did that happen after the second step, and what follows?"
    assert ask(text).primary == HAIKU
    found = ask(text, context_tokens=40_000)
    assert (found.primary, found.reason) == (SONNET, Reason.CONTEXT)
    assert ask("thanks", context_tokens=400_000).primary == HAIKU


@pytest.mark.parametrize(
    ("allowance", "tier"),
    [
        (None, "smart"),
        (PLENTY, "smart"),
        (Allowance(1_000_000, 99_000), "fast"),
        (Allowance(20_000, 3_000), "fast"),
        (Allowance(0, 0), "fast"),
    ],
)
def test_when_the_budget_is_nearly_used_a_fast_model_answers(allowance, tier):
    found = ask(CODE, allowance=allowance)
    assert found.primary.tier == tier
    assert (found.reason is Reason.BUDGET) == (tier == "fast")


def test_a_follow_up_is_no_exception_to_the_budget():
    found = ask("why?", follows_smart=True, allowance=Allowance(1_000_000, 5_000))
    assert (found.primary, found.reason) == (HAIKU, Reason.BUDGET)


def test_the_worst_case_is_the_prompt_as_far_as_it_fits_and_the_longest_answer():
    asked = Asked("hi", "pro", question_tokens=100, context_tokens=50)
    assert worst_case_tokens(HAIKU, asked) == 150 + HAIKU.answer_tokens
    endless = replace(asked, context_tokens=10**9)
    assert worst_case_tokens(LOCAL, endless) == LOCAL.context_window


def test_what_does_not_fit_into_one_tier_goes_to_the_other():
    narrow = replace(HAIKU, name="narrow", context_window=8_000)
    found = ask("thanks", [SONNET, narrow], context_tokens=7_000)
    assert (found.primary, found.reason) == (SONNET, Reason.ROOM)
    small = replace(SONNET, name="small", context_window=8_000)
    assert ask(CODE, [small, HAIKU], context_tokens=7_000).primary == HAIKU
    # The budget chooses a model without room for all of the context, not for the question.
    short = Allowance(1_000_000, 50_000)
    assert ask("thanks", [SONNET, narrow], context_tokens=7_000, allowance=short).primary == narrow
    question = ask("x", [SONNET, narrow], question_tokens=7_000, allowance=short)
    assert question.primary == SONNET


def test_who_stands_in_is_a_fallback_or_else_of_the_same_tier():
    assert find_stand_ins(SONNET, [HAIKU, LOCAL], "pro") == (HAIKU,)
    assert find_stand_ins(SONNET, [OPUS, HAIKU], "pro") == (OPUS, HAIKU)
    assert find_stand_ins(SONNET, [OPUS, HAIKU], "free") == (HAIKU,)
    assert find_stand_ins(HAIKU, [OPUS], "pro") == (OPUS,)
    assert find_stand_ins(LOCAL, [SONNET, HAIKU], "pro")[0] == HAIKU
    assert find_stand_ins(None, [SONNET, HAIKU], "pro") == (SONNET, HAIKU)
    with pytest.raises(UnknownModel):
        find_stand_ins(SONNET, [], "pro")


def test_every_reason_has_a_sentence():
    assert all(reason.sentence.endswith(".") for reason in Reason)


TEXTS = st.text(max_size=3_000) | st.text("=`'\":;{}[]()\\$^ \n", max_size=3_000)


@given(
    text=TEXTS,
    plan=st.sampled_from(PLANS),
    models=st.lists(st.sampled_from(MODELS), unique=True, min_size=1),
    context=st.integers(0, 2_000_000),
    remaining=st.integers(-10, 2_000_000),
)
def test_whatever_is_asked_somebody_in_the_plan_answers(text, plan, models, context, remaining):
    allowance = Allowance(1_000_000, remaining)
    if not any(plan in spec.plans for spec in models):
        return
    found = ask(text, models, plan=plan, context_tokens=context, allowance=allowance)
    assert all(spec in models and plan in spec.plans for spec in found.candidates)
    assert len(set(names(found))) == len(found.candidates)
