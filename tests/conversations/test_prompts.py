"""What a model is shown of a conversation, and what it is never shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_django import Settings

from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import User
from conversations.models import Conversation, Generation, Message, Role, Status
from conversations.prompts import (
    ContentUnavailable,
    count_prompt,
    load_task,
    read_sizes,
    system_text,
    window_of,
)
from conversations.sealing import open_cipher, seal_column
from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.tokens import TOKEN_MARGIN, Scale
from tests.conversations.rows import put_generation, put_message
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spec() -> ModelSpec:
    """A model for which, with the margin, a message takes as many tokens as are stored of it."""
    local = next(spec for spec in load_catalog().models if spec.is_local)
    return replace(local, token_scale=Scale(1 / TOKEN_MARGIN, 1 / TOKEN_MARGIN))


def ask(conversation: Conversation, seq: int, text: str, parent: int | None) -> Generation:
    """Write a question and queue its answer."""
    put_message(conversation, seq, text, parent=parent, role=Role.USER)
    answer = Message.objects.create(
        conversation=conversation,
        seq=seq + 1,
        parent_seq=seq,
        role=Role.ASSISTANT,
        status=Status.PENDING,
    )
    return put_generation(conversation, answer)


def said(generation: Generation, spec: ModelSpec) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in load_task(generation, spec).prompt.turns]


def damage(**where: object) -> None:
    Message.objects.filter(**where).update(content_sealed=b"\x01damaged")


def test_the_service_the_conversation_and_the_person_speak_in_this_order(
    user: User, settings: Settings
) -> None:
    settings.SYSTEM_PROMPT = "Of the service."
    conversation = make_conversation(user)
    cipher = open_cipher(conversation)
    sealed = seal_column(cipher, conversation.pk, "system_prompt", "Of the conversation.")
    conversation.system_prompt_sealed = sealed
    write_instructions(user, "Of the person.")
    user.refresh_from_db()
    expected = "Of the service.\n\nOf the conversation.\n\nOf the person."
    assert system_text(conversation, cipher) == expected


def test_a_prompt_is_the_branch_that_leads_to_the_answer(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    put_message(conversation, 1, "first question")
    put_message(conversation, 2, "first answer", parent=1)
    put_message(conversation, 3, "a question since edited", parent=2)
    put_message(conversation, 4, "its answer", parent=3)
    generation = ask(conversation, 5, "the edited question", parent=2)
    assert said(generation, spec) == [
        ("user", "first question"),
        ("assistant", "first answer"),
        ("user", "the edited question"),
    ]


@pytest.mark.parametrize(
    ("status", "is_said"),
    [(Status.COMPLETE, True), (Status.STOPPED, True), (Status.FAILED, False)],
)
def test_half_an_answer_is_said_only_where_the_reader_stopped_it(
    user: User, spec: ModelSpec, status: Status, is_said: bool
) -> None:
    conversation = make_conversation(user)
    put_message(conversation, 1, "a question")
    put_message(conversation, 2, "half an", parent=1, status=status)
    generation = ask(conversation, 3, "and?", parent=2)
    assert (("assistant", "half an") in said(generation, spec)) is is_said


def test_what_was_withdrawn_is_never_said_again(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    put_message(conversation, 1, "a question")
    put_message(conversation, 2, "harm", parent=1, status=Status.HALTED)
    generation = ask(conversation, 3, "and?", parent=2)
    assert said(generation, spec) == [("user", "a question\n\nand?")]


def test_an_older_message_that_does_not_open_is_left_out(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    put_message(conversation, 1, "readable")
    put_message(conversation, 2, "damaged soon", parent=1)
    generation = ask(conversation, 3, "and?", parent=2)
    damage(conversation=conversation, seq=2)
    assert said(generation, spec) == [("user", "readable\n\nand?")]


def test_a_question_that_does_not_open_is_not_answered(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    generation = ask(conversation, 1, "damaged soon", parent=None)
    damage(conversation=conversation, seq=1)
    with pytest.raises(ContentUnavailable):
        load_task(generation, spec)


def test_a_system_prompt_that_does_not_open_is_not_left_out(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    generation = ask(conversation, 1, "Hi", parent=None)
    generation.conversation.system_prompt_sealed = b"\x01damaged"
    with pytest.raises(ContentUnavailable):
        load_task(generation, spec)


def test_a_prompt_takes_what_its_window_holds_newest_first(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    for seq in range(1, 9):
        put_message(conversation, seq, f"message {seq}", parent=seq - 1 or None, token_count=100)
    generation = ask(conversation, 9, "and?", parent=8)
    narrow = replace(spec, context_window=500, answer_tokens=100)
    texts = [text for _, text in said(generation, narrow)]
    assert texts == ["message 7", "message 8", "and?"]


def test_sizes_are_read_as_far_as_any_window_goes_though_answers_were_counted_as_less(
    user: User, spec: ModelSpec
) -> None:
    conversation = make_conversation(user)
    size = {"token_count": 100, "counted_tokens": 50, "model": spec.name}
    for seq in range(1, 31):
        put_message(conversation, seq, f"message {seq}", parent=seq - 1 or None, **size)
    narrow = replace(spec, context_window=1_100, answer_tokens=100)
    # Eleven of them by the estimate, and more than 18 by what the model itself counted.
    sizes = read_sizes(conversation.pk, 30, [narrow])
    assert count_prompt(sizes, "", narrow) > 900
    assert len(sizes) < 30


def test_counting_opens_no_message_and_stays_within_the_window(user: User, spec: ModelSpec) -> None:
    conversation = make_conversation(user)
    for seq in range(1, 9):
        put_message(conversation, seq, f"message {seq}", parent=seq - 1 or None, token_count=100)
    damage(conversation=conversation)
    whole = count_prompt(read_sizes(conversation.pk, 8, [spec]), "", spec)
    assert 800 <= whole < 900
    narrow = replace(spec, context_window=500, answer_tokens=100)
    assert 300 <= count_prompt(read_sizes(conversation.pk, 8, [spec]), "", narrow) <= 400


def test_of_a_large_window_no_more_is_used_than_is_set(
    user: User, spec: ModelSpec, settings: Settings
) -> None:
    settings.CONTEXT_TOKENS = 1_000
    wide = replace(spec, context_window=1_000_000)
    conversation = make_conversation(user)
    for seq in range(1, 401):
        role = Role.USER if seq % 2 else Role.ASSISTANT
        put_message(conversation, seq, "word " * 20, parent=seq - 1 or None, role=role)
    generation = ask(conversation, 401, "And now?", parent=400)
    task = load_task(generation, wide)
    system = system_text(conversation, open_cipher(conversation))
    sizes = read_sizes(conversation.pk, 401, [wide])
    assert 500 <= count_prompt(sizes, system, wide) <= 1_000
    assert 4 < len(task.prompt.turns) < len(sizes) < 150
    assert window_of(wide).room(system) <= 1_000
