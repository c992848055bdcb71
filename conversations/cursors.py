"""Cursors of lists that are ordered by a moment and, within it, by an id."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from chatbot.core.errors import InvalidCursor


def encode_position(moment: datetime, identity: object) -> str:
    raw = f"{moment.isoformat()}|{identity}".encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_position(text: str) -> tuple[datetime, str]:
    """Return the moment, and the id as it was written. Raises InvalidCursor."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        moment, _, identity = raw.partition("|")
        parsed = datetime.fromisoformat(moment)
        if parsed.tzinfo is None:
            raise ValueError("no time zone")
        return parsed.astimezone(UTC), identity
    except (ValueError, OverflowError, binascii.Error) as exc:
        raise InvalidCursor from exc
