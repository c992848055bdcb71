"""The prompt of a generation, read from the database and opened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from uuid import UUID

from django.conf import settings

from chatbot.accounts.instructions import read_instructions
from chatbot.core.crypto import CannotOpen, DataCipher
from chatbot.core.errors import ChatError, MessageTooLong
from chatbot.core.metrics import CONTEXT_READS
from conversations.asked import read_asked
from conversations.context import Assembled, Window, assemble, join_system
from conversations.models import Conversation, Generation, Message, Status
from conversations.notes import due_tokens, tell_facts
from conversations.past import Beyond, Past, find_pasts, is_spoken
from conversations.pins import read_facts
from conversations.ranges import walk_range
from conversations.said import Said, say_nothing
from conversations.sealing import open_cipher, open_column, report_unreadable
from conversations.sizes import Gauge, StoredSize, gauge_of, read_size, size_of
from llm.catalog import ModelSpec
from llm.conf import get_registry
from llm.tokens import UNKNOWN, Scale
from llm.types import Prompt

# A window with less room beside the system text holds no conversation: others answer in it.
LEAST_ROOM = 400
NO_ROOM = "The system prompt and custom instructions leave no room for a message."


class ContentUnavailable(ChatError):
    code = "content_unavailable"
    status = 503
    sentence = "This conversation cannot be opened at the moment."


def window_of(spec: ModelSpec) -> Window:
    """Return what prompts may fill of a model's window: CONTEXT_TOKENS and the answer at most."""
    used = min(spec.context_window, settings.CONTEXT_TOKENS + spec.answer_tokens)
    return Window(used, spec.answer_tokens, spec.fitting_scale)


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
    windows = [window_of(spec) for spec in models]
    most = max((int(one.context / one.scale.least) for one in windows), default=0)
    finest = max((one.scale.least for one in windows), default=1.0)
    sizes: list[StoredSize] = []
    for _, _, *columns in walk_range(conversation_id, leaf, tokens=most):
        stored = read_size(*columns)
        sizes.append(stored)
        # Its model's own count may be less than the estimate.
        known = stored.size.total if stored.counted is None else int(stored.counted / finest)
        most -= min(stored.size.total, known)
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
            said = f"The message has about {tokens:,} tokens; {room:,} fit beside the instructions."
            raise MessageTooLong(said if room else NO_ROOM, detail=detail)
        if total + tokens > room:
            total = room
            break
        total += tokens
    return total + window.scale.count_turn(system)


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker needs of a generation: what to ask, and the message to answer with.

    An answer of more than `until_summary` tokens makes a summary due. `is_first` says that no earlier
    turn is told. `past` is what the prompt was made of, before the `question`.
    """

    prompt: Prompt
    answer: Message
    until_summary: int
    is_first: bool
    question: Said
    past: Past


def load_task(generation: Generation, spec: ModelSpec) -> Task:
    """Return the prompt for a generation's answer, and the pending answer.

    Raises ContentUnavailable when the question or the system prompt does not open. An older
    message that does not open is left out: it never reaches a model.
    """
    conversation = generation.conversation
    try:
        cipher = open_cipher(conversation)
        system = system_text(conversation, cipher)
        asked = read_asked(generation, cipher)
    except CannotOpen as exc:
        report_unreadable(f"prompt of generation {generation.pk}", exc)
        raise ContentUnavailable from exc
    if asked is None:
        raise ContentUnavailable  # Deleted meanwhile.
    window, gauge = window_of(spec), gauge_of(spec)
    most = int(window.room(system) / gauge.scale.least)
    pasts = find_pasts(conversation, cipher, leaf=asked.parent_seq, tokens=most)
    assembled, past = _assemble(system, asked.question, pasts, window, gauge)
    prompt = assembled.prompt
    due = due_tokens(smallest_room(conversation.user.plan, system, spec.fitting_scale))
    return Task(
        _within_budget(prompt, generation),
        asked.answer,
        until_summary=due - assembled.uncovered,
        is_first=len(prompt.turns) == 1 and not prompt.memory,
        question=asked.question,
        past=past,
    )


def _assemble(
    system: str, question: Said, pasts: Iterable[Past], window: Window, gauge: Gauge
) -> tuple[Assembled, Past]:
    for past in pasts:
        try:
            assembled = assemble(
                system=system,
                newest_first=chain([question.as_turn(gauge)], past.turns(gauge)),
                window=window,
                memories=past.memories,
            )
        except Beyond:
            continue
        CONTEXT_READS.labels(source=past.source).inc()
        return assembled, past
    raise AssertionError("The database goes back to the beginning.")


def keep_context(task: Task, text: str) -> None:
    """Keep what the next prompt of the conversation begins with, once the answer is stored.

    `text` is what it says. Nothing is raised: without it the next prompt is read again.
    """
    answer = task.answer
    if answer.status == Status.PENDING:
        return  # It was stored by an earlier try, and what of it is not known here.
    said = say_nothing(answer.seq, "assistant")
    if is_spoken(answer):
        size = size_of(answer)
        said = said._replace(
            tokens=size.size.total,
            wide=size.size.wide,
            counted=size.counted,
            model=size.model,
            text=text,
        )
    task.past.keep([task.question, said])


def _within_budget(prompt: Prompt, generation: Generation) -> Prompt:
    """Return the prompt for an answer as long as there was budget for."""
    if generation.max_output is None:
        return prompt  # Accepted by a release that reserved the longest.
    return replace(prompt, max_output=min(prompt.max_output, generation.max_output))
