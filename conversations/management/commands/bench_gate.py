from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.gate import MAX_SHARE, measure_gate


class Command(BaseCommand):
    help = (
        "Measure what judging answers takes of all the processor time that answers cost: starts a "
        "scripted provider and the product in production mode, streams answers of prose, and "
        "counts the time of its processes and, within the worker, of the gate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--streams", type=int, default=50)
        parser.add_argument("--repeats", type=int, default=3)
        parser.add_argument("--hold-back", type=int, default=settings.MODERATION_HOLD_BACK)
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/moderation.md promises less"
        )

    def handle(self, **options: Any) -> None:
        with tqdm(total=options["repeats"], unit="load", disable=None) as bar:
            found = measure_gate(
                streams=options["streams"],
                repeats=options["repeats"],
                hold_back=options["hold_back"],
                advance=bar.update,
            )
        self.stdout.write(found.as_table())
        if options["json"]:
            options["json"].write_text(json.dumps(found.as_json(), indent=1) + "\n")
        if found.complete < found.answers:
            raise CommandError("Some answers did not arrive whole.")
        if options["check"] and found.share > MAX_SHARE:
            raise CommandError(f"The gate takes more than {MAX_SHARE:.0%}.")
