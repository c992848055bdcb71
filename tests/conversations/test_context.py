from __future__ import annotations

import itertools

from hypothesis import given, strategies as st

from conversations.context import PastTurn, Window, assemble_prompt, join_system
from llm.tokens import count_turn

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

    assemble_prompt(system="", newest_first=endless(), window=WINDOW)  # type: ignore[arg-type]
    assert opened < 10


def test_neighbours_of_one_role_are_joined() -> None:
    past = [turn("user", "second"), turn("user", "first")]
    prompt = assemble_prompt(system="", newest_first=past, window=WINDOW)
    assert [kept.text for kept in prompt.turns] == ["first\n\nsecond"]


def test_the_system_text_leaves_out_empty_parts() -> None:
    assert join_system("A", "", "  ", "B") == "A\n\nB"
