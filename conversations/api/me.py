"""The caller's own account, and the models there are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from ninja import Router, Status

from chatbot.accounts.auth import authenticate_even_suspended
from chatbot.accounts.budgets import read_budget
from chatbot.accounts.instructions import read_instructions
from chatbot.accounts.limits import read_rate
from chatbot.accounts.models import User
from chatbot.accounts.standing import read_standing
from chatbot.accounts.suspensions import appeal, note_seen
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from conversations.api.routes import caller
from conversations.api.schemas import Me, ModelItem, ModelList, StandingView
from conversations.changes import change_instructions
from conversations.events import ChangeMe, MakeAppeal
from conversations.export import erase_person, export_person
from conversations.prompts import ContentUnavailable
from conversations.sealing import report_unreadable
from llm.conf import get_registry
from llm.routing import Reason

router = Router(tags=["account"], by_alias=True)


@router.get("/models", response={200: ModelList})
async def models(request: HttpRequest) -> Any:
    registry, plan = get_registry(), caller(request).plan
    items = [
        ModelItem(
            name=spec.name,
            display_name=spec.display_name,
            provider=spec.provider,
            tier=spec.tier,
            context_window=spec.context_window,
            max_output=spec.max_output,
            in_plan=plan in spec.plans,
        )
        for spec in registry.models()
    ]
    reasons = {str(reason): reason.sentence for reason in Reason}
    return ModelList(items=items, default=registry.default.name, reasons=reasons)


def _read_me(user: User) -> dict[str, Any]:
    rate, budget = read_rate(user), read_budget(user, now=timezone.now())
    try:
        instructions: str | None = read_instructions(user)
    except CannotOpen as exc:
        report_unreadable(f"custom instructions of {user.pk}", exc)
        instructions = None
    return {
        "userId": user.pk,
        "email": user.email,
        "plan": user.plan,
        "customInstructions": instructions,
        "rateLimit": rate.tightest.limit,
        "rateLimitRemaining": rate.tightest.remaining,
        "rateLimits": {
            window.name: {
                "limit": window.limit,
                "remaining": window.remaining,
                "resetsIn": window.resets_in_s,
            }
            for window in rate.windows
        },
        "budget": {
            "limit": budget.limit,
            "reserved": budget.reserved,
            "spent": budget.spent,
            "remaining": budget.remaining,
            "resetsAt": budget.resets_at,
        },
        "standing": read_standing(user),
    }


# Whoever is suspended may still see why, appeal, take out what is theirs, and have it erased.
@router.get("/me", auth=authenticate_even_suspended, response={200: Me})
async def show(request: HttpRequest) -> Any:
    return await db_call(_read_me, caller(request))


@router.patch("/me", response={200: Me})
async def change(request: HttpRequest, body: ChangeMe) -> Any:
    user = caller(request)
    if body.custom_instructions is not None:
        await change_instructions(user, body.custom_instructions.strip())
    return await db_call(_read_me, user)


def _appeal(user: User, text: str) -> dict[str, Any]:
    try:
        appeal(user.pk, text=text)
    except CannotOpen as exc:
        report_unreadable(f"data key of {user.pk}", exc)
        raise ContentUnavailable from exc
    return read_standing(user)


@router.post(
    "/me/appeal",
    auth=authenticate_even_suspended,
    response={201: StandingView},
)
async def make_appeal(request: HttpRequest, body: MakeAppeal) -> Any:
    return Status(201, await db_call(_appeal, caller(request), body.text))


@router.post("/me/warnings/{uuid:warning_id}/seen", response={204: None})
async def see_warning(request: HttpRequest, warning_id: UUID) -> Any:
    await db_call(note_seen, caller(request).pk, warning_id)
    return Status(204, None)


@router.get("/me/export", auth=authenticate_even_suspended)
async def export(request: HttpRequest) -> HttpResponseBase:
    pieces = export_person(caller(request))
    response = StreamingHttpResponse(pieces, content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="parley-export.json"'
    response["Cache-Control"] = "no-store"
    return response


@router.delete("/me", auth=authenticate_even_suspended, response={204: None})
async def erase(request: HttpRequest) -> Any:
    await erase_person(caller(request))
    return Status(204, None)
