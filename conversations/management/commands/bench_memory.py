from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.comparison import PRODUCT_PARTS
from tests.bench.memory import MemoryLoad, memory_table, run_memory_benchmark
from tests.bench.plot import line_chart


class Command(BaseCommand):
    help = (
        "Let thousands of short answers come and go, many at once, and read what web, worker and "
        "Valkey hold in between. Production mode, real stores."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        defaults = MemoryLoad()
        parser.add_argument("--answers", type=int, default=defaults.answers)
        parser.add_argument("--step", type=int, default=defaults.step, help="between two readings")
        parser.add_argument("--lanes", type=int, default=defaults.lanes, help="who ask at once")
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/benchmarks.md promises more"
        )

    def handle(self, **options: Any) -> None:
        load = MemoryLoad(answers=options["answers"], step=options["step"], lanes=options["lanes"])
        with tqdm(total=load.answers, unit="answer", disable=None) as bar:
            result = run_memory_benchmark(load, advance=bar.update)
        self.stdout.write(memory_table(result))
        if options["json"]:
            options["json"].write_text(json.dumps(result.as_json(), indent=1) + "\n")
        if options["plot"]:
            curves = [
                (part, [(sample.answers, sample.rss_mib[part]) for sample in result.samples])
                for part in PRODUCT_PARTS
            ]
            chart = line_chart(curves, along="answers that have come and gone", up="MiB of RSS")
            options["plot"].write_text(chart)
        broken = result.broken_promises()
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
