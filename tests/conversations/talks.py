"""Conversations that go on as in production, without a model: each turn asked, loaded and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.test import override_settings

from chatbot.accounts.models import User
from conversations.claims import Claim, load_claimed
from conversations.models import Conversation, Generation, Message, Role, State, Status
from conversations.prompts import Task, keep_context, load_task
from conversations.sealing import open_cipher, seal_message
from llm.catalog import ModelSpec
from llm.catalog_file import load_catalog
from llm.tokens import TOKEN_MARGIN, Scale
from tests.conversations.rows import put_message
from tests.factories import make_conversation


def narrow_spec(context: int = 900, answer: int = 100) -> ModelSpec:
    """Return a local model with a small window.

    With the margin, a message takes as many tokens of it as are stored of it.
    """
    spec = next(spec for spec in load_catalog().models if spec.is_local)
    scale = Scale(1 / TOKEN_MARGIN, 1 / TOKEN_MARGIN)
    return replace(spec, context_window=context, answer_tokens=answer, token_scale=scale)


class Talk:
    """One conversation, and the entry that its turns keep."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.conversation: Conversation = make_conversation(user)
        # The answers that there are, whatever became of them.
        self.answers: list[int] = []
        self.questions: list[int] = []
        self._seq = 0

    def ask(self, text: str, *, parent: int | None, tokens: int = 20, wide: int = 0) -> Generation:
        """Write a question and its pending answer; return the generation as a worker claims it."""
        question = self._next()
        put_message(
            self.conversation,
            question,
            text,
            parent=parent,
            role=Role.USER,
            token_count=tokens,
            wide_tokens=wide,
        )
        self.questions.append(question)
        return self.answer_again(question)

    def answer_again(self, question: int) -> Generation:
        answer = Message.objects.create(
            conversation=self.conversation,
            seq=self._next(),
            parent_seq=question,
            role=Role.ASSISTANT,
            status=Status.PENDING,
        )
        row = Generation.objects.create(
            conversation=self.conversation,
            user=self.user,
            answer_seq=answer.seq,
            answer_id=answer.id,
            state=State.COMPLETED,
            idempotency_key=str(answer.id),
            requested_model="auto",
            budget_month="2026-11-01",
        )
        return claimed(row)

    def store(
        self,
        task: Task,
        text: str,
        *,
        status: Status = Status.COMPLETE,
        tokens: int = 20,
        wide: int = 0,
        counted: int | None = None,
        model: str = "",
    ) -> None:
        """Store an answer as `finish_generation` does."""
        seq = task.answer.seq
        sealed = seal_message(open_cipher(self.conversation), self.conversation.pk, seq, text)
        said = {
            "status": status,
            "token_count": tokens,
            "wide_tokens": wide,
            "counted_tokens": counted,
            "model": model,
        }
        Message.objects.filter(conversation=self.conversation, seq=seq).update(
            content_sealed=sealed, **said
        )
        for name, value in said.items():
            setattr(task.answer, name, value)
        self.answers.append(seq)

    def finish(
        self, task: Task, text: str, *, status: Status = Status.COMPLETE, **size: Any
    ) -> None:
        """Store an answer, then keep what it leaves for the next prompt."""
        self.store(task, text, status=status, **size)
        keep_context(task, text)

    def turn(self, text: str, spec: ModelSpec, *, parent: int | None) -> Task:
        """Ask and answer."""
        task = load_task(self.ask(text, parent=parent), spec)
        self.finish(task, f"answer to {text}")
        return task

    @property
    def last(self) -> int | None:
        return self.answers[-1] if self.answers else None

    def _next(self) -> int:
        self._seq += 1
        return self._seq


def claimed(row: Generation) -> Generation:
    """Return a generation with all that a worker reads of it."""
    claim = Claim(row.pk, row.conversation_id, row.attempt, "test", 1)
    return load_claimed([claim])[row.pk]


@contextmanager
def without_cache() -> Iterator[None]:
    with override_settings(REDIS_URL=""):
        yield


def same(one: Task, other: Task) -> bool:
    """Whether two tasks ask the same, of the same size, and lead to the same."""
    return (one.prompt, one.question, one.until_summary, one.is_first, one.answer.created) == (
        other.prompt,
        other.question,
        other.until_summary,
        other.is_first,
        other.answer.created,
    )
