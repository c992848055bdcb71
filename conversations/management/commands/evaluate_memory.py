from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chatbot.core.errors import ChatError
from conversations.context import PastTurn, Window
from conversations.extracting import extract_notes
from conversations.notes import ask_for_summary
from conversations.recall import MakeNotes, Sayings, begin, plan_talk, read_sayings, replay
from llm.conf import get_registry, set_local_endpoint
from llm.local import LocalServer
from llm.local_model import ModelUnavailable, ensure_model
from llm.types import Prompt, TextDelta

MODEL = "smollm2-135m"
READY_S = 60.0
WAYS = ("truncation", "extracted notes", "notes by the model")
COLUMNS = 8


class Command(BaseCommand):
    help = (
        "Tell the local model facts, talk on past its window, and report how many of them still "
        "stand in what it is told: by dropping the oldest turns, and by the notes made of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exchanges", type=int, default=120)
        parser.add_argument("--window", type=int, help="tokens; without it, all that the model has")
        parser.add_argument(
            "--answer-tokens", type=int, default=160, help="of each answer, at most"
        )
        parser.add_argument("--held", action="store_true", help="facts that nothing was tuned for")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--talk", type=Path, metavar="FILE", help="where the talk is kept, to be gone on with"
        )

    def handle(self, **options: Any) -> None:
        try:
            asyncio.run(self._run(**options))
        except (ChatError, ModelUnavailable) as exc:
            raise CommandError(str(exc)) from exc

    async def _run(self, *, exchanges: int, seed: int, talk: Path | None, **options: Any) -> None:
        sayings = read_sayings(held=options["held"])
        if exchanges <= len(sayings.facts):
            raise CommandError(f"Each of {len(sayings.facts)} facts needs an exchange, and more.")
        named = settings.LOCAL_MODEL_FILE
        model = Path(named) if named else ensure_model(settings.MODEL_CACHE_DIR, self.stdout.write)
        server = LocalServer(model)
        set_local_endpoint(server)
        await server.start()
        try:
            await server.wait_ready(READY_S)
            spec = get_registry().resolve(MODEL)
            window = Window(options["window"] or spec.context_window, options["answer_tokens"])
            said = await self._talk(plan_talk(sayings, exchanges, seed=seed), window, talk)
            await self._compare(said, window, sayings)
        finally:
            await get_registry().aclose()
            await server.stop()
            set_local_endpoint(None)

    async def _talk(self, questions: Sequence[str], window: Window, kept: Path | None) -> list[str]:
        """Return questions and answers, in turn; those that are kept are not asked again."""
        talk = begin(window, settings.SYSTEM_PROMPT, _extract)
        answers = _read_talk(kept)[1::2]
        for number, question in enumerate(
            tqdm(questions, desc="talking", unit="exchange", disable=None)
        ):
            talk.say(question)
            if number < len(answers):
                talk.say(answers[number])
            else:
                talk.say(await _write(talk.prompt()) or "I do not know.")
                _keep_talk(kept, [turn.text for turn in talk.turns])
            await talk.remember()
        return [turn.text for turn in talk.turns]

    async def _compare(self, said: Sequence[str], window: Window, sayings: Sayings) -> None:
        ways: dict[str, MakeNotes | None] = dict(zip(WAYS, (None, _extract, _ask), strict=True))
        shares: dict[str, list[float]] = {}
        with tqdm(total=len(ways) * len(said) // 2, unit="exchange", disable=None) as bar:
            for name, make_notes in ways.items():
                bar.set_description(name)
                talk = begin(window, settings.SYSTEM_PROMPT, make_notes)
                shares[name] = await replay(said, talk, sayings.facts, bar.update)
        self._report(shares, window, len(sayings.facts))

    def _report(self, shares: dict[str, list[float]], window: Window, facts: int) -> None:
        count = len(next(iter(shares.values())))
        places = sorted({count * step // COLUMNS for step in range(1, COLUMNS + 1)})
        self.stdout.write(
            f"{facts} facts in the first {facts} of {count} exchanges, a window of "
            f"{window.context} tokens; facts in the context, % of those told:"
        )
        self.stdout.write("exchange".ljust(20) + "".join(f"{place:>6}" for place in places))
        for name, known in shares.items():
            figures = "".join(f"{known[place - 1] * 100:6.0f}" for place in places)
            self.stdout.write(name.ljust(20) + figures)


def _read_talk(path: Path | None) -> list[str]:
    if path is None or not path.exists():
        return []
    said: list[str] = json.loads(path.read_text())
    return said


def _keep_talk(path: Path | None, said: Sequence[str]) -> None:
    if path is not None:
        path.write_text(json.dumps(said, indent=1))


async def _extract(notes: str, turns: Sequence[PastTurn], limit: int) -> str:
    return extract_notes(notes, turns, limit)


async def _ask(notes: str, turns: Sequence[PastTurn], limit: int) -> str:
    return await _write(ask_for_summary(notes, turns, limit))


async def _write(prompt: Prompt) -> str:
    spec = get_registry().resolve(MODEL)
    provider = await get_registry().open_provider(spec)
    text = ""
    async with aclosing(provider.stream(prompt, model_id=spec.model_id)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
    return text
