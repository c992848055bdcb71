from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tests.bench.queue import CROWDS, run_queue_benchmark


class Command(BaseCommand):
    help = (
        "Let crowds ask a provider that takes few at once, and measure how fair the line is, how "
        "true its estimates are, and how well the provider is used. Production mode, real stores."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--at-once", type=int, default=20, help="calls that are taken at once")
        parser.add_argument("--crowd", choices=CROWDS, nargs="*", default=list(CROWDS))
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="of the even crowd")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/queue.md promises more"
        )

    def handle(self, **options: Any) -> None:
        result = run_queue_benchmark(at_once=options["at_once"], names=options["crowd"])
        self.stdout.write(result.table())
        if options["json"]:
            options["json"].write_text(json.dumps(result.as_json(), indent=1) + "\n")
        if options["plot"]:
            options["plot"].write_text(result.chart())
        broken = list(result.broken_promises())
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
