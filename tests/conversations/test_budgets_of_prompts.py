"""No prompt is over its model's budget, whatever was said and however it was counted."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from conversations.context import Memory, assemble
from conversations.notes import tell_notes
from conversations.prompts import window_of
from conversations.said import Said
from conversations.sizes import gauge_of
from llm.catalog_file import load_catalog
from llm.tokens import Scale

MODELS = load_catalog().models
SYSTEM = "Be kind. " * 5


def draw_said(chance: Random, seq: int) -> Said:
    """Return a message of a size of its own, which one in three had counted by who wrote it."""
    tokens = min(1_000, 6 + math.ceil(chance.expovariate(1 / 80)))
    model = chance.choice(MODELS).name
    counted = round(tokens * chance.uniform(0.5, 2)) if seq % 2 == 0 else None
    counted = counted if chance.random() < 2 / 3 else None
    role = "user" if seq % 2 else "assistant"
    return Said(seq, role, tokens, chance.randrange(tokens), counted, model, f"#{seq}")  # type: ignore[arg-type]


def draw_memories(chance: Random, turns: int) -> list[Memory]:
    return [
        Memory(2 * chance.randint(1, turns), tell_notes("fact " * chance.randrange(200)), corrected)
        for corrected in chance.choices((False, True), (4, 1), k=chance.randrange(4))
    ]


def test_no_prompt_of_ten_thousand_conversations_is_over_budget() -> None:
    chance = Random(11)  # noqa: S311 - drawn to be drawn again
    trimmed = summed_up = 0
    for _ in range(10_000):
        spec = replace(
            chance.choice(MODELS),
            context_window=chance.randint(4_000, 6_000),
            answer_tokens=500,
            token_scale=Scale(chance.uniform(0.5, 2.0), chance.uniform(0.5, 2.0)),
        )
        window, gauge = window_of(spec), gauge_of(spec)
        turns = chance.randint(1, 40)
        said = {seq: draw_said(chance, seq) for seq in range(2 * turns - 1, 0, -1)}
        prompt = assemble(
            system=SYSTEM,
            newest_first=(one.as_turn(gauge) for one in said.values()),
            window=window,
            memories=draw_memories(chance, turns),
        ).prompt
        told = [int(text[1:]) for turn in prompt.turns for text in turn.text.split("\n\n")]
        taken = sum(said[seq].as_turn(gauge).tokens for seq in told)
        if prompt.memory:
            taken += window.scale.count_turn(prompt.memory)
        assert window.scale.count_turn(SYSTEM) + taken + window.answer <= window.context
        # Those that are told are the newest, and the question is one of them.
        assert told == list(range(told[0], 2 * turns))
        roles = [turn.role for turn in prompt.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        trimmed += told[0] > 1
        summed_up += bool(prompt.memory)
    assert min(trimmed, summed_up) > 1_000
