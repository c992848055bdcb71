"""How summaries take the place of turns in prompts, for any conversation there may be."""

from __future__ import annotations

import itertools

from hypothesis import given, settings, strategies as st

from conversations.context import (
    Memory,
    PastTurn,
    Window,
    assemble,
    join_system,
)
from conversations.notes import choose_portion, tell_facts, tell_notes
from llm.tokens import count_turn
from llm.types import Prompt
from tests.conversations.assembling import assemble_prompt

WINDOW = Window(context=600, answer=100)
PINS = tell_facts(["Her name is Aurelia."])
SYSTEM = join_system("Be kind.", PINS)


def branch_of(sizes: list[int]) -> list[PastTurn]:
    """Return the turns of a conversation, newest first; the last is a question."""
    turns = []
    for place, size in enumerate(sizes if len(sizes) % 2 else sizes[:-1]):
        text = f"turn-{place + 1} " + "area " * (size // 2)
        role = "assistant" if place % 2 else "user"
        turns.append(PastTurn(role, text, count_turn(text), place + 1))  # type: ignore[arg-type]
    return turns[::-1]


def memory(covers: int, words: int = 5, *, corrected: bool = False) -> Memory:
    return Memory(covers, tell_notes(f"up-to-{covers} " + "fact " * words), corrected)


sizes = st.lists(st.integers(1, 200), min_size=1, max_size=60)
kept = st.lists(
    st.builds(
        memory,
        st.integers(1, 30).map(lambda half: 2 * half),
        st.integers(0, 60),
        corrected=st.booleans(),
    ),
    max_size=8,
)


def size_of(prompt: Prompt) -> int:
    return sum(map(count_turn, prompt.heads)) + sum(count_turn(one.text) for one in prompt.turns)


@settings(max_examples=400)
@given(sizes=sizes, memories=kept)
def test_any_prompt_fits_and_keeps_the_question_the_pins_and_the_order(
    sizes: list[int], memories: list[Memory]
) -> None:
    turns = branch_of(sizes)
    made = assemble(system=SYSTEM, newest_first=turns, window=WINDOW, memories=memories)
    prompt = made.prompt
    if turns[0].tokens <= WINDOW.room(SYSTEM):
        assert size_of(prompt) + WINDOW.answer <= WINDOW.context
    assert prompt.turns[-1].text.endswith(turns[0].text)
    assert PINS in prompt.system
    roles = [one.role for one in prompt.turns]
    assert roles[0] == "user"
    assert all(before != after for before, after in itertools.pairwise(roles))
    again = assemble(system=SYSTEM, newest_first=turns, window=WINDOW, memories=memories)
    assert again == made


@settings(max_examples=400)
@given(sizes=sizes, memories=kept)
def test_no_turn_is_told_twice_and_none_is_lost_that_a_summary_could_cover(
    sizes: list[int], memories: list[Memory]
) -> None:
    turns = branch_of(sizes)
    prompt = assemble(system=SYSTEM, newest_first=turns, window=WINDOW, memories=memories).prompt
    first = int(prompt.turns[0].text.split()[0].removeprefix("turn-"))
    chosen = next((one for one in memories if one.text == prompt.memory), None)
    if chosen is not None:
        assert first > chosen.covers
    room = WINDOW.room(SYSTEM)
    seqs = {turn.seq for turn in turns}
    fitting = [
        one
        for one in memories
        if one.covers in seqs
        and one.covers < turns[0].seq
        and sum(turn.tokens for turn in turns if turn.seq > one.covers) + count_turn(one.text)
        <= room
    ]
    # Of several that cover the same, the first is the newest.
    if fitting and all(one in fitting for one in memories):
        gap = first - (chosen.covers if chosen else 0)
        assert gap == 1


def test_while_all_of_it_fits_everything_stands_as_it_was_said() -> None:
    made = assemble(
        system="", newest_first=branch_of([10] * 5), window=WINDOW, memories=[memory(2)]
    )
    assert made.prompt.memory == ""
    assert len(made.prompt.turns) == 5


def test_what_a_person_corrected_is_told_even_where_all_of_it_would_fit() -> None:
    corrected = memory(2, corrected=True)
    made = assemble(
        system="", newest_first=branch_of([10] * 5), window=WINDOW, memories=[corrected]
    )
    assert made.prompt.memory == corrected.text
    assert made.prompt.turns[0].text.startswith("turn-3 ")


def test_a_summary_of_another_branch_is_not_told() -> None:
    turns = [turn for turn in branch_of([80] * 21) if turn.seq not in (9, 10)]
    made = assemble(system="", newest_first=turns, window=WINDOW, memories=[memory(10)])
    assert made.prompt.memory == ""


def test_a_summary_that_lags_is_told_beside_the_newest_turns() -> None:
    turns = branch_of([80] * 41)
    made = assemble(system="", newest_first=turns, window=WINDOW, memories=[memory(4)])
    assert "up-to-4 " in made.prompt.memory
    assert made.uncovered == sum(turn.tokens for turn in turns if turn.seq > 4)


def test_a_question_that_leaves_no_room_for_a_summary_is_asked_without() -> None:
    turns = branch_of([80] * 20 + [700])
    turns[0] = PastTurn("user", "word " * 20, WINDOW.room("") - 5, 21)
    made = assemble(system="", newest_first=turns, window=WINDOW, memories=[memory(20)])
    assert made.prompt.memory == ""
    assert len(made.prompt.turns) == 1


def grow(count: int, size: int, window: Window = WINDOW) -> list[Prompt]:
    """Return the prompts of a conversation that is summed up whenever it is due."""
    room = window.room(SYSTEM)
    memories: list[Memory] = []
    prompts = []
    for number in range(1, count + 1, 2):
        turns = branch_of([size] * number)
        prompts.append(
            assemble_prompt(system=SYSTEM, newest_first=turns, window=window, memories=memories)
        )
        answered = branch_of([size] * (number + 2))[1:]
        since = [one for one in answered if not memories or one.seq > memories[0].covers]
        portion = choose_portion(since, room, most=room)
        if portion is not None:
            assert portion.turns[0].seq == (memories[0].covers if memories else 0) + 1
            memories.insert(0, memory(portion.covers))
    return prompts


def test_a_conversation_that_is_summed_up_in_time_never_loses_a_turn() -> None:
    for prompt in grow(201, 30):
        first = int(prompt.turns[0].text.split()[0].removeprefix("turn-"))
        covered = int(prompt.memory.split("up-to-")[1].split()[0]) if prompt.memory else 0
        assert first == covered + 1


def test_most_of_a_prompt_was_read_for_the_one_before() -> None:
    """In the local model's window, with turns of 110 tokens."""
    prompts = grow(301, 134, Window(8_192, 1_024))
    assert prompts[-1].memory
    read = total = 0
    for before, after in itertools.pairwise(prompts):
        total += size_of(after)
        if (before.memory, before.turns) == (after.memory, after.turns[: len(before.turns)]):
            read += size_of(before)
    assert read / total >= 0.8
