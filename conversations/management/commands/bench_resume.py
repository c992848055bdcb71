from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.resume import ResumeLoad, run_resume_benchmark
from tests.bench.resume_cost import cost_table
from tests.bench.storm import storm_table


class Command(BaseCommand):
    help = (
        "Measure what it costs to come back to a live answer, early and late in it, and how soon "
        "everybody reads on when all come back at once. Production mode, real stores."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--deltas", type=int, default=10_000, help="where the late resumes are")
        parser.add_argument("--resumes", type=int, default=300, help="of each answer and door")
        parser.add_argument("--readers", type=int, default=500, help="who come back at once")
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/benchmarks.md promises more"
        )

    def handle(self, **options: Any) -> None:
        load = ResumeLoad(
            deltas=options["deltas"], resumes=options["resumes"], readers=options["readers"]
        )
        with tqdm(total=load.steps, unit="step", disable=None) as bar:
            result = run_resume_benchmark(load, advance=bar.update)
        self.stdout.write(cost_table(result.costs))
        self.stdout.write(f"Reads of the table of messages: {result.message_reads}\n")
        self.stdout.write(storm_table(result.storm))
        if options["json"]:
            options["json"].write_text(json.dumps(result.as_json(), indent=1) + "\n")
        broken = result.broken_promises()
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
