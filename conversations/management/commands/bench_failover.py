from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.failover import FAULTS, FailoverLoad, failover_table, run_failover_benchmark


class Command(BaseCommand):
    help = (
        "Let the model that should answer fail every time, in each way there is, and measure what "
        "people get from its fallback. Production mode, real stores, two scripted providers."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        defaults = FailoverLoad()
        parser.add_argument("--messages", type=int, default=defaults.messages)
        parser.add_argument("--lanes", type=int, default=defaults.lanes, help="who ask at once")
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/failover.md promises more"
        )

    def handle(self, **options: Any) -> None:
        load = FailoverLoad(messages=options["messages"], lanes=options["lanes"])
        with tqdm(total=len(FAULTS) * load.messages, unit="message", disable=None) as bar:
            rows = run_failover_benchmark(load, advance=bar.update)
        self.stdout.write(failover_table(rows))
        if options["json"]:
            text = json.dumps([row.as_json() for row in rows], indent=1)
            options["json"].write_text(text + "\n")
        broken = [sentence for row in rows for sentence in row.broken_promises()]
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
