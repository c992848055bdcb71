from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from moderation import artefact, meaning
from moderation.classifier import Classifier
from moderation.embedding import Encoder, is_installed
from moderation.errors import ArtefactRefused, BadCorpus
from moderation.meaning import SecondTier
from moderation.training.corpus import Example, read_corpus
from moderation.training.evaluating import HELD_SOURCES, evaluate
from moderation.training.grammar import write_examples
from moderation.training.report import draw_curves, put_figures, write_figures
from moderation.training.run import train
from moderation.training.second import train_second
from moderation.training.vectors import NO_VECTORS, WordVectors, place_words


class Command(BaseCommand):
    help = (
        "Learn the local classifier from labelled texts (docs/moderation.md says where they come "
        "from) and write its file: the same bytes for the same texts, seed and machine."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("data", type=Path, metavar="DATA_DIR", help="of *.jsonl.gz files")
        parser.add_argument("--tier", type=int, choices=[1, 2], default=1)
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument(
            "--out", type=Path, metavar="FILE", help="instead of the committed classifier"
        )
        parser.add_argument(
            "--first",
            type=Path,
            default=artefact.PATH,
            metavar="FILE",
            help="the first tier that the second is learnt for",
        )
        parser.add_argument(
            "--held-out",
            action="store_true",
            help="learn without whole sources and judge by them; writes to --out alone",
        )
        parser.add_argument(
            "--judge",
            action="store_true",
            help="learn nothing: judge the classifier that is there (--first, --out)",
        )
        parser.add_argument(
            "--plain",
            action="store_true",
            help="learn from DATA_DIR alone, without patterns and word vectors: quick, to try it",
        )
        parser.add_argument(
            "--report", type=Path, metavar="PAGE.md", help="put the figures into this page"
        )

    def handle(self, *, data: Path, tier: int, out: Path | None, **options: Any) -> None:
        plain: bool = options["plain"]
        if not is_installed() and (tier == 2 or not plain):
            raise CommandError("Training needs the packages of requirements-tier2.txt.")
        held_out: bool = options["held_out"]
        try:
            corpus = read_corpus(data)
            learning = _Learning(
                examples=[*corpus, *([] if plain else write_examples(options["seed"]))],
                seed=options["seed"],
                without=HELD_SOURCES if held_out else frozenset(),
                plain=plain,
            )
            if options["judge"]:
                raw = ((out or meaning.PATH) if tier == 2 else options["first"]).read_bytes()
            elif tier == 1:
                raw = learning.learn_first()
            else:
                raw = learning.learn_second(artefact.load(options["first"]))
            if tier == 1:
                classifier = Classifier(artefact.unpack(raw))
            else:
                second = SecondTier(meaning.unpack(raw), Encoder())
                classifier = Classifier(artefact.load(options["first"]), second)
        except (BadCorpus, ArtefactRefused, FileNotFoundError) as exc:
            raise CommandError(str(exc)) from exc
        if out is None and not held_out:
            out = artefact.PATH if tier == 1 else meaning.PATH
        if out is not None and not options["judge"]:
            _write(out, raw)
        figures = evaluate(classifier, corpus, held_out=held_out, told=_show)
        text = write_figures(figures)
        self.stdout.write(f"{len(raw)} bytes, {classifier.version}")
        self.stdout.write(text)
        if page := options["report"]:
            name = f"{'held-out' if held_out else 'final'}-{tier}"
            put_figures(page, name, text)
            page.with_name(f"{page.stem}-{name}.svg").write_text(draw_curves(figures))


@dataclass(frozen=True, slots=True)
class _Learning:
    examples: list[Example]
    seed: int
    without: frozenset[str]
    plain: bool

    def learn_first(self) -> bytes:
        return train(
            self.examples,
            seed=self.seed,
            told=_show,
            place_words=self._place_words,
            without=self.without,
        ).raw

    def learn_second(self, first: artefact.Artefact) -> bytes:
        return train_second(
            self.examples,
            first=first,
            encoder=Encoder(),
            seed=self.seed,
            told=_show,
            without=self.without,
        )

    def _place_words(self, texts: Sequence[Sequence[str]]) -> WordVectors:
        return NO_VECTORS if self.plain else place_words(texts, Encoder(), _show)


def _write(out: Path, raw: bytes) -> None:
    out.write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    out.with_suffix(".sha256").write_text(f"{digest}  {out.name}\n")


def _show(stage: str, length: int) -> Callable[[], object]:
    # One bar after the other; each is complete before the next begins.
    return tqdm(total=length, desc=stage, disable=None, leave=False).update
