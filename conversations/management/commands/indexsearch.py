from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from conversations.search.filling import fill_index, to_index


class Command(BaseCommand):
    help = (
        "Bring what is not yet in the search index into it, as the periodic task does in small "
        "steps. May be stopped and run again, and run while the service does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="compare every conversation with its entries"
        )
        parser.add_argument(
            "--rebuild", action="store_true", help="make the entries of every conversation anew"
        )

    def handle(self, **options: Any) -> None:
        whole, anew = options["all"], options["rebuild"]
        total, done = to_index(whole=whole or anew).count(), 0
        with tqdm(total=total, unit="conversation", disable=None, leave=False) as bar:
            for _ in fill_index(whole=whole, anew=anew):
                done += 1
                bar.update()
        self.stdout.write(f"conversations indexed: {done:,}")
