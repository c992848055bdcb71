"""What follows from a confirmed event: withdrawing, warning, suspending; and appeals against it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from chatbot.accounts.models import User
from chatbot.accounts.sanctions import AccountWarning, Suspension
from chatbot.accounts.suspensions import appeal, suspend
from chatbot.audit.models import AuditEntry
from chatbot.core.db import db_call
from conversations.eventlog import EventLog
from conversations.models import Message, Status
from moderation.deciding import claim_event, decide
from moderation.models import Action, ModerationEvent, Verdict
from tests.conversations.rows import put_message
from tests.conversations.test_admin import BACKEND
from tests.desk.events import put_event
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


def confirm(event: ModerationEvent, moderator: User) -> ModerationEvent:
    claim_event(event.pk, moderator=moderator.pk, now=timezone.now())
    return decide(event.pk, moderator=moderator.pk, verdict=Verdict.CONFIRMED)


def page_of(event: ModerationEvent) -> str:
    return reverse("admin:moderation_moderationevent_change", args=[event.pk])


def send(client: Client, name: str, event: ModerationEvent, **fields: object) -> str:
    response = client.post(reverse(f"desk-{name}", args=[event.pk]), fields, follow=True)
    return response.content.decode()


def test_nothing_follows_from_what_is_not_confirmed(desk: Client, person: User) -> None:
    conversation = make_conversation(person)
    put_message(conversation, 1, "words")
    event = put_event(person, conversation_id=conversation.pk, message_seq=1)
    said = {"text": "Please stop that.", "reason": "Threats to others", "days": "7"}
    for name in ("withdraw", "warn", "suspend"):
        assert "Confirm the event first." in send(desk, name, event, **said)
    assert Message.objects.get().status == Status.COMPLETE
    assert not AccountWarning.objects.exists()
    assert not Suspension.objects.exists()


def test_a_person_is_warned_and_suspended_from_the_page(
    desk: Client, moderator: User, person: User
) -> None:
    event = confirm(put_event(person), moderator)
    page = desk.get(page_of(event)).content.decode()
    assert "Suspend the person" in page
    assert "Withdraw it" not in page
    assert desk.post(reverse("desk-warn", args=[event.pk]), {"text": "no"}).status_code == 400
    assert desk.post(reverse("desk-suspend", args=[event.pk]), {"days": "5"}).status_code == 400
    assert "will be shown the warning" in send(desk, "warn", event, text="Please stop that.")
    warning = AccountWarning.objects.get()
    assert (warning.user, warning.text, warning.event_id) == (person, "Please stop that.", event.pk)
    assert "Suspended." in send(desk, "suspend", event, days="7", reason="Threats to others")
    suspension = Suspension.objects.get()
    assert suspension.by == f"user:{moderator.pk}"
    assert suspension.until is not None
    assert timedelta(days=6) < suspension.until - timezone.now() <= timedelta(days=7)
    assert "until it is lifted" in send(desk, "suspend", event, days="0", reason="Threats again")
    person.refresh_from_db()
    assert person.is_suspended


async def test_a_confirmed_answer_is_withdrawn_from_the_page(
    moderators: None, moderator: User, person: User, event_log: EventLog
) -> None:
    def begin() -> ModerationEvent:
        conversation = make_conversation(person)
        put_message(conversation, 1, "a question")
        put_message(conversation, 2, "a bad answer", parent=1)
        event = put_event(person, conversation_id=conversation.pk, message_seq=2, source="answer")
        return confirm(event, moderator)

    event = await db_call(begin)
    client = AsyncClient()
    await sync_to_async(client.force_login)(moderator, backend=BACKEND)
    assert b"Withdraw it" in (await client.get(page_of(event))).content
    for words in (b"Withdrawn.", b"It was withdrawn already."):
        await client.post(reverse("desk-withdraw", args=[event.pk]))
        page = (await client.get(page_of(event))).content
        assert words in page
        assert b"Withdraw it" not in page
    assert (await Message.objects.aget(seq=2)).status == Status.HALTED
    assert (await ModerationEvent.objects.aget()).action == Action.WITHDRAWN
    assert await AuditEntry.objects.filter(action="message.withdrawn").acount() == 1


def test_what_is_gone_or_never_was_cannot_be_withdrawn(
    desk: Client, moderator: User, person: User
) -> None:
    refused = confirm(put_event(person), moderator)
    assert "There is no message to withdraw." in send(desk, "withdraw", refused)
    gone = confirm(put_event(person, conversation_id=person.pk, message_seq=1), moderator)
    assert "There is no such conversation." in send(desk, "withdraw", gone)


@pytest.mark.parametrize("decision", ["granted", "refused"])
def test_an_appeal_is_read_and_answered(
    desk: Client, moderator: User, person: User, decision: str
) -> None:
    suspension = suspend(person.pk, by="user:other", reason="Threats", until=None)
    appeal(person.pk, text="It was a <b>song</b>.")
    address = reverse("desk-appeal", args=[suspension.pk])
    listed = desk.get(reverse("desk-appeals")).content.decode()
    assert address in listed
    assert "song" not in listed
    page = desk.get(address).content.decode()
    assert "It was a &lt;b&gt;song&lt;/b&gt;." in page
    assert AuditEntry.objects.get(action="content.read").detail == {"what": "appeal"}
    assert desk.post(address, {"decision": decision, "answer": "no"}).status_code == 400
    said = {"decision": decision, "answer": "We have listened to it."}
    assert desk.post(address, said)["Location"] == reverse("desk-appeals")
    again = desk.post(address, said, follow=True).content.decode()
    assert "This appeal was decided already." in again
    person.refresh_from_db()
    assert person.is_suspended == (decision == "refused")
    assert AuditEntry.objects.filter(action=f"appeal.{decision}").count() == 1
    assert "No appeal is waiting." in desk.get(reverse("desk-appeals")).content.decode()


def test_an_appeal_that_does_not_open_says_so(desk: Client, person: User) -> None:
    suspension = suspend(person.pk, by="user:other", reason="Threats", until=None)
    assert desk.get(reverse("desk-appeal", args=[suspension.pk])).status_code == 404
    appeal(person.pk, text="It was a song.")
    Suspension.objects.update(appeal_sealed=b"altered")
    page = desk.get(reverse("desk-appeal", args=[suspension.pk])).content.decode()
    assert "content unavailable" in page
