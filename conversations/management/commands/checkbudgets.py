from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from conversations.balance import count_people, mend, read_balances


class Command(BaseCommand):
    help = (
        "Compare every budget with the ledger and with the answers being written, and print what "
        "differs. May run while the service does. Ends with 1 when a budget is left that differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--mend", action="store_true", help="set budgets to what they should be"
        )

    def handle(self, **options: Any) -> None:
        found = left = people = 0
        with tqdm(total=count_people(), unit="person", disable=None, leave=False) as bar:
            for looked_at, uneven in read_balances():
                for balance in uneven:
                    is_mended = options["mend"] and mend(balance)
                    with tqdm.external_write_mode():
                        self.stdout.write(f"{balance}{' (mended)' if is_mended else ''}")
                    found += 1
                    left += not is_mended
                people += looked_at
                bar.update(looked_at)
        told = f"people: {people:,}, budgets that differ: {found:,}"
        if left:
            raise CommandError(f"{told}, left as they are: {left:,}")
        self.stdout.write(f"{told}{', all mended' if found else ''}")
