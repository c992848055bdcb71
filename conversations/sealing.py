"""The sealed values of a conversation, each bound to its table, column and row."""

from __future__ import annotations

import logging
from uuid import UUID

from django.utils.crypto import salted_hmac

from chatbot.core.conf import get_keyring
from chatbot.core.crypto import CannotOpen, DataCipher, new_wrapped_key, unwrap_key
from chatbot.core.metrics import UNREADABLE
from conversations.models import Conversation, Message

logger = logging.getLogger(__name__)


# Where a row that was read keeps its opened key, beside the sealed one that it belongs to.
_KEPT = "_cipher"


def new_conversation_key(conversation_id: UUID) -> bytes:
    return new_wrapped_key(get_keyring(), "conversation", str(conversation_id))


def open_cipher(conversation: Conversation) -> DataCipher:
    """Return the cipher of a conversation. Raises CannotOpen.

    It is kept with the row: what is done with a conversation asks for it several times.
    """
    kept: tuple[bytes, DataCipher] | None = vars(conversation).get(_KEPT)
    if kept is None or kept[0] is not conversation.wrapped_key:
        wrapped = conversation.wrapped_key
        cipher = unwrap_key(get_keyring(), wrapped, "conversation", str(conversation.pk))
        kept = vars(conversation)[_KEPT] = (wrapped, cipher)
    return kept[1]


def seal_column(cipher: DataCipher, conversation_id: UUID, column: str, text: str) -> bytes:
    return cipher.seal(text, "conversations_conversation", column, str(conversation_id))


def open_column(cipher: DataCipher, conversation: Conversation, column: str) -> str:
    """Return a sealed column of the conversation's row, "" where it is empty.

    Raises CannotOpen.
    """
    sealed = getattr(conversation, f"{column}_sealed")
    if sealed is None:
        return ""
    return cipher.open(sealed, "conversations_conversation", column, str(conversation.pk))


def seal_message(cipher: DataCipher, conversation_id: UUID, seq: int, text: str) -> bytes:
    return cipher.seal(text, "conversations_message", "content", str(conversation_id), seq)


def open_message(cipher: DataCipher, message: Message) -> str:
    """Return what a message says, "" while it is pending. Raises CannotOpen."""
    if message.content_sealed is None:
        return ""
    return open_content(cipher, message.conversation_id, message.seq, message.content_sealed)


def open_content(cipher: DataCipher, conversation_id: UUID, seq: int, sealed: bytes) -> str:
    """Return what `seal_message` sealed. Raises CannotOpen."""
    return cipher.open(sealed, "conversations_message", "content", str(conversation_id), seq)


def seal_comment(cipher: DataCipher, message: Message, text: str) -> bytes:
    place = ("conversations_message", "feedback_comment", str(message.conversation_id))
    return cipher.seal(text, *place, message.seq)


def open_comment(cipher: DataCipher, message: Message) -> str:
    """Return the comment of a feedback, "" where there is none. Raises CannotOpen."""
    if message.feedback_comment_sealed is None:
        return ""
    place = ("conversations_message", "feedback_comment", str(message.conversation_id))
    return cipher.open(message.feedback_comment_sealed, *place, message.seq)


def report_unreadable(where: str, exc: CannotOpen) -> None:
    """Raise the alert for a value that did not open: a log line and a metric."""
    UNREADABLE.inc()
    logger.error("A sealed value could not be opened: %s (%s)", where, exc)


def digest_request(user_id: UUID, body: bytes) -> str:
    """Return a keyed hash of a request, in hex, to tell a repeat from a different one.

    Keyed, because a plain hash of a short message could be guessed from a database dump.
    """
    hashed = salted_hmac("conversations.request", user_id.bytes + body, algorithm="sha256")
    return hashed.hexdigest()
