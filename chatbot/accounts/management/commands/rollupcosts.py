from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from tqdm import tqdm

from chatbot.accounts.costs.rollup import ledger_period, rebuild, review


class Command(BaseCommand):
    help = (
        "Count for the cost page what the ledger has beyond what was counted, as the periodic "
        "tasks do. May run while the service does, and again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rebuild", action="store_true", help="count every day of the ledger anew"
        )

    def handle(self, **options: Any) -> None:
        if not options["rebuild"]:
            self.stdout.write(f"hours counted: {review():,}")
            return
        period = ledger_period(timezone.now())
        total = period.days if period else 0
        with tqdm(total=total, unit="day", disable=None, leave=False) as bar:
            days = rebuild(advance=partial(bar.update, 1))
        self.stdout.write(f"days counted: {days:,}")
