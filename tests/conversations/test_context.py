from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, strategies as st

from conversations.context import PastTurn, Window, join_system
from llm.tokens import count_turn
from tests.conversations.assembling import assemble_prompt

WINDOW = Window(context=400, answer=100)


def turn(role: str, text: str) -> PastTurn:
    return PastTurn(role, text, count_turn(text))  # type: ignore[arg-type]


turns = st.lists(
    st.builds(turn, st.sampled_from(["user", "assistant"]), st.text(min_size=1, max_size=400)),
    max_size=30,
)


@given(system=st.text(max_size=100), past=turns, newest=st.text(min_size=1, max_size=60))
def test_a_prompt_fits_and_ends_with_the_newest_turn(
    system: str, past: list[PastTurn], newest: str
) -> None:
    prompt = assemble_prompt(
        system=system, newest_first=[turn("user", newest), *past], window=WINDOW
    )
    if count_turn(newest) <= WINDOW.room(system):
        total = count_turn(system) + sum(count_turn(kept.text) for kept in prompt.turns)
        assert total + WINDOW.answer <= WINDOW.context
    assert prompt.turns[-1].text.endswith(newest)
    roles = [kept.role for kept in prompt.turns]
    assert roles[0] == "user"
    assert all(before != after for before, after in itertools.pairwise(roles))


def test_the_oldest_turns_are_left_out_first() -> None:
    past = [turn("user", "new"), turn("assistant", "good " * 60), turn("user", "word " * 300)]
    prompt = assemble_prompt(system="", newest_first=past, window=WINDOW)
    assert [kept.text for kept in prompt.turns] == ["new"]


def test_no_more_turns_are_opened_than_fit() -> None:
    opened = 0

    def endless() -> object:
        nonlocal opened
        yield turn("user", "newest")
        while True:
            opened += 1
            yield turn("assistant", "word " * 40)
            yield turn("user", "good " * 40)

    assemble_prompt(system="", newest_first=endless(), window=WINDOW)
    assert opened < 10


def starts(sizes: list[int], window: Window, *, places: int = 2) -> list[int]:
    """Return where the prompts of a growing conversation begin, one for each of its questions.

    A question takes so many `places`: two, or more with answers that were written again.
    """
    past: list[PastTurn] = []
    seen = []
    for number, size in enumerate(sizes):
        seq = 1 + places * number
        text = f"{seq} "
        past.append(PastTurn("user", text, size // 4, seq))
        prompt = assemble_prompt(system="", newest_first=reversed(past), window=window)
        seen.append(int(prompt.turns[0].text))
        kept = [turn for turn in past if turn.seq >= seen[-1]]
        assert len(prompt.turns) == len(kept)
        past.append(PastTurn("assistant", "Answer.", size - size // 4, seq + places - 1))
    return seen


@pytest.mark.parametrize("places", [2, 3])
def test_a_conversation_beyond_the_window_begins_in_the_same_place_for_some_turns(
    places: int,
) -> None:
    window = Window(context=8_192, answer=1_024)
    draw = random.Random(1)  # noqa: S311 - the same each time
    seen = starts([draw.randint(60, 400) for _ in range(300)], window, places=places)
    assert seen == sorted(seen)
    # Once it is full, 30 questions or so fit. They would move on with each of them.
    full = seen[seen.index(next(start for start in seen if start > 1)) :]
    assert len(full) > 250
    assert len(set(full)) < len(full) / 3


def test_a_prompt_that_is_cut_still_fills_most_of_the_room() -> None:
    window = Window(context=8_192, answer=1_024)
    past = [
        PastTurn("user" if seq % 2 else "assistant", "word", 100, seq) for seq in range(999, 0, -1)
    ]
    for newest in range(0, 100, 2):
        prompt = assemble_prompt(system="", newest_first=past[newest:], window=window)
        used = 100 * len(prompt.turns)
        assert window.room("") * 3 / 4 - 200 <= used <= window.room("")


def test_a_conversation_that_fits_is_sent_whole() -> None:
    past = [turn("user", "third"), turn("assistant", "second"), turn("user", "first")]
    prompt = assemble_prompt(system="", newest_first=past, window=WINDOW)
    assert [kept.text for kept in prompt.turns] == ["first", "second", "third"]


def test_neighbours_of_one_role_are_joined() -> None:
    past = [turn("user", "second"), turn("user", "first")]
    prompt = assemble_prompt(system="", newest_first=past, window=WINDOW)
    assert [kept.text for kept in prompt.turns] == ["first\n\nsecond"]


def test_the_system_text_leaves_out_empty_parts() -> None:
    assert join_system("A", "", "  ", "B") == "A\n\nB"
