from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from moderation.errors import BadCorpus
from moderation.gate_trial import HOLD_BACKS, GateFigures, choose_answers, try_gate
from moderation.training.corpus import read_corpus
from moderation.training.report import put_figures

_HEAD = (
    "| hold-back | limits | harmful answers halted | shown of them before, median / most "
    "| harmless halted | behind the model | first text held | added to it, p95 "
    "| CPU a 1,000 tokens |"
)


class Command(BaseCommand):
    help = (
        "Stream answers that the classifier did not learn from through the gate, with each "
        "hold-back and the policy that is shipped, and show what it halts and what it costs."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("data", type=Path, metavar="DATA_DIR", help="of *.jsonl.gz files")
        parser.add_argument(
            "--report", type=Path, metavar="PAGE.md", help="put the figures into this page"
        )

    def handle(self, *, data: Path, report: Path | None, **_: Any) -> None:
        try:
            harmful, harmless = choose_answers(read_corpus(data))
        except BadCorpus as exc:
            raise CommandError(str(exc)) from exc
        if not harmful or not harmless:
            raise CommandError("There are no harmful, or no harmless, answers to try it with.")
        total = 2 * len(HOLD_BACKS) * (len(harmful) + len(harmless))
        with tqdm(total=total, desc="answers", disable=None, leave=False) as bar:
            text = write_table(list(try_gate(harmful, harmless, step=bar.update)))
        self.stdout.write(text)
        if report is not None:
            put_figures(report, "gate", text)


def write_table(rows: Iterable[GateFigures]) -> str:
    """Return the figures as a Markdown table."""
    lines = [_HEAD, "|" + " --- |" * (_HEAD.count("|") - 1)]
    for row in rows:
        cells = (
            str(row.hold_back),
            "strict" if row.is_strict else "usual",
            f"{row.halted:.1%} of {row.harmful}",
            f"{row.shown_median} / {row.shown_most}",
            f"{row.wrongly_halted:.2%} of {row.harmless:,}",
            f"{row.lag:.0f} characters",
            f"{row.first_word_held:.1%}",
            f"{row.first_text_ms:.2f} ms",
            f"{row.ms_per_thousand_tokens:.1f} ms",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
