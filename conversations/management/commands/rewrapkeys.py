from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chatbot.audit.log import COMMAND_LINE, record
from chatbot.core.conf import get_keyring
from conversations.rewrapping import Keys, Outcome, list_keys, rewrap


class Command(BaseCommand):
    help = (
        "Wrap every data key by the keyring's first key, after a new one was put there and every "
        "process was started with it. May be stopped and run again, and run while the service "
        "does. Ends with 1 when a key cannot be opened."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, and write nothing")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        counts: Counter[Outcome] = Counter()
        try:
            for keys in list_keys(is_rehearsal=dry_run):
                self._rewrap(keys, counts)
        finally:
            # Also when it is stopped: what was wrapped by then stays so.
            first, changed = get_keyring().sealing_id, counts[Outcome.WRAPPED]
            if changed and not dry_run:
                record(COMMAND_LINE, "keys.rewrapped", f"keyring.{first}", keys=changed)
        if dry_run:
            self.stdout.write("Nothing was written.")
        if counts[Outcome.UNREADABLE]:
            raise CommandError(f"{counts[Outcome.UNREADABLE]:,} keys cannot be opened.")

    def _rewrap(self, keys: Keys, counts: Counter[Outcome]) -> None:
        before = counts.copy()
        total = keys.rows.count()
        with tqdm(rewrap(keys), total=total, unit="key", disable=None, leave=False) as bar:
            for outcome in bar:
                counts[outcome] += 1
        own = counts - before
        told = (f"{own[one]:,} {one}" for one in Outcome if own[one])
        self.stdout.write(f"{keys.name}: {', '.join(told) or 'none'}")
