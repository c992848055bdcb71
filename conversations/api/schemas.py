"""What the API answers, as schemas; requests are in `conversations.events`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    # Not ninja's Schema: that reads each field of each row through a lookup made for templates,
    # seven times the work for a page of messages.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ErrorDetail(Answer):
    code: str
    message: str
    retry_after: int | None = None
    detail: dict[str, object] | None = None


class ErrorBody(Answer):
    error: ErrorDetail


class ConversationItem(Answer):
    conversation_id: UUID
    title: str
    model: str
    pinned: bool
    archived: bool
    created_at: datetime
    updated_at: datetime


class SnippetPart(Answer):
    text: str
    is_match: bool


class SearchMatch(Answer):
    """What was found: a message, or the title, which has no place, id or role."""

    seq: int | None
    message_id: UUID | None
    role: Literal["user", "assistant"] | None
    created_at: datetime
    snippet: list[SnippetPart]


class ConversationFound(ConversationItem):
    match: SearchMatch | None = None


class ConversationDetail(ConversationItem):
    system_prompt: str | None


class ConversationList(Answer):
    items: list[ConversationFound]
    next_cursor: str | None


class FeedbackView(Answer):
    rating: Literal["up", "down"]
    comment: str


class MessageError(Answer):
    code: str
    message: str


class UsageView(Answer):
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_micros: int


class MessageView(Answer):
    message_id: UUID
    seq: int
    parent_seq: int | None
    role: Literal["user", "assistant"]
    content: str | None
    status: Literal["complete", "pending", "stopped", "halted", "failed", "unavailable"]
    model: str | None
    route_reason: str | None
    token_count: int
    created_at: datetime
    generation_id: UUID | None
    stop_reason: str | None
    error: MessageError | None
    usage: UsageView | None
    feedback: FeedbackView | None
    siblings: list[int]


class GenerationRef(Answer):
    generation_id: UUID
    message_id: UUID
    events_url: str


class MemoryLimits(Answer):
    summary_tokens: int
    pinned_tokens: int
    pinned_facts: int


class MemoryView(Answer):
    version: int
    summary: str | None
    covers_seq: int | None
    is_corrected: bool
    updated_at: datetime | None
    pinned_facts: list[str]
    limits: MemoryLimits


class ConversationPage(ConversationDetail):
    memory_version: int
    summary_seq: int | None
    active_generation: GenerationRef | None
    messages: list[MessageView]
    next_cursor: int | None
    newer_cursor: int | None


class ModelItem(Answer):
    name: str
    display_name: str
    provider: str
    tier: str
    context_window: int
    max_output: int
    in_plan: bool


class ModelList(Answer):
    items: list[ModelItem]
    default: str
    reasons: dict[str, str]


class BudgetView(Answer):
    limit: int
    reserved: int
    spent: int
    remaining: int
    resets_at: datetime


class RateWindow(Answer):
    limit: int
    remaining: int
    resets_in: int


class AppealView(Answer):
    made_at: datetime
    is_granted: bool | None
    answer: str
    decided_at: datetime | None


class SuspensionView(Answer):
    """`until` is null where it holds until somebody lifts it."""

    reason: str
    created_at: datetime
    until: datetime | None
    may_appeal: bool
    appeal: AppealView | None


class WarningView(Answer):
    warning_id: UUID
    text: str
    created_at: datetime


class StandingView(Answer):
    suspension: SuspensionView | None
    warnings: list[WarningView]
    slowed_until: datetime | None


class Me(Answer):
    user_id: UUID
    email: str
    plan: str
    custom_instructions: str | None
    rate_limit: int
    rate_limit_remaining: int
    rate_limits: dict[str, RateWindow]
    budget: BudgetView
    standing: StandingView
