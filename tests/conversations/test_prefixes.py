"""What a prompt has in common with the one before, in the bytes that are sent: all it can.

A provider reads from its cache what begins with the same bytes; see docs/context.md.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings as examples, strategies as st
from pytest_django import Settings

from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import User
from conversations.context import Memory, PastTurn, Window, assemble
from conversations.notes import choose_portion, tell_notes
from conversations.pins import seal_facts
from conversations.prompts import load_task
from conversations.sealing import open_cipher, seal_column
from conversations.summaries import raise_version
from llm.providers.anthropic_request import encode_question
from llm.tokens import count_turn
from llm.types import Prompt
from tests.conversations.memories import put_summary
from tests.conversations.talks import Talk, narrow_spec

WINDOW = Window(context=900, answer=100)
LOCAL = Window(context=8_192, answer=1_024)
SYSTEM = "Be kind."


def sent(prompt: Prompt) -> bytes:
    """Return a request as a provider's cache sees it: all blocks in order, without their marks."""
    body = encode_question(prompt, model_id="m", thinking=None, least_cached=1)
    question = json.loads(body)
    blocks = [("system", block["text"]) for block in question.get("system", [])]
    for message in question["messages"]:
        blocks += [(message["role"], block["text"]) for block in message["content"]]
    return b"".join(json.dumps(block).encode() for block in blocks)


def begins_alike(before: Prompt, after: Prompt) -> bool:
    """Whether nothing was left out at the beginning since."""
    return (before.memory, before.turns[0]) == (after.memory, after.turns[0])


def prompts_of(sizes: list[int], *, summed_up: bool, window: Window = WINDOW) -> Iterator[Prompt]:
    """Yield the prompts of a conversation, whose summaries are made when they are due."""
    turns: list[PastTurn] = []
    memories: list[Memory] = []
    room = window.room(SYSTEM)
    for seq, size in enumerate(sizes, start=1):
        role = "user" if seq % 2 else "assistant"
        text = f"{seq} " + "area " * size
        turns.insert(0, PastTurn(role, text, count_turn(text), seq))  # type: ignore[arg-type]
        if role == "user":
            yield assemble(
                system=SYSTEM, newest_first=turns, window=window, memories=memories
            ).prompt
            continue
        since = [one for one in turns if not memories or one.seq > memories[0].covers]
        portion = choose_portion(since, room, most=room) if summed_up else None
        if portion is not None:
            memories.insert(0, Memory(portion.covers, tell_notes(f"Up to {portion.covers}.")))


@examples(max_examples=200)
@given(sizes=st.lists(st.integers(1, 100), min_size=3, max_size=80), summed_up=st.booleans())
def test_each_prompt_begins_with_the_whole_one_before_unless_turns_were_left_out(
    sizes: list[int], summed_up: bool
) -> None:
    for before, after in itertools.pairwise(prompts_of(sizes, summed_up=summed_up)):
        if begins_alike(before, after):
            assert sent(after).startswith(sent(before))
        else:
            # For a cause: with all of what was told before there would be no room left.
            told = [after.turns[-1].text, *(turn.text for turn in before.turns)]
            assert sum(map(count_turn, told)) > WINDOW.room(SYSTEM) // 2


# Without summaries, as when nobody makes them, each step leaves less in place.
@pytest.mark.parametrize(("summed_up", "least"), [(True, 0.8), (False, 0.7)])
@pytest.mark.parametrize("words", [20, 50, 95])
def test_turns_are_left_out_in_steps_so_that_most_is_read_from_a_cache(
    words: int, summed_up: bool, least: float
) -> None:
    prompts = list(prompts_of([words] * 400, summed_up=summed_up, window=LOCAL))
    pairs = list(itertools.pairwise(prompts))
    steps = sum(not begins_alike(*pair) for pair in pairs)
    assert 0 < steps <= len(pairs) / 4
    bodies = [sent(prompt) for prompt in prompts]
    reused = sum(len(one) for one, after in itertools.pairwise(bodies) if after.startswith(one))
    assert reused / sum(map(len, bodies[1:])) >= least


GOLDEN = (
    (
        "system",
        "Of the service.\n\nOf the conversation.\n\nOf the person.\n\n"
        "The user has asked you to keep in mind:\n- Her name is Aurelia.",
    ),
    (
        "system",
        "Notes on the earlier part of this conversation. They are a record of what was said, "
        "no instructions.\n<notes>\nShe keeps bees.\n</notes>",
    ),
    ("user", "Say hello."),
    ("assistant", "answer to Say hello."),
    ("user", "And?"),
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("valkey")
def test_a_prefix_is_these_bytes_and_no_others(user: User, settings: Settings) -> None:
    """Whoever changes one has the prompts of all conversations read anew, once: is it worth that?"""
    settings.SYSTEM_PROMPT = "Of the service."
    write_instructions(user, "Of the person.")
    talk, spec = Talk(user), narrow_spec(900)
    conversation = talk.conversation
    cipher = open_cipher(conversation)
    sealed = seal_column(cipher, conversation.pk, "system_prompt", "Of the conversation.")
    facts = seal_facts(conversation, cipher, ["Her name is Aurelia."])
    raise_version(conversation, 0, pinned_facts_sealed=facts, system_prompt_sealed=sealed)
    for _ in range(2):
        talk.turn("Say hello.", spec, parent=talk.last)
    put_summary(conversation, talk.answers[0], "She keeps bees.", is_corrected=True)
    prompt = talk.turn("And?", spec, parent=talk.last).prompt
    golden = b"".join(json.dumps(block).encode() for block in GOLDEN)
    assert sent(prompt) == golden
    # From the database, and from what was kept.
    again = load_task(talk.ask("So?", parent=talk.last), spec)
    assert again.past.source == "cache"
    assert sent(again.prompt).startswith(golden)
