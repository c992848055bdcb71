from __future__ import annotations

import io
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from moderation.classifier import get_classifier, get_first_tier
from moderation.errors import ArtefactRefused, BadLine
from moderation.scoring import score_lines
from moderation.types import Surface


class Command(BaseCommand):
    help = (
        'Read lines of JSON, {"text": ...}, from standard input and write one risk score a line, '
        "from 0 to 1, in the same order. Of harmless texts about one in a hundred reaches 0.5."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--surface", choices=[*Surface], required=True)
        parser.add_argument(
            "--tier",
            type=int,
            choices=[1],
            help="1: rules and the local model alone; else as texts are judged here",
        )

    def handle(self, *, surface: str, tier: int | None, **_: Any) -> None:
        try:
            classifier = get_first_tier() if tier == 1 else get_classifier()
            lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="\n")
            for risk in score_lines(lines, classifier=classifier, surface=Surface(surface)):
                self.stdout.write(f"{risk:.6f}")
        except (ArtefactRefused, BadLine) as exc:
            raise CommandError(str(exc)) from exc
        except UnicodeDecodeError as exc:
            raise CommandError("Standard input is not UTF-8.") from exc
