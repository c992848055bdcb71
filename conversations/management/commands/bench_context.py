from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from tests.bench.continuing import run_continue_benchmark
from tests.bench.history import run_history_benchmark
from tests.bench.listing import run_list_benchmark
from tests.bench.search import run_search_benchmark


class Result(Protocol):
    def table(self) -> str: ...
    def as_json(self) -> dict[str, Any]: ...
    def broken_promises(self) -> Iterator[str]: ...


Told = Callable[[int], object]
# A section: what runs it, of how many, and how many rows it makes for each.
SECTIONS: dict[str, tuple[Callable[[int, Told], Result], str, int]] = {
    "continue": (
        lambda size, told: run_continue_benchmark(messages=size, told=told),
        "messages",
        1,
    ),
    "search": (lambda size, told: run_search_benchmark(messages=size, told=told), "messages", 1),
    "history": (lambda size, told: run_history_benchmark(messages=size, told=told), "messages", 2),
    "list": (
        lambda size, told: run_list_benchmark(conversations=size, told=told),
        "conversations",
        1,
    ),
}


class Command(BaseCommand):
    help = (
        "Measure what long conversations cost, in the configured database, which is migrated and "
        "filled for it: use one that may be thrown away, as `python -m tests.services` makes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("section", choices=SECTIONS, nargs="?", help="all of them without")
        parser.add_argument("--messages", type=int, default=100_000, help="of one person")
        parser.add_argument("--conversations", type=int, default=10_000, help="of one person")
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument(
            "--check", action="store_true", help="fail when the documentation promises more"
        )

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        chosen = [options["section"]] if options["section"] else list(SECTIONS)
        results: dict[str, Any] = {}
        broken: list[str] = []
        for name in chosen:
            run, unit, times = SECTIONS[name]
            size = options[unit]
            with tqdm(total=size * times, unit="row", disable=None, leave=False) as bar:
                result = run(size, bar.update)
            self.stdout.write(f"{result.table()}\n\n")
            results[name] = result.as_json()
            broken += result.broken_promises()
        if options["json"]:
            options["json"].write_text(json.dumps(results, indent=1) + "\n")
        if options["check"] and broken:
            raise CommandError("\n".join(broken))
