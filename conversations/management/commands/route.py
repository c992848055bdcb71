from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import Error

from chatbot.accounts.models import Plan
from chatbot.core.errors import ChatError
from conversations.overrides import read_overrides
from llm.catalog import AUTO
from llm.conf import preview_registry
from llm.explaining import explain
from llm.routing import Allowance, Asked, route


def _tokens(text: str) -> int:
    """Return a number of tokens, as a type of an argument."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of tokens: 0, 1, 2 and so on")
    return int(text)


class Command(BaseCommand):
    help = "Say which model would answer a text, and why. Asks no model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("text", help="what somebody writes; - reads standard input")
        parser.add_argument("--plan", choices=Plan.values, default=Plan.FREE)
        parser.add_argument("--model", default=AUTO, help="auto, or a model's name")
        parser.add_argument("--context", type=_tokens, default=0, help="tokens before the question")
        parser.add_argument("--follow-up", action="store_true", help="after a smart model's answer")
        parser.add_argument("--remaining", type=_tokens, help="tokens left of the month's budget")
        parser.add_argument("--limit", type=_tokens, help="the month's budget (as much as remains)")
        parser.add_argument("--all", action="store_true", help="as if every model were available")
        parser.add_argument("--explain", action="store_true", help="all features and all models")

    def handle(self, *, text: str, **options: Any) -> None:
        registry = preview_registry(everything=options["all"])
        try:
            registry.override(read_overrides())
        except Error:
            self.stderr.write("Without the database, overrides of models do not count.")
        remaining, limit = options["remaining"], options["limit"]
        asked = Asked(
            sys.stdin.read() if text == "-" else text,
            plan=options["plan"],
            context_tokens=options["context"],
            follows_smart=options["follow_up"],
            allowance=None if remaining is None else Allowance(limit or remaining, remaining),
        )
        models, name = registry.preferred_models(), options["model"]
        try:
            chosen = None if name == AUTO else registry.resolve(name)
            found = route(asked, models, chosen=chosen)
        except ChatError as exc:
            raise CommandError(f"{exc.code}: {exc.message}") from exc
        lines = explain(asked, found, models, whole=options["explain"])
        self.stdout.writelines(f"{line}\n" for line in lines)
