"""What nobody has touched for RETENTION_DAYS is erased; with 0 everything is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.db import transaction

from chatbot.audit.log import SYSTEM, record
from conversations.contextcache.store import forget_contexts
from conversations.models import Conversation, Generation
from conversations.models.generation import ACTIVE_STATES
from moderation.models import ModerationEvent

AT_ONCE = 100


def expire(*, now: datetime, within_s: float) -> int:
    """Erase conversations and moderation events that are too old, until the time is over.

    Returns how many went. May run in several processes: each row goes once. A run that erased
    something is in the audit log.
    """
    days = settings.RETENTION_DAYS
    if not days:
        return 0
    before, until = now - timedelta(days=days), monotonic() + within_s
    conversations = _erase_all(before, until)
    events = 0
    if monotonic() < until:
        # Their excerpts are what somebody said, too.
        events, _ = ModerationEvent.objects.filter(created__lt=before).delete()
    if conversations or events:
        counts = {"conversations": conversations, "events": events}
        record(SYSTEM, "retention.run", f"before:{before:%Y-%m-%d}", **counts)
    return conversations + events


def _erase_all(before: datetime, until: float) -> int:
    old = Conversation.objects.filter(updated__lt=before).order_by("updated")
    gone = 0
    while some := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        erased = 0
        for conversation_id in some:
            erased += _erase(conversation_id, before)
            if monotonic() >= until:
                return gone + erased
        if not erased:
            # Others are at these, or answers are being written in them.
            break
        gone += erased
    return gone


@transaction.atomic
def _erase(conversation_id: UUID, before: datetime) -> bool:
    """Erase a conversation, and with it its data key, unless something has happened in it."""
    # The lock: who writes to it now has done so before this line, or finds it gone.
    row = Conversation.objects.select_for_update(skip_locked=True).filter(
        pk=conversation_id, updated__lt=before
    )
    conversation = row.first()
    active = Generation.objects.filter(conversation_id=conversation_id, state__in=ACTIVE_STATES)
    if conversation is None or active.exists():
        return False
    # What is kept of its logs outside the database went minutes after its last answer.
    conversation.delete()
    transaction.on_commit(lambda: forget_contexts([conversation_id]))
    return True
