from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from moderation.artefact import PATH, unpack
from moderation.classifier import Classifier
from moderation.errors import BadCorpus
from moderation.training.corpus import read_corpus
from moderation.training.evaluating import HELD_SOURCES, evaluate
from moderation.training.grammar import write_examples
from moderation.training.report import draw_curves, put_figures, write_figures
from moderation.training.run import train


class Command(BaseCommand):
    help = (
        "Learn the local classifier from labelled texts (docs/moderation.md says where they come "
        "from) and write its file: the same bytes for the same texts, seed and machine."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("data", type=Path, metavar="DATA_DIR", help="of *.jsonl.gz files")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--out", type=Path, default=PATH, metavar="FILE")
        parser.add_argument(
            "--held-out",
            action="store_true",
            help="learn without whole sources and judge by them; writes no classifier",
        )
        parser.add_argument(
            "--report", type=Path, metavar="PAGE.md", help="put the figures into this page"
        )

    def handle(self, *, data: Path, seed: int, out: Path, **options: Any) -> None:
        try:
            corpus = read_corpus(data)
        except BadCorpus as exc:
            raise CommandError(str(exc)) from exc
        held_out: bool = options["held_out"]
        without = HELD_SOURCES if held_out else frozenset[str]()
        examples = [*corpus, *write_examples(seed)]
        trained = train(examples, seed=seed, told=_show, without=without)
        if not held_out:
            out.write_bytes(trained.raw)
            digest = hashlib.sha256(trained.raw).hexdigest()
            out.with_suffix(".sha256").write_text(f"{digest}  {out.name}\n")
        classifier = Classifier(unpack(trained.raw))
        figures = evaluate(classifier, corpus, held_out=held_out, told=_show)
        text = write_figures(figures)
        self.stdout.write(
            f"{trained.learnt} texts learnt, {len(trained.raw)} bytes, {classifier.version}"
        )
        self.stdout.write(text)
        if page := options["report"]:
            name = "held-out" if held_out else "final"
            put_figures(page, name, text)
            page.with_name(f"{page.stem}-{name}.svg").write_text(draw_curves(figures))


def _show(stage: str, length: int) -> Callable[[], object]:
    # One bar after the other; each is complete before the next begins.
    return tqdm(total=length, desc=stage, disable=None, leave=False).update
