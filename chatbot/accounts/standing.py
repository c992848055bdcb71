"""How a person stands with the rules: what they are shown of it, and what they can take out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chatbot.accounts.models import User
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.accounts.suspensions import find_suspension, read_appeal
from chatbot.core.crypto import CannotOpen


def read_standing(user: User) -> dict[str, Any]:
    """Return the suspension that holds, warnings not yet seen, and until when they are slowed."""
    suspension = find_suspension(user.pk)
    return {
        "suspension": _view_suspension(suspension) if suspension else None,
        "warnings": [_view_warning(warning) for warning in list_unseen(user)],
        "slowedUntil": _text(user.slowed_until if user.is_slowed else None),
    }


def list_unseen(user: User) -> list[AccountWarning]:
    """Return the warnings that a person has yet to be shown, the oldest first."""
    return list(user.warnings.filter(seen_at=None).order_by("created"))


def export_standing(user: User) -> dict[str, Any]:
    """Return every suspension and warning of a person, with what they said in appeals."""
    return {
        "suspensions": [
            {
                **_view_suspension(one),
                "endedAt": _text(one.ended_at),
                "appealText": _read_appeal(one),
            }
            for one in user.suspensions.order_by("created")
        ],
        "warnings": [
            {**_view_warning(one), "seenAt": _text(one.seen_at)}
            for one in user.warnings.order_by("created")
        ],
        "slowedUntil": _text(user.slowed_until),
    }


def _view_suspension(suspension: Suspension) -> dict[str, Any]:
    return {
        "reason": suspension.reason,
        "createdAt": _text(suspension.created),
        "until": _text(suspension.until),
        "mayAppeal": suspension.appealed_at is None,
        "appeal": _view_appeal(suspension),
    }


def _view_appeal(suspension: Suspension) -> dict[str, Any] | None:
    if suspension.appealed_at is None:
        return None
    return {
        "madeAt": _text(suspension.appealed_at),
        "isGranted": suspension.appeal_granted,
        "answer": suspension.appeal_answer,
        "decidedAt": _text(suspension.appeal_decided_at),
    }


def _view_warning(warning: AccountWarning) -> dict[str, Any]:
    return {
        "warningId": str(warning.pk),
        "text": warning.text,
        "createdAt": _text(warning.created),
    }


def _read_appeal(suspension: Suspension) -> str | None:
    try:
        return read_appeal(suspension)
    except CannotOpen:
        # What the person wrote cannot be told from nothing otherwise.
        return None


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
