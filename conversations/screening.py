"""What people send is judged before it counts: every door asks here.

A text is judged once, outside of any transaction. Whoever keeps it calls `Screened.settle` last of
all within theirs: what is refused for another reason is refused for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.errors import ChatError
from conversations.models import Screening
from conversations.opinions import ask_opinion, has_judge
from moderation.excerpts import Excerpt
from moderation.judging import judge, judge_again
from moderation.models import Action as Done, Source
from moderation.policies import current_policy
from moderation.policy import Action, Decision
from moderation.recording import Where, find_excerpt, note_event
from moderation.types import Surface

T = TypeVar("T")

# What a request says, and where; None and "" say nothing.
Texts = Sequence[tuple[Source, str | None]]


class MessageRefused(ChatError):
    code = "message_refused"
    status = 422
    sentence = "This goes against the rules of this service and was not accepted."


class OpinionWanted(Exception):
    """Before it is settled, another judge is to be asked, which takes time: see `hear`."""

    def __init__(self, screened: Screened) -> None:
        super().__init__()
        self.screened = screened


@dataclass(frozen=True, slots=True)
class Find:
    """A text that is not clean, and what is to be done with it."""

    text: str
    source: Source
    decision: Decision
    excerpt: Excerpt

    @property
    def is_refused(self) -> bool:
        return self.decision.action is Action.BLOCK


@dataclass(frozen=True, slots=True)
class Screened:
    """What was found in the texts of one request; `conversation_id` is where they were sent."""

    user: User
    conversation_id: UUID | None
    finds: tuple[Find, ...]

    @property
    def screening(self) -> Screening:
        """What is noted of a message beside its answer."""
        if any(find.decision.action is Action.SUPPORT for find in self.finds):
            return Screening.SUPPORT
        return Screening.FLAGGED if self.finds else Screening.CLEAN

    def settle(
        self,
        *,
        conversation_id: UUID | None = None,
        generation_id: UUID | None = None,
        message_seq: int | None = None,
    ) -> None:
        """Note in the caller's transaction what was flagged. Raises MessageRefused."""
        if refused := self._refused():
            raise _refusal(refused.decision)
        for find in self.finds:
            # Support is given in answers; other texts have none.
            is_helped = generation_id and find.decision.action is Action.SUPPORT
            where = Where(
                self.user.pk,
                self.user.plan,
                find.source,
                conversation_id=conversation_id or self.conversation_id,
                generation_id=generation_id,
                message_seq=message_seq,
            )
            done = Done.SUPPORTED if is_helped else Done.FLAGGED
            note_event(find.excerpt, find.decision, done, where)

    def note_refused(self, *, identity: UUID | None = None) -> None:
        """Note what was refused, after it was rolled back. The same `identity` is noted once."""
        refused = self._refused()
        assert refused is not None
        where = Where(
            self.user.pk, self.user.plan, refused.source, conversation_id=self.conversation_id
        )
        note_event(refused.excerpt, refused.decision, Done.BLOCKED, where, identity=identity)

    def _refused(self) -> Find | None:
        refused = [find for find in self.finds if find.is_refused]
        return max(refused, key=lambda find: find.decision.score, default=None)


def _refusal(decision: Decision) -> MessageRefused:
    detail: dict[str, Any] = {"category": str(decision.category)}
    if decision.is_in_need:
        # Whatever else was said: nobody in need is left with a refusal alone.
        detail["supportMessage"] = current_policy().support_message
    return MessageRefused(detail=detail)


def screen_texts(user: User, texts: Texts, *, conversation_id: UUID | None = None) -> Screened:
    """Return what is found in texts that a person sent; milliseconds, and no store is asked.

    Raises OpinionWanted where another judge is set that should be heard about one of them.
    """
    finds = []
    for source, text in texts:
        if not text or not text.strip():
            continue
        decision = judge(text, surface=Surface.INPUT, plan=user.plan)
        if not decision.is_clean:
            finds.append(Find(text, source, decision, find_excerpt(text, Surface.INPUT)))
    screened = Screened(user, conversation_id, tuple(finds))
    if has_judge() and any(find.decision.is_doubtful for find in finds):
        raise OpinionWanted(screened)
    return screened


async def hear(screened: Screened) -> Screened:
    """Return what is found once the other judge was heard; where it is silent, nothing changes."""
    finds = []
    for find in screened.finds:
        said = None
        if find.decision.is_doubtful:
            said = await ask_opinion(screened.user, find.text)
        if said is not None:
            find = replace(find, decision=judge_again(find.decision, said, plan=screened.user.plan))
        if not find.decision.is_clean:
            finds.append(find)
    return replace(screened, finds=tuple(finds))


async def keep_screened(
    user: User,
    texts: Texts,
    keep: Callable[[Screened], T],
    *,
    conversation_id: UUID | None = None,
) -> T:
    """Judge the texts, run `keep` on a database thread, and note what it refused.

    `keep` settles what was found. Raises MessageRefused, or what else it raises.
    """

    def screen_and_keep() -> T:
        return finish(screen_texts(user, texts, conversation_id=conversation_id))

    def finish(screened: Screened) -> T:
        try:
            return keep(screened)
        except MessageRefused:
            screened.note_refused()
            raise

    try:
        return await db_call(screen_and_keep)
    except OpinionWanted as wanted:
        screened = await hear(wanted.screened)
    return await db_call(finish, screened)
