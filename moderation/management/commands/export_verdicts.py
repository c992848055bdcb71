from __future__ import annotations

import gzip
import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from chatbot.audit.log import COMMAND_LINE, record
from moderation.labelled import list_verdicts

LEAST_REASON = 10


class Command(BaseCommand):
    help = (
        "Write what moderators decided as labelled texts, in the form that train_moderation reads. "
        "It holds what people said: keep it as you keep the database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="ends with .jsonl.gz, and is not there yet")
        parser.add_argument("--reason", default="", help="why; the audit log keeps it")
        parser.add_argument("--dry-run", action="store_true", help="count, and write nothing")

    def handle(self, *, path: Path, reason: str, dry_run: bool, **options: Any) -> None:
        counts: Counter[str] = Counter()
        if dry_run:
            counts.update(one.counts_as for one in list_verdicts(counts))
        else:
            self._check(path, reason)
            with _new_file(path) as file, gzip.open(file, "wt", encoding="utf-8") as lines:
                # Before anything that was said is opened.
                record(
                    COMMAND_LINE, "verdicts.exported", "moderation.verdicts", reason=reason.strip()
                )
                for one in list_verdicts(counts):
                    lines.write(f"{one.line}\n")
                    counts[one.counts_as] += 1
        for name, count in sorted(counts.items()):
            self.stdout.write(f"{name}: {count}")

    def _check(self, path: Path, reason: str) -> None:
        if len(reason.strip()) < LEAST_REASON:
            raise CommandError(f"Say why, in at least {LEAST_REASON} characters: --reason.")
        if not path.name.endswith(".jsonl.gz"):
            raise CommandError("The name has to end with .jsonl.gz, or no training would read it.")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Make a file that is its owner's only, and take it away again where it is not finished."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise CommandError(f"{path} is there already.") from exc
    except OSError as exc:
        raise CommandError(f"{path}: {exc.strerror}.") from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise
