"""Conversations that are long for a small window, and models to sum them up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from pytest_django import Settings

from chatbot.accounts.models import User
from chatbot.core.crypto import DataCipher
from chatbot.core.db import db_call
from conversations.chores import Hold, claim_chore, mark_chore
from conversations.models import Chore, ChoreKind, Conversation, Summary
from conversations.sealing import open_cipher
from conversations.summaries import NewSummary, add_summary, open_summary
from llm.conf import set_local_endpoint
from tests.conversations.rows import put_message
from tests.factories import make_conversation
from tests.fakes.provider_process import ScriptedProvider

# The smallest window there is: 3,000 tokens, of which an answer may take 500.
NARROW = "narrow"
NARROW_MODEL = f"""
[[model]]
name = "{NARROW}"
display_name = "Narrow"
provider = "anthropic"
model_id = "{NARROW}"
tier = "smart"
context_window = 3_000
max_output = 500
answer_tokens = 500
continuation = "restart"
# With the margin, a message takes as many tokens as are stored of it.
token_scale = {{ plain = 0.8, wide = 0.8 }}
free = true
"""
# Who is asked for notes: the catalogue's fast model.
WRITER = "claude-haiku-5-5"


def use_hosted(provider: ScriptedProvider, settings: Settings, folder: Path) -> Iterator[None]:
    """Make the scripted provider Anthropic, with the narrow model besides."""
    catalog = folder / "models.toml"
    catalog.write_text(NARROW_MODEL)
    settings.MODELS_FILE = str(catalog)
    settings.ANTHROPIC_API_KEY = "scripted"
    settings.ANTHROPIC_BASE_URL = provider.url
    settings.LOCAL_MODEL_URL = ""
    set_local_endpoint(None)
    yield
    set_local_endpoint(None)


def long_conversation(user: User, *, messages: int = 12, tokens: int = 200) -> Conversation:
    """Return one whose older messages no longer stay as they were said in the narrow window."""
    conversation = make_conversation(user)
    extend(conversation, 1, messages, tokens=tokens)
    return conversation


def extend(conversation: Conversation, first: int, last: int, *, tokens: int = 200) -> None:
    for seq in range(first, last + 1):
        text = f"I was born in {1900 + seq}." if seq % 2 else f"Answer {seq}."
        put_message(conversation, seq, text, parent=seq - 1 or None, token_count=tokens)


def hold_of(conversation: Conversation, kind: ChoreKind = ChoreKind.SUMMARY) -> Hold:
    """Mark a chore and take it."""
    mark_chore(conversation.pk, kind)
    hold = claim_chore(conversation.pk, kind)
    assert hold is not None
    return hold


def put_summary(conversation: Conversation, covers: int, text: str, **fields: object) -> int:
    conversation.refresh_from_db()
    base = conversation.memory_version
    new = NewSummary(base, covers, text, **fields)  # type: ignore[arg-type]
    return add_summary(conversation, cipher_of(conversation), new)


def cipher_of(conversation: Conversation) -> DataCipher:
    return open_cipher(conversation)


def told(conversation: Conversation) -> list[tuple[int, str]]:
    """Return what each summary covers and says, the oldest first."""
    rows = Summary.objects.filter(conversation=conversation).order_by("version")
    cipher = cipher_of(conversation)
    return [(one.covers_seq, open_summary(cipher, one)) for one in rows]


async def until_asked(provider: ScriptedProvider) -> None:
    """Return once the provider has been asked something."""
    async with asyncio.timeout(20):
        while True:
            if await asyncio.to_thread(provider.requests):
                return
            await asyncio.sleep(0.02)


async def until_done() -> None:
    """Return once there is no chore left."""
    async with asyncio.timeout(20):
        while True:
            if not await db_call(Chore.objects.exists):
                return
            await asyncio.sleep(0.02)
