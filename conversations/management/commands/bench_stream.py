from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.comparing import run_comparison
from tests.bench.comparison import BUSY_STREAMS, QUIET_STREAMS, Comparison, as_tables
from tests.bench.plot import share_chart
from tests.bench.report import Row, as_table
from tests.bench.stream import Load, run_benchmark

DOORS = {"sse": ("sse",), "websocket": ("websocket",), "both": ("sse", "websocket")}
# What the product may add to a provider's first token, in the 95th percentile of one stream.
MAX_OVERHEAD_MS = 25.0
PRODUCTION_STREAMS = (QUIET_STREAMS, BUSY_STREAMS, 500)


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
        "provider and the whole product, sends messages, and prints p50 / p95 / max. In "
        "production mode a bare relay stands beside it, and what both cost is compared."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mode", choices=("embedded", "production"), default="embedded")
        parser.add_argument("--streams", type=counts, help="such as 1,20,50")
        parser.add_argument("--rounds", type=int, help="messages of each stream")
        parser.add_argument("--repeats", type=int, default=3, help="of each load, in production")
        parser.add_argument("--door", choices=DOORS)
        parser.add_argument("--first-token-ms", type=float, default=300.0)
        parser.add_argument("--token-ms", type=float, default=20.0)
        parser.add_argument("--tokens", type=int, default=100)
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/benchmarks.md promises more"
        )

    def handle(self, **options: Any) -> None:
        is_production = options["mode"] == "production"
        load = Load(
            first_token_ms=options["first_token_ms"],
            token_ms=options["token_ms"],
            tokens=options["tokens"],
            streams=options["streams"] or (PRODUCTION_STREAMS if is_production else (1,)),
            rounds=options["rounds"] or (1 if is_production else 30),
            doors=DOORS[options["door"] or ("both" if is_production else "sse")],
        )
        if is_production:
            self._measure_production(load, options)
        else:
            self._measure_embedded(load, options)

    def _measure_embedded(self, load: Load, options: dict[str, Any]) -> None:
        if options["check"] and 1 not in load.streams:
            raise CommandError("--check needs a run of one stream: --streams 1")
        with tqdm(total=load.messages, unit="message", disable=None) as bar:
            rows = run_benchmark(load, advance=bar.update)
        self._tell(as_table(rows), rows, options)
        if any(row.complete < row.messages for row in rows):
            raise CommandError("Some answers did not arrive whole.")
        if options["check"]:
            slow = [
                row for row in rows if row.streams == 1 and row.overhead_ms.p95 > MAX_OVERHEAD_MS
            ]
            if slow:
                raise CommandError(f"The p95 is over {MAX_OVERHEAD_MS:.0f} ms.")

    def _measure_production(self, load: Load, options: dict[str, Any]) -> None:
        steps = len(load.doors) * len(load.streams) * options["repeats"]
        with tqdm(total=steps, unit="load", disable=None) as bar:
            rows = run_comparison(load, repeats=options["repeats"], advance=bar.update)
        self._tell(as_tables(rows), rows, options)
        broken = [sentence for row in rows for sentence in row.broken_promises()]
        if options["check"] and broken:
            raise CommandError("\n".join(broken))

    def _tell(
        self, table: str, rows: Sequence[Row] | Sequence[Comparison], options: dict[str, Any]
    ) -> None:
        self.stdout.write(table)
        if options["json"]:
            options["json"].write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
        if options["plot"]:
            curves = [curve for row in rows for curve in row.curves()]
            options["plot"].write_text(share_chart(curves))
