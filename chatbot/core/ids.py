"""Identifiers that leave the server: UUIDv7 (RFC 9562), ordered by time, unguessable enough
to name a row and never used as a permission."""

from __future__ import annotations

from uuid import UUID

import uuid_utils


def uuid7() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)
