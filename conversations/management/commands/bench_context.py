from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.search import run_search_benchmark

SECTIONS = ("search",)


class Command(BaseCommand):
    help = (
        "Measure what long conversations cost, in the configured database, which is migrated and "
        "filled for it: use one that may be thrown away, as `python -m tests.services` makes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("section", choices=SECTIONS, nargs="?", default=SECTIONS[0])
        parser.add_argument("--messages", type=int, default=100_000, help="of one person")
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/search.md promises more"
        )

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        with tqdm(total=options["messages"], unit="message", disable=None, leave=False) as bar:
            result = run_search_benchmark(messages=options["messages"], told=bar.update)
        self.stdout.write(result.table())
        if options["json"]:
            options["json"].write_text(json.dumps({"search": result.as_json()}, indent=1) + "\n")
        broken = list(result.broken_promises())
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
