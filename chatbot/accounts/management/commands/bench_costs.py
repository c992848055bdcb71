from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from tqdm import tqdm

from tests.bench.costs import (
    MAX_PAGE_MS,
    PERIODS,
    CostLoad,
    explain_page,
    fill,
    sizes,
    step_table,
    time_page,
    time_roll_up,
)


class Command(BaseCommand):
    help = (
        "Fill an empty PostgreSQL with the ledger of millions of answers, and time the cost page "
        "and its roll-up. `make bench-costs` gives it one that is thrown away."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        defaults = CostLoad()
        parser.add_argument("--answers", type=int, default=defaults.answers)
        parser.add_argument("--days", type=int, default=defaults.days)
        parser.add_argument("--people", type=int, default=defaults.people)
        parser.add_argument("--plans", action="store_true", help="print the page's query plans")
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/costs.md promises more"
        )

    def handle(self, **options: Any) -> None:
        if connection.vendor != "postgresql" or connection.introspection.table_names():
            raise CommandError("Set DATABASE_URL to an empty PostgreSQL; see make bench-costs.")
        load = CostLoad(options["answers"], options["days"], options["people"])
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        with tqdm(total=2 * load.days, unit="day", disable=None, leave=False) as bar:
            fill(load, partial(bar.update, 1))
            steps = time_roll_up(load, partial(bar.update, 1))
        pages = time_page()
        self.stdout.write(f"{step_table([*steps, *pages])}\n{sizes()}")
        if options["plans"]:
            self.stdout.write("\n\n".join(explain_page()))
        slow = [one for one in pages if one.milliseconds > MAX_PAGE_MS]
        if options["check"] and slow:
            raise CommandError(f"{len(slow)} of {len(PERIODS)} pages take over {MAX_PAGE_MS} ms.")
