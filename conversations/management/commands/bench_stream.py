from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.plot import as_svg
from tests.bench.report import as_table
from tests.bench.stream import Load, run_benchmark

DOORS = {"sse": ("sse",), "websocket": ("websocket",), "both": ("sse", "websocket")}
# What the product may add to a provider's first token, in the 95th percentile of one stream.
MAX_OVERHEAD_MS = 25.0


def counts(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(item) for item in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise ArgumentTypeError("numbers from 1 up, separated by commas")
    return numbers


class Command(BaseCommand):
    help = (
        "Measure what the product adds to a model provider's first token: starts a scripted "
        "provider and the whole product, sends messages, and prints p50 / p95 / max."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--streams", type=counts, default=(1,), help="such as 1,20,50")
        parser.add_argument("--rounds", type=int, default=30, help="messages of each stream")
        parser.add_argument("--door", choices=DOORS, default="sse")
        parser.add_argument("--first-token-ms", type=float, default=300.0)
        parser.add_argument("--token-ms", type=float, default=20.0)
        parser.add_argument("--tokens", type=int, default=100)
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg")
        parser.add_argument(
            "--check",
            action="store_true",
            help=f"fail when one stream's p95 is over {MAX_OVERHEAD_MS:.0f} ms",
        )

    def handle(self, **options: Any) -> None:
        load = Load(
            first_token_ms=options["first_token_ms"],
            token_ms=options["token_ms"],
            tokens=options["tokens"],
            streams=options["streams"],
            rounds=options["rounds"],
            doors=DOORS[options["door"]],
        )
        if options["check"] and 1 not in load.streams:
            raise CommandError("--check needs a run of one stream: --streams 1")
        with tqdm(total=load.messages, unit="message") as bar:
            rows = run_benchmark(load, advance=bar.update)
        self.stdout.write(as_table(rows))
        if options["json"]:
            options["json"].write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
        if options["plot"]:
            options["plot"].write_text(as_svg(rows))
        if any(row.complete < row.messages for row in rows):
            raise CommandError("Some answers did not arrive whole.")
        if options["check"]:
            slow = [
                row for row in rows if row.streams == 1 and row.overhead_ms.p95 > MAX_OVERHEAD_MS
            ]
            if slow:
                raise CommandError(f"The p95 is over {MAX_OVERHEAD_MS:.0f} ms.")
