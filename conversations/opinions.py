"""Who else is asked about what was flagged: an endpoint, or a model of the catalogue.

As a title does, a model's verdict costs the person whose text it is about.
"""

from __future__ import annotations

import logging
import re
from functools import cache

from django.conf import settings

from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import Purpose, User
from chatbot.core.db import DatabaseAway, db_call
from conversations.completing import can_afford, complete
from llm.conf import get_registry
from llm.pricing import Call
from llm.types import Prompt, Turn
from moderation import remote
from moderation.remote import Bench, ModelJudge, Record, tell_model
from moderation.types import Scores, Surface

logger = logging.getLogger(__name__)

# The JSON that is asked for takes thirty or forty, in a fence some more.
VERDICT_TOKENS = 100

# What delimits the text. One that contains it could end early, and go on as a question.
_DELIMITER = re.compile(r"<(?=\s*/?\s*text\b)", re.IGNORECASE)


def has_judge() -> bool:
    """Say whether there is anybody else to ask."""
    return bool(settings.MODERATION_JUDGE_MODEL) or remote.get_bench() is not None


async def ask_opinion(user: User, text: str) -> Scores | None:
    """Return what the judge says of a text that a person sent, or None where it is silent.

    A model is not asked without budget for it, and what it was asked is charged, whatever it said.
    """
    name: str = settings.MODERATION_JUDGE_MODEL
    if not name:
        return await remote.judge(text, Surface.INPUT)
    question = _ask_for_verdict(tell_model(Surface.INPUT), text)
    if not await db_call(can_afford, user, question):
        return None
    calls: list[Call] = []

    async def ask(instructions: str, text: str) -> str:
        prompt = _ask_for_verdict(instructions, text)
        model = get_registry().resolve(name)
        said, _ = await complete(prompt, [model], calls, may_wait=False)
        return said

    try:
        judge = ModelJudge(ask, name=name)
        return await Bench(judge, record=get_record()).judge(text, Surface.INPUT)
    finally:
        # Also when it took too long, or whoever sent the text is gone.
        if calls:
            await _charge(user, calls)


async def _charge(user: User, calls: list[Call]) -> None:
    try:
        await db_call(record_calls, user, Purpose.VERDICT, calls)
    except DatabaseAway:
        # What the judge said counts all the same, and so does why a caller was cancelled.
        logger.warning("A verdict on a text of %s could not be charged", user.pk)


async def prepare_judge() -> None:
    """Say in the log who is asked, and import what a first question to a model would wait for."""
    if name := settings.MODERATION_JUDGE_MODEL:
        logger.info("Moderation's third tier is on: the model %s", name)
        await get_registry().import_sdks()
    elif has_judge():
        logger.info("Moderation's third tier is on: the endpoint of MODERATION_JUDGE_URL")


@cache
def get_record() -> Record:
    """Return how the model has done lately, whoever's texts it was asked about."""
    return Record()


def _ask_for_verdict(instructions: str, text: str) -> Prompt:
    data = _DELIMITER.sub("&lt;", text)
    question = f"<text>\n{data}\n</text>\n\nGive the verdict."
    return Prompt(instructions, (Turn("user", question),), max_output=VERDICT_TOKENS)
