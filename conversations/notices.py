"""Notices to a person's other devices, over the channel layer.

A doorbell: what changed is read from the API, and text comes from the event log only. A full
or missing channel loses notices, never content.
"""

from __future__ import annotations

import logging
from uuid import UUID

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


def group_of(user_id: UUID) -> str:
    return f"user.{user_id.hex}"


async def notify(user_id: UUID, kind: str, **fields: str) -> None:
    """Send a frame such as `conversation.updated` to every open socket of a person."""
    layer = get_channel_layer()
    if layer is None:
        return
    frame = {"type": kind, **fields}
    try:
        await layer.group_send(group_of(user_id), {"type": "notice", "frame": frame})
    except OSError:
        # The change itself is committed; another device learns of it when it next looks.
        logger.warning("The channel layer is out of reach; a notice was not sent")
