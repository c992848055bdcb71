from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chatbot.accounts.models import Plan
from chatbot.core.errors import ChatError
from llm.conf import read_catalog
from llm.evaluation import (
    ANSWER_TOKENS,
    CONTEXT_TOKENS,
    EVERYDAY_FAST_SHARE,
    HELD,
    TUNING,
    BadPrompts,
    Judged,
    judge,
    read_prompts,
    sum_up,
)
from llm.routing import prefer


class Command(BaseCommand):
    help = (
        "Route labelled prompts and report how many go where they should, and the money saved "
        "against always asking a smart model. Asks no model, needs no key: all models of the "
        "catalogue count as available, at its prices."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            nargs="*",
            type=Path,
            default=[TUNING, HELD],
            help="lines of JSON with text, label (fast or smart), category and language; "
            "without one, the two halves that come along",
        )
        parser.add_argument("--plan", choices=Plan.values, default=Plan.FREE)
        parser.add_argument("--wrong", action="store_true", help="list what went wrong")

    def handle(self, *, file: list[Path], plan: str, wrong: bool, **_: Any) -> None:
        catalog = read_catalog()
        models = prefer(catalog.models, catalog)
        try:
            for path in file:
                judged = judge(read_prompts(path), models, plan=plan)
                self.stdout.write(f"{path.name}: {len(judged)} prompts\n")
                self.stdout.writelines(f"{line}\n" for line in _report(judged))
                if wrong:
                    self.stdout.writelines(
                        f"  {_show(one)}\n" for one in judged if not one.is_right
                    )
                self.stdout.write("\n")
        except (BadPrompts, ChatError) as exc:
            raise CommandError(str(exc)) from exc


def _report(judged: list[Judged]) -> Iterable[str]:
    whole, everyday = sum_up(judged), sum_up(judged, fast_share=EVERYDAY_FAST_SHARE)
    yield f"  accuracy {whole.accuracy:.1%}"
    yield "  label    to fast  to smart"
    for label in ("fast", "smart"):
        row = (whole.confusion[label, to] for to in ("fast", "smart"))
        yield f"  {label:7}" + "".join(f"{number:9}" for number in row)
    for name in ("category", "language"):
        parts = sorted({getattr(one.prompt, name) for one in judged})
        yield f"  by {name}:"
        for part in parts:
            group = [one for one in judged if getattr(one.prompt, name) == part]
            right = sum(one.is_right for one in group)
            yield f"    {part or '-':14} {right:3} of {len(group):3}"
    yield "  money saved against always smart, and if every route were right:"
    yield f"    on this mix                        {whole.saved:.1%}, {whole.saved_if_right:.1%}"
    share = f"if {EVERYDAY_FAST_SHARE:.0%} of questions were simple"
    yield f"    {share:34} {everyday.saved:.1%}, {everyday.saved_if_right:.1%}"
    yield (
        f"  (assumed: {CONTEXT_TOKENS} tokens before each question, answers of "
        f"{ANSWER_TOKENS['fast']} tokens to simple questions and {ANSWER_TOKENS['smart']} to others)"
    )


def _show(one: Judged) -> str:
    text = " ".join(one.prompt.text.split())
    found = one.route.score
    total = f"{found.total:.2f}" if found else "-"
    return f"{one.prompt.label} -> {one.route.primary.tier} ({total}): {text[:90]}"
