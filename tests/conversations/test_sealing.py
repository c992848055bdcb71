from __future__ import annotations

from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from chatbot.accounts.models import User
from chatbot.core.crypto import CannotOpen
from chatbot.core.db import db_call
from conversations.contextcache.store import forget_contexts
from conversations.history import PageRequest, read_conversation
from conversations.models import Conversation, Message, Role, Status
from conversations.sealing import open_cipher, open_message, seal_message
from conversations.worker import GenerationWorker
from tests.conversations.conftest import ApiClient
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider

pytestmark = pytest.mark.django_db(transaction=True)


def write(conversation: Conversation, seq: int, text: str) -> Message:
    cipher = open_cipher(conversation)
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=seq)
    return Message.objects.create(
        conversation=conversation,
        seq=seq,
        parent_seq=seq - 1 or None,
        role=Role.USER if seq % 2 else Role.ASSISTANT,
        status=Status.COMPLETE,
        content_sealed=seal_message(cipher, conversation.pk, seq, text),
        token_count=20,
    )


def unreadable_count() -> float:
    return REGISTRY.get_sample_value("parley_unreadable_values_total") or 0.0


def test_a_message_copied_to_another_row_does_not_open(user: User) -> None:
    conversation, other = make_conversation(user), make_conversation(user)
    message = write(conversation, 1, "mine")
    moved = write(conversation, 2, "other")
    moved.content_sealed = message.content_sealed
    with pytest.raises(CannotOpen):
        open_message(open_cipher(conversation), moved)
    foreign = write(other, 1, "foreign")
    foreign.content_sealed = message.content_sealed
    with pytest.raises(CannotOpen):
        open_message(open_cipher(other), foreign)


def test_what_does_not_open_says_so_and_raises_an_alert(user: User) -> None:
    conversation = make_conversation(user, title="A title")
    write(conversation, 1, "readable")
    write(conversation, 2, "to be damaged")
    Message.objects.filter(seq=2).update(content_sealed=b"\x01damaged")
    before = unreadable_count()
    seen = read_conversation(user.pk, conversation.pk, PageRequest(limit=10))
    assert [message["status"] for message in seen["messages"]] == ["complete", "unavailable"]
    assert seen["messages"][1]["content"] is None
    assert unreadable_count() == before + 1


def test_a_lost_data_key_leaves_the_list_readable(user: User) -> None:
    conversation = make_conversation(user, title="A title")
    write(conversation, 1, "gone")
    Conversation.objects.filter(pk=conversation.pk).update(wrapped_key=b"")
    seen = read_conversation(user.pk, conversation.pk, PageRequest(limit=10))
    assert seen["title"] == "Content unavailable"
    assert seen["messages"][0]["content"] is None


async def test_what_does_not_open_never_reaches_a_model(
    api: ApiClient, worker: GenerationWorker, provider: ScriptedProvider
) -> None:
    conversation = await api.new_conversation()
    provider.script(text="A sealed answer")
    await api.send(conversation, "First question")
    damaged = Message.objects.filter(conversation_id=conversation, seq=2)
    await db_call(damaged.update, content_sealed=b"\x01damaged")
    # Where it is cached it was opened before, and that is what was said.
    await db_call(forget_contexts, [UUID(conversation)])
    frames = await api.send(conversation, "Second question")
    assert frames[-1].event == "done"
    sent = provider.requests()[-1]["raw"]
    assert "Second question" in sent
    assert "sealed" not in sent
    assert "unavailable" not in sent


async def test_a_conversation_without_its_key_takes_no_message(
    api: ApiClient, worker: GenerationWorker
) -> None:
    conversation = await api.new_conversation()
    rows = Conversation.objects.filter(pk=conversation)
    await db_call(rows.update, wrapped_key=b"")
    path = f"/conversations/{conversation}/messages"
    response = await api.call("post", path, {"content": "Hi"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "content_unavailable"
    assert await db_call(Message.objects.count) == 0
