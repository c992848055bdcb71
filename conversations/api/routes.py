"""Conversations, messages and generations over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from ninja import Query, Router, Status
from pydantic import StringConstraints

from chatbot.accounts.auth import authenticate
from chatbot.accounts.models import User
from chatbot.core.db import db_call
from chatbot.core.errors import BadRequest
from conversations.api.schemas import (
    ConversationDetail,
    ConversationList,
    ConversationPage,
    GenerationRef,
    MemoryView,
)
from conversations.api.sse import stream_response
from conversations.changes import (
    change_conversation,
    create_conversation,
    delete_conversation,
    give_feedback,
    show_message,
)
from conversations.events import (
    MAX_TITLE_CHARS,
    AtMost,
    ChangeConversation,
    ChangeMemory,
    CleanText,
    CreateConversation,
    GiveFeedback,
    RegenerateRequest,
    SendRequest,
    Seq,
    is_client_key,
    parse_cursor,
)
from conversations.history import PageRequest
from conversations.listing import list_conversations
from conversations.memory import change_memory, read_memory, read_page
from conversations.queries import LIST_LIMIT
from conversations.reading import open_reading, read_turn
from conversations.search.finding import search_conversations
from conversations.turns import StartedTurn, regenerate_answer, start_turn, stop_generation
from conversations.views import refer_to

router = Router(tags=["conversations"], by_alias=True)

Limit = Annotated[int, Query(ge=1, le=LIST_LIMIT)]
SearchText = Annotated[CleanText, AtMost(MAX_TITLE_CHARS)]
PageCursor = Annotated[str, StringConstraints(max_length=200)]

STREAM = {
    "responses": {
        200: {
            "description": "Server-sent events: queued, started, delta, snapshot, then one of "
            "done, stopped, halted, failed. Each has the id `attempt-seq`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }
}


def caller(request: HttpRequest) -> User:
    user: User = request.auth  # type: ignore[attr-defined]  # set by ninja from `authenticate`
    return user


def idempotency_key(request: HttpRequest) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not is_client_key(key):
        raise BadRequest("An Idempotency-Key is 1 to 200 visible ASCII characters.")
    return key


@router.post("/conversations", response={200: ConversationDetail, 201: ConversationDetail})
async def create(request: HttpRequest, body: CreateConversation) -> Any:
    view, is_new = await create_conversation(
        caller(request), body, idempotency_key=idempotency_key(request)
    )
    return Status(201 if is_new else 200, view)


@router.get("/conversations", response={200: ConversationList})
async def index(
    request: HttpRequest,
    cursor: PageCursor | None = None,
    limit: Limit = 30,
    q: SearchText = "",
    archived: bool = False,
) -> Any:
    user = caller(request)
    if q:
        return await db_call(search_conversations, user, q, cursor=cursor, limit=limit)
    return await db_call(list_conversations, user.pk, cursor=cursor, limit=limit, archived=archived)


@router.get("/conversations/{uuid:conversation_id}", response={200: ConversationPage})
async def show(
    request: HttpRequest,
    conversation_id: UUID,
    before: Seq | None = None,
    after: Seq | None = None,
    around: Seq | None = None,
    limit: Limit = 50,
) -> Any:
    user = caller(request)
    page = PageRequest(limit=limit, before=before, after=after, around=around)
    return await db_call(read_page, user.pk, conversation_id, page)


@router.patch("/conversations/{uuid:conversation_id}", response={200: ConversationDetail})
async def change(request: HttpRequest, conversation_id: UUID, body: ChangeConversation) -> Any:
    return await change_conversation(caller(request), conversation_id, body)


@router.delete("/conversations/{uuid:conversation_id}", response={204: None})
async def delete(request: HttpRequest, conversation_id: UUID) -> Any:
    await delete_conversation(caller(request), conversation_id)
    return Status(204, None)


@router.get("/conversations/{uuid:conversation_id}/memory", response={200: MemoryView})
async def memory(request: HttpRequest, conversation_id: UUID) -> Any:
    return await db_call(read_memory, caller(request).pk, conversation_id)


@router.put("/conversations/{uuid:conversation_id}/memory", response={200: MemoryView})
async def remember(request: HttpRequest, conversation_id: UUID, body: ChangeMemory) -> Any:
    return await change_memory(caller(request), conversation_id, body)


# Sends have limits of their own: these two are not counted among the other requests.
@router.post(
    "/conversations/{uuid:conversation_id}/messages",
    auth=authenticate,
    response={202: GenerationRef},
    openapi_extra=STREAM,
)
async def send(request: HttpRequest, conversation_id: UUID, body: SendRequest) -> HttpResponseBase:
    user = caller(request)
    turn = await start_turn(user, conversation_id, body, idempotency_key=idempotency_key(request))
    return await _answer_turn(request, user, turn)


@router.post(
    "/conversations/{uuid:conversation_id}/messages/{int:seq}/regenerate",
    auth=authenticate,
    response={202: GenerationRef},
    openapi_extra=STREAM,
)
async def regenerate(
    request: HttpRequest, conversation_id: UUID, seq: Seq, body: RegenerateRequest | None = None
) -> HttpResponseBase:
    user = caller(request)
    turn = await regenerate_answer(
        user,
        conversation_id,
        seq,
        body or RegenerateRequest(),
        idempotency_key=idempotency_key(request),
    )
    return await _answer_turn(request, user, turn)


async def _answer_turn(request: HttpRequest, user: User, turn: StartedTurn) -> HttpResponseBase:
    """Stream the answer, or say where its stream is to a client that prefers JSON."""
    response: HttpResponseBase
    if request.get_preferred_type(["text/event-stream", "application/json"]) == "application/json":
        response = JsonResponse(refer_to(turn.generation_id, turn.message_id), status=202)
    else:
        response = await stream_response(await read_turn(user, turn), user.pk)
    for name, value in turn.rate.headers().items():
        response[name] = value
    return response


@router.post(
    "/conversations/{uuid:conversation_id}/messages/{int:seq}/show",
    response={204: None},
)
async def show_branch(request: HttpRequest, conversation_id: UUID, seq: int) -> Any:
    await show_message(caller(request), conversation_id, seq)
    return Status(204, None)


@router.put(
    "/conversations/{uuid:conversation_id}/messages/{int:seq}/feedback",
    response={204: None},
)
async def feedback(
    request: HttpRequest, conversation_id: UUID, seq: Seq, body: GiveFeedback
) -> Any:
    await give_feedback(caller(request), conversation_id, seq, body)
    return Status(204, None)


@router.get(
    "/generations/{uuid:generation_id}/events",
    response={204: None},
    openapi_extra=STREAM,
)
async def events(
    request: HttpRequest, generation_id: UUID, after: str | None = None
) -> HttpResponseBase:
    cursor = parse_cursor(request.headers.get("Last-Event-ID") or after)
    user = caller(request)
    return await stream_response(await open_reading(user, generation_id, cursor), user.pk)


@router.post("/generations/{uuid:generation_id}/stop", response={202: GenerationRef})
async def stop(request: HttpRequest, generation_id: UUID) -> Any:
    return Status(202, await stop_generation(caller(request), generation_id))
