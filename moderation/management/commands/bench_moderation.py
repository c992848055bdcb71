from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tests.bench.moderation import broken_promises, measure_speed


class Command(BaseCommand):
    help = "Measure how long the local classifier takes for a text, beside cutting it into words."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="fail when docs/moderation.md promises more"
        )

    def handle(self, *, check: bool, **_: Any) -> None:
        speeds = measure_speed()
        for speed in speeds:
            self.stdout.write(
                f"tier {speed.tier}, {speed.characters:5} characters: median {speed.median_ms:.2f} ms, "
                f"p95 {speed.p95_ms:.2f} ms, {speed.times_cutting:.0f} times cutting into words"
            )
        broken = list(broken_promises(speeds))
        if check and broken:
            raise CommandError("\n".join(broken))
