"""The check of what is still known later on, without a model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.core.management import CommandError, call_command

from conversations.context import PastTurn, Window
from conversations.extracting import extract_notes
from conversations.notes import tell_facts
from conversations.recall import MakeNotes, begin, plan_talk, read_sayings, replay

WINDOW = Window(context=2_048, answer=64)
EXCHANGES = 48


async def extract(notes: str, turns: Sequence[PastTurn], limit: int) -> str:
    return extract_notes(notes, turns, limit)


async def known(make_notes: MakeNotes | None, *, pinned: bool = False) -> list[float]:
    sayings = read_sayings()
    questions = plan_talk(sayings, EXCHANGES, seed=1)
    said = [text for question in questions for text in (question, "Well, it depends. " * 12)]
    system = tell_facts([fact.says for fact in sayings.facts]) if pinned else ""
    return await replay(said, begin(WINDOW, system, make_notes), sayings.facts, lambda: None)


async def test_notes_know_later_what_plain_truncation_has_lost() -> None:
    truncated, noted = await known(None), await known(extract)
    assert truncated[10] == noted[10] == 1
    assert truncated[-1] == 0
    assert noted[-1] >= 0.5


async def test_what_is_pinned_is_known_for_ever() -> None:
    assert set(await known(None, pinned=True)) == {1.0}


@pytest.mark.parametrize("held", [False, True])
def test_no_small_talk_tells_a_fact(held: bool) -> None:
    sayings = read_sayings(held=held)
    for text in (*sayings.asides, *sayings.questions):
        assert not any(fact.stands_in(text) for fact in sayings.facts)
    assert all(fact.stands_in(fact.says) for fact in sayings.facts)


def test_a_talk_too_short_for_its_facts_is_refused() -> None:
    with pytest.raises(CommandError, match="16 facts"):
        call_command("evaluate_memory", "--exchanges", "3")
