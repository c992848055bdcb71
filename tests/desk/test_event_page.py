"""What moderators see of an event, what is noted before they do, and what others never see."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from moderation.deciding import claim_event
from moderation.models import Action, ModerationEvent, Source, State, Verdict
from moderation.recording import read_note
from tests.conversations.rows import put_message
from tests.desk.conftest import new_moderator, signed_in
from tests.desk.events import BAD, put_event
from tests.factories import make_conversation, make_person

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = "/admin/moderation/moderationevent/"


def page_of(event: ModerationEvent) -> str:
    return reverse("admin:moderation_moderationevent_change", args=[event.pk])


def see(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_staff_who_are_no_moderators_see_nothing_of_the_desk(person: User) -> None:
    event = put_event(person)
    staff = signed_in(make_person(is_staff=True))
    for address in (QUEUE, page_of(event)):
        assert staff.get(address).status_code == 403
    for name in ("next", "decide", "release", "context"):
        arguments = [] if name == "next" else [event.pk]
        assert staff.post(reverse(f"desk-{name}", args=arguments)).status_code == 403
    assert "moderation" not in see(staff, "/admin/").lower()
    nobody = Client().get(QUEUE)
    assert nobody.status_code == 302
    assert not AuditEntry.objects.exists()


def test_who_may_only_see_the_queue_is_shown_no_text(person: User) -> None:
    event = put_event(person)
    viewer = make_person(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_moderationevent"))
    client = signed_in(viewer)
    assert BAD not in see(client, page_of(event))
    event.refresh_from_db()
    assert event.claimed_by is None
    assert client.post(reverse("desk-decide", args=[event.pk])).status_code == 403
    body = {"action": "confirm_many", "_selected_action": [str(event.pk)]}
    client.post(QUEUE, body)
    assert ModerationEvent.objects.get().state == State.OPEN


def test_looking_claims_and_is_told_once(desk: Client, moderator: User, person: User) -> None:
    event = put_event(person, action=Action.BLOCKED)
    see(desk, page_of(event))
    page = see(desk, page_of(event))
    assert BAD in page
    assert "Yours until" in page
    for words in (event.category, event.classifier_version, str(person.pk), "as shipped"):
        assert words in page
    assert person.email not in page
    told = AuditEntry.objects.get()
    assert (told.actor, told.action) == (f"user:{moderator.pk}", "content.read")
    assert told.detail == {"what": "excerpt"}


def test_what_another_reads_is_not_shown(desk: Client, person: User) -> None:
    event = put_event(person)
    other = new_moderator()
    claim_event(event.pk, moderator=other.pk, now=timezone.now())
    page = see(desk, page_of(event))
    assert BAD not in page
    assert other.email in page
    assert AuditEntry.objects.filter(action="content.read").count() == 1


def test_what_was_said_is_text_and_never_markup(desk: Client, person: User) -> None:
    evil = '<script>alert("x")</script> I will kill you </mark><img src=x onerror=alert(1)>'
    event = put_event(person, text=evil)
    ModerationEvent.objects.filter(pk=event.pk).update(span_start=8, span_end=40)
    page = see(desk, page_of(event))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert f"<mark>{escape(evil[8:40])}</mark>" in page
    assert page.count("</mark>") == 1


def test_what_does_not_open_says_so(desk: Client, person: User) -> None:
    event = put_event(person)
    ModerationEvent.objects.filter(pk=event.pk).update(excerpt_sealed=b"altered")
    assert "content unavailable" in see(desk, page_of(event))


def test_a_decision_is_kept_with_its_note_and_told(
    desk: Client, moderator: User, person: User
) -> None:
    event = put_event(person)
    see(desk, page_of(event))
    said = {"verdict": "confirmed", "label": "hate", "note": "Seen before."}
    response = desk.post(reverse("desk-decide", args=[event.pk]), said)
    assert response["Location"] == page_of(event)
    event.refresh_from_db()
    assert (event.verdict, event.label, event.decided_by) == (Verdict.CONFIRMED, "hate", moderator)
    assert read_note(event) == "Seen before."
    page = see(desk, page_of(event))
    assert "Seen before." in page
    # Who has just decided looks at their own decision; another look later is a new one.
    actions = AuditEntry.objects.order_by("seq").values_list("action", flat=True)
    assert list(actions) == ["content.read", "event.confirmed"]
    see(signed_in(new_moderator()), page_of(event))
    assert actions.last() == "content.read"


def test_what_moderators_confirm_counts_as_a_strike_one_by_one_and_together(
    desk: Client, person: User
) -> None:
    events = [put_event(person) for _ in range(6)]
    see(desk, page_of(events[0]))
    desk.post(reverse("desk-decide", args=[events[0].pk]), {"verdict": "confirmed"})
    assert not User.objects.get(pk=person.pk).is_slowed
    dismissed = {"action": "dismiss_many", "_selected_action": [str(events[1].pk)]}
    desk.post(QUEUE, dismissed)
    confirmed = {"action": "confirm_many", "_selected_action": [str(e.pk) for e in events[2:4]]}
    desk.post(QUEUE, confirmed)
    standing = User.objects.get(pk=person.pk)
    assert (standing.is_slowed, standing.is_suspended) == (True, False)


def test_who_has_no_claim_is_told_why_nothing_was_decided(desk: Client, person: User) -> None:
    event = put_event(person)
    claim_event(event.pk, moderator=new_moderator().pk, now=timezone.now())
    response = desk.post(
        reverse("desk-decide", args=[event.pk]), {"verdict": "dismissed"}, follow=True
    )
    assert "Another moderator has this event." in response.content.decode()
    wrong = desk.post(reverse("desk-decide", args=[event.pk]), {"verdict": "burn"})
    assert wrong.status_code == 400
    assert ModerationEvent.objects.get().state == State.OPEN


def test_next_claims_and_opens_it_and_says_when_there_is_none(desk: Client, person: User) -> None:
    event = put_event(person)
    assert desk.post(reverse("desk-next"))["Location"] == page_of(event)
    assert desk.get(reverse("desk-next")).status_code == 405
    released = desk.post(reverse("desk-release", args=[event.pk]))
    assert released["Location"] == QUEUE
    see(desk, page_of(event))
    response = desk.post(reverse("desk-next"), follow=True)
    assert "Nothing is waiting" in response.content.decode()


def test_the_messages_around_need_a_reason_which_is_told_first(desk: Client, person: User) -> None:
    conversation = make_conversation(person)
    for seq in range(1, 10):
        words = f"<b>message {seq}</b>"
        put_message(conversation, seq, words, parent=seq - 1 or None)
    event = put_event(person, conversation_id=conversation.pk, message_seq=6)
    assert "message 5" not in see(desk, page_of(event))
    address = reverse("desk-context", args=[event.pk])
    assert desk.post(address, {"reason": "because"}).status_code == 400
    assert not AuditEntry.objects.filter(detail__what="context").exists()
    page = desk.post(address, {"reason": "Is it a quotation?"}).content.decode()
    shown = [seq for seq in range(1, 10) if f"&lt;b&gt;message {seq}&lt;/b&gt;" in page]
    assert shown == [2, 3, 4, 5, 6, 7, 8]
    told = AuditEntry.objects.get(detail__what="context")
    assert told.detail["reason"] == "Is it a quotation?"
    assert told.detail["conversation"] == str(conversation.pk)


def test_of_a_refused_message_the_ones_before_it_are_shown(desk: Client, person: User) -> None:
    conversation = make_conversation(person)
    put_message(conversation, 1, "earlier words")
    event = put_event(person, conversation_id=conversation.pk)
    put_message(conversation, 2, "later words", parent=1, created=timezone.now())
    address = reverse("desk-context", args=[event.pk])
    see(desk, page_of(event))
    page = desk.post(address, {"reason": "What led to it?"}).content.decode()
    assert "earlier words" in page
    conversation.delete()
    page = desk.post(address, {"reason": "What led to it?"}).content.decode()
    assert "The conversation is not there any more." in page


def test_who_has_no_claim_reads_nothing_around(desk: Client, person: User) -> None:
    conversation = make_conversation(person)
    put_message(conversation, 1, "private words")
    event = put_event(person, conversation_id=conversation.pk, message_seq=1)
    claim_event(event.pk, moderator=new_moderator().pk, now=timezone.now())
    address = reverse("desk-context", args=[event.pk])
    response = desk.post(address, {"reason": "What led to it?"}, follow=True)
    assert "private words" not in response.content.decode()
    assert not AuditEntry.objects.filter(detail__what="context").exists()


def test_the_queue_is_ordered_filtered_and_decided_together(desk: Client, person: User) -> None:
    mild = put_event(person, severity=10, category="hate")
    grave = put_event(person, severity=90, category="minors", source=Source.ANSWER)
    page = see(desk, QUEUE)
    assert page.index(str(grave.pk)) < page.index(str(mild.pk))
    for query, shown in (
        ("category=hate", [mild]),
        ("source=answer", [grave]),
        ("surface=input", [mild]),
        ("action=halted", []),
        ("claim=mine", []),
        ("claim=free", [grave, mild]),
        ("state=decided", []),
        ("state=all", [grave, mild]),
    ):
        page = see(desk, f"{QUEUE}?{query}")
        found = [one for one in (grave, mild) if str(one.pk) in page]
        assert found == shown, query
    claim_event(grave.pk, moderator=new_moderator().pk, now=timezone.now())
    chosen = {"action": "dismiss_many", "_selected_action": [str(mild.pk), str(grave.pk)]}
    page = desk.post(QUEUE, chosen, follow=True).content.decode()
    assert "Dismissed: 1. 1 were decided already, or others have them." in page
    assert ModerationEvent.objects.get(state=State.DECIDED) == mild
    assert str(mild.pk) in see(desk, f"{QUEUE}?state=decided")
    assert desk.get(f"{QUEUE}nonsense/change/").status_code == 404
