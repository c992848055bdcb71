from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chatbot.audit.checking import check_log, count_entries, list_entries, read_heads, steady_view


class Command(BaseCommand):
    help = (
        "Find entries of the audit log that were altered, removed or put elsewhere. With heads that "
        "were kept outside the database a tail that was cut off is found, too. Exits 1 if anything "
        "is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--heads",
            type=Path,
            metavar="FILE",
            help="AUDIT_HEADS_FILE, or the service's own log: lines with `audit head N DIGEST`",
        )

    def handle(self, *, heads: Path | None, **_: Any) -> None:
        try:
            kept = _read(heads) if heads else {}
        except OSError as exc:
            raise CommandError(f"{heads}: {exc.strerror}.") from exc
        if heads and not kept:
            raise CommandError(f"{heads}: no line has an audit head.")
        with steady_view():
            total = count_entries()
            with tqdm(list_entries(), total=total, unit="entry", disable=None, leave=False) as bar:
                faults = list(check_log(kept, entries=bar))
        for fault in faults:
            self.stderr.write(str(fault))
        if faults:
            raise CommandError(f"The audit log is not what was written: {len(faults)} faults.")
        beside = f", {len(kept):,} heads kept elsewhere among them" if kept else ""
        self.stdout.write(f"{total:,} entries, each as it was written{beside}.")


def _read(path: Path) -> dict[int, set[bytes]]:
    with path.open(errors="replace") as lines:
        return read_heads(lines)
