"""Notices to a person's other devices, over the channel layer.

A doorbell: what changed is read from the API, and text comes from the event log only. A full
or missing channel loses notices, never content.
"""

from __future__ import annotations

from uuid import UUID

from channels.layers import get_channel_layer


def group_of(user_id: UUID) -> str:
    return f"user.{user_id.hex}"


async def notify(user_id: UUID, kind: str, **fields: str) -> None:
    """Send a frame such as `conversation.updated` to every open socket of a person."""
    layer = get_channel_layer()
    if layer is None:
        return
    # With Redis away only this process's sockets hear of it: the change itself is committed, and
    # another device learns of it when it next looks.
    frame = {"type": kind, **fields}
    await layer.group_send(group_of(user_id), {"type": "notice", "frame": frame})
