"""The question of a generation and its pending answer, which come with the generation's own row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from chatbot.core.crypto import DataCipher
from chatbot.core.prepared import PreparedSelect
from conversations.models import Generation, Message, Role, Status
from conversations.said import Said
from conversations.sealing import open_content

G = TypeVar("G", bound=Generation)

_ANSWER = ("parent_seq", "created")
_QUESTION = ("seq", "parent_seq", "content_sealed", "token_count", "wide_tokens")


def with_asked(rows: QuerySet[G]) -> QuerySet[G]:
    """Return these generations with what `read_asked` looks for: by key, and without a query more."""
    answer = Message.objects.filter(
        conversation_id=OuterRef("conversation_id"), seq=OuterRef("answer_seq")
    )
    rows = rows.annotate(**{f"answer_{name}": Subquery(answer.values(name)) for name in _ANSWER})
    question = Message.objects.filter(
        conversation_id=OuterRef("conversation_id"), seq=OuterRef("answer_parent_seq")
    )
    found: QuerySet[G] = rows.annotate(
        **{f"question_{name}": Subquery(question.values(name)) for name in _QUESTION}
    )
    return found


_alone = PreparedSelect(
    lambda at: with_asked(Generation.objects.filter(pk=at.id)).only("pk"), id=UUID
)


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """What is to be answered, the message before it, and the answer as it will be read."""

    question: Said
    parent_seq: int | None
    answer: Message


def read_asked(generation: Generation, cipher: DataCipher) -> AskedTurn | None:
    """Return what a generation is to answer; None if it is deleted.

    Raises CannotOpen when the question does not open.
    """
    row = vars(generation)
    if "question_seq" not in row:
        found = _alone.objects(id=generation.pk)
        row = vars(found[0]) if found else {}
    seq, sealed = row.get("question_seq"), row.get("question_content_sealed")
    if seq is None or sealed is None:
        return None
    place = generation.conversation_id
    text = open_content(cipher, place, seq, sealed)
    answer = Message(
        conversation_id=place,
        seq=generation.answer_seq,
        id=generation.answer_id,
        parent_seq=seq,
        role=Role.ASSISTANT,
        status=Status.PENDING,
        created=row["answer_created"],
    )
    tokens, wide = row["question_token_count"], row["question_wide_tokens"]
    question = Said(seq, "user", tokens, wide, None, "", text)
    return AskedTurn(question, row["question_parent_seq"], answer)
