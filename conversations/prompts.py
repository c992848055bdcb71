"""The prompt of a generation, read from the database and opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast
from uuid import UUID

from django.conf import settings

from chatbot.accounts.instructions import read_instructions
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.errors import ChatError, MessageTooLong
from conversations.context import PastTurn, Window, assemble, join_system
from conversations.models import Conversation, Generation, Message, Status
from conversations.notes import due_tokens, tell_facts
from conversations.pins import read_facts
from conversations.queries import walk_branch, walk_sizes
from conversations.sealing import open_cipher, open_column, open_message, report_unreadable
from conversations.sizes import NEUTRAL, Gauge, StoredSize, gauge_of, size_of
from conversations.summaries import read_memories
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.tokens import UNKNOWN, Scale
from llm.types import Prompt

# A window with less room beside the system text holds no conversation: others answer in it.
LEAST_ROOM = 400
NO_ROOM = "The system prompt and custom instructions leave no room for a message."
# A failed answer may hold half a sentence, a halted one what must not be said again.
_SPOKEN = frozenset({Status.COMPLETE, Status.STOPPED})


class ContentUnavailable(ChatError):
    code = "content_unavailable"
    status = 503
    sentence = "This conversation cannot be opened at the moment."


def window_of(spec: ModelSpec) -> Window:
    return Window(spec.context_window, spec.answer_tokens, spec.fitting_scale)


def smallest_room(plan: str, system: str, scale: Scale = UNKNOWN) -> int:
    """Return the tokens that turns have beside this system text, in the smallest window in use.

    They are tokens of this `scale`, about, whichever model's window it is. Whoever answers next, of
    the models of a plan, has at least so many. 0 where nobody can.
    """
    windows = [window_of(spec) for spec in get_registry().models() if plan in spec.plans]
    rooms = [
        int(room * scale.plain / window.scale.plain)
        for window in windows
        if (room := window.room(system)) >= LEAST_ROOM
    ]
    return min(rooms, default=0)


def system_text(conversation: Conversation, cipher: DataCipher) -> str:
    """Return what stands before all else. Raises CannotOpen: it is never left out silently."""
    return join_system(
        settings.SYSTEM_PROMPT,
        open_column(cipher, conversation, "system_prompt"),
        read_instructions(conversation.user),
        tell_facts(read_facts(conversation, cipher)),
    )


def read_sizes(
    conversation_id: UUID, leaf: int | None, models: Iterable[ModelSpec]
) -> list[StoredSize]:
    """Return the sizes of a branch's messages, newest first, until they fill any model's window."""
    most = max((spec.context_window / spec.fitting_scale.least for spec in models), default=0)
    sizes: list[StoredSize] = []
    for stored in walk_sizes(conversation_id, leaf):
        sizes.append(stored)
        most -= stored.size.total
        if most < 0:
            break
    return sizes


def count_prompt(sizes: Iterable[StoredSize], system: str, spec: ModelSpec) -> int:
    """Return how many tokens a prompt has, at most, from those of its turns, newest first.

    Where not all fit, that is the whole room: a summary may take what the turns leave. Raises
    MessageTooLong, with its size and the limit, when the newest alone is too much.
    """
    window, gauge = window_of(spec), gauge_of(spec)
    room = max(0, window.room(system))
    total = 0
    for place, tokens in enumerate(stored.fit(gauge) for stored in sizes):
        if not place and tokens > room:
            detail = {"tokens": tokens, "limit": room, "model": spec.name}
            raise MessageTooLong(None if room else NO_ROOM, detail=detail)
        if total + tokens > room:
            total = room
            break
        total += tokens
    return total + window.scale.count_turn(system)


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker needs of a generation: what to ask, and the message to answer with.

    An answer of more than `until_summary` tokens makes a summary due. `is_first` says that no earlier
    turn is told.
    """

    prompt: Prompt
    answer: Message
    until_summary: int
    is_first: bool


def load_task(generation: Generation, spec: ModelSpec) -> Task:
    """Return the prompt for a generation's answer, and the pending answer.

    Raises ContentUnavailable when the question or the system prompt does not open. An older
    message that does not open is left out: it never reaches a model.
    """
    conversation = generation.conversation
    try:
        cipher = open_cipher(conversation)
        system = system_text(conversation, cipher)
        branch = walk_branch(conversation.pk, generation.answer_seq)
        answer = next(branch, None)
        if answer is None:
            raise ContentUnavailable  # Deleted meanwhile.
        assembled = assemble(
            system=system,
            newest_first=past_turns(branch, cipher, gauge_of(spec)),
            window=window_of(spec),
            memories=read_memories(conversation, cipher),
        )
        prompt = assembled.prompt
        due = due_tokens(smallest_room(conversation.user.plan, system, spec.fitting_scale))
        return Task(
            _within_budget(prompt, generation),
            answer,
            until_summary=due - assembled.uncovered,
            is_first=len(prompt.turns) == 1 and not prompt.memory,
        )
    except CannotOpen as exc:
        report_unreadable(f"prompt of generation {generation.pk}", exc)
        raise ContentUnavailable from exc


def _within_budget(prompt: Prompt, generation: Generation) -> Prompt:
    """Return the prompt for an answer as long as there was budget for."""
    if generation.max_output is None:
        return prompt  # Accepted by a release that reserved the longest.
    return replace(prompt, max_output=min(prompt.max_output, generation.max_output))


def past_turns(branch: Iterator[Message], cipher: DataCipher, gauge: Gauge) -> Iterator[PastTurn]:
    """Yield what a question says, then what was said before it, newest first.

    Raises ContentUnavailable without a question, and CannotOpen when that does not open.
    """
    question = next(branch, None)
    if question is None:
        raise ContentUnavailable  # Deleted meanwhile.
    yield _past_turn(question, cipher, gauge)
    yield from spoken_turns(branch, cipher, gauge)


def spoken_turns(
    branch: Iterable[Message], cipher: DataCipher, gauge: Gauge = NEUTRAL
) -> Iterator[PastTurn]:
    """Yield what of a branch a model may be told; what does not open is left out."""
    for message in branch:
        if message.status not in _SPOKEN or not message.token_count:
            continue
        try:
            yield _past_turn(message, cipher, gauge)
        except CannotOpen as exc:
            report_unreadable(f"message {message}", exc)


def _past_turn(message: Message, cipher: DataCipher, gauge: Gauge) -> PastTurn:
    role = cast(Literal["user", "assistant"], message.role)
    text = open_message(cipher, message)
    return PastTurn(role, text, size_of(message).fit(gauge), message.seq)
