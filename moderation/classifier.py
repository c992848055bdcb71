"""Score a text: pure, without network or database, in well under a millisecond for a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import exp, log
from threading import Lock
from types import MappingProxyType
from typing import NamedTuple

from moderation import artefact, meaning, tiers as tiers_module
from moderation.embedding import Encoder
from moderation.encodings import decode_hidden
from moderation.features import Coded, cut_words
from moderation.meaning import SecondTier
from moderation.normalise import align, normalise
from moderation.plain import PlainWords
from moderation.rates import score_at
from moderation.rules import find_hits
from moderation.scorer import Floats, Scorer
from moderation.types import CATEGORIES, Category, Hit, Scores, Surface

# Longer texts are read to here; what accepts texts refuses longer ones (chatbot's limit is 32,000).
LONGEST_TEXT = 64_000

# The second tier is asked about messages that the first finds riskier than half of all harmless texts,
# and about comments riskier than a tenth of them, which are few and hint more. Not where the first is
# sure: its milliseconds buy nothing there. Answers are judged every few words while they are written,
# which the first tier alone is fit for.
GREY: Mapping[Surface, tuple[float, float]] = {
    Surface.INPUT: (score_at(0.5), 0.99),
    Surface.COMMENT: (score_at(0.9), 0.99),
}
# What a word or two mean is what tier 1 knows of them.
_FEWEST_WORDS = 3


class Reading(NamedTuple):
    """A text as a person reads it, its words, each head's log odds, and what rules found."""

    text: str
    words: list[str]
    odds: dict[str, float]
    hits: list[Hit]


class Classifier:
    """Rules, the local model and, where given, the second tier. See `get_classifier`."""

    def __init__(self, model: artefact.Artefact, second: SecondTier | None = None) -> None:
        self._scorer = Scorer(model)
        self._names = tuple(head.name for head in model.heads)
        self._surfaces = {Surface(name): mixture for name, mixture in model.surfaces.items()}
        self._second = second
        self.plain_words = PlainWords(self._scorer.cut)

    @property
    def version(self) -> str:
        """What to note beside a decision, so that it can be repeated."""
        first = self._scorer.artefact.version
        return f"{first}+{self._second.meaning.version}" if self._second else first

    @property
    def tiers(self) -> tuple[int, ...]:
        """The tiers that texts may be judged by here."""
        return (1, 2) if self._second else (1,)

    def is_reached(self, reading: Reading, surface: Surface, least: float) -> bool:
        """Say whether the first tier finds a risk of `least` or more, or a rule that blocks."""
        return self._mix(reading.odds, surface) >= least or any(
            hit.score >= least or hit.blocks for hit in reading.hits
        )

    def find_phrases(self, words: Sequence[Coded]) -> tuple[list[int], list[int]]:
        """Return where the model knows each two and each three neighbouring words."""
        return self._scorer.find_phrases(words)

    def weigh(
        self, words: Sequence[str], pairs: Sequence[int], triples: Sequence[int]
    ) -> dict[str, float]:
        """Return each head's log odds for words whose phrases were found before."""
        return self._name(self._scorer.weigh(words, pairs, triples))

    def _name(self, odds: Floats) -> dict[str, float]:
        return dict(zip(self._names, odds.tolist(), strict=True))

    def read(self, text: str) -> Iterator[Reading]:
        """Yield the text as a person reads it, then what is hidden in it."""
        text = text[:LONGEST_TEXT]
        yield self._weigh(normalise(text))
        for hidden in decode_hidden(text):
            yield self._weigh(normalise(hidden))

    def _weigh(self, reading: str) -> Reading:
        words = self._scorer.cut(reading)
        odds = self._name(self._scorer.odds(words))
        hits = list(find_hits(reading))
        if are_joined(len(words), len(reading.split())):
            reading = " ".join(words)
            hits += find_hits(reading)
        return Reading(reading, words, odds, hits)

    def score(self, text: str, surface: Surface) -> Scores:
        """Return how far `text` lies beyond the harmless texts of `surface`."""
        risk = 0.0
        riskiest: Reading | None = None
        categories = dict.fromkeys(CATEGORIES, 0.0)
        hits: list[Hit] = []
        for one in self.read(text):
            hits += one.hits
            found = self._mix(one.odds, surface)
            if riskiest is None or found > risk:
                risk, riskiest = found, one
            _raise_to(categories, one.odds)
        tiers: tuple[int, ...] = (1,)
        if self._second and riskiest and _is_grey(risk, surface):
            reading, words, odds, _ = riskiest
            if len(words) >= _FEWEST_WORDS:
                joint = self._second.join(odds, _mended(reading, words))
                risk = self._mix(joint, surface, line=self._second.meaning.surfaces[surface])
                categories = dict.fromkeys(CATEGORIES, 0.0)
                _raise_to(categories, joint)
                tiers = (1, 2)
        for hit in hits:
            risk = max(risk, hit.score)
            categories[hit.category] = max(categories[hit.category], hit.score)
        return Scores(
            risk=risk,
            categories=MappingProxyType(categories),
            rules=tuple(dict.fromkeys(hit.rule for hit in hits)),
            blocks=any(hit.blocks for hit in hits),
            version=self.version,
            tiers=tiers,
        )

    def _mix(
        self,
        odds: Mapping[str, float],
        surface: Surface,
        *,
        line: tuple[float, float] | None = None,
    ) -> float:
        mixture = self._surfaces[surface]
        slope, shift = line or (mixture.slope, mixture.shift)
        return _share(slope * mix(odds, mixture) + shift)


def mix(odds: Mapping[str, float], mixture: artefact.Mixture) -> float:
    """Return what a surface makes of the log odds of heads, before it is calibrated."""
    own = log_of_sum(
        odds[head] - handicap
        for head, handicap in zip(mixture.heads, mixture.handicaps, strict=True)
    )
    support = mixture.support
    return own + support.weight * sum(max(odds[h] - support.floor, 0.0) for h in support.heads)


def are_joined(words: int, runs: int) -> bool:
    """Say whether so many words in so few runs of characters were written without spaces."""
    return words > 2 * runs


def _is_grey(risk: float, surface: Surface) -> bool:
    lowest, sure = GREY.get(surface, (1.0, 0.0))
    return lowest <= risk < sure


def _mended(reading: str, words: list[str]) -> str:
    """Return the words where some were mended, else what was read, with its punctuation."""
    return reading if cut_words(reading) == words else " ".join(words)


def _raise_to(categories: dict[Category, float], odds: Mapping[str, float]) -> None:
    for category in CATEGORIES:
        categories[category] = max(categories[category], _share(odds[category]))


def log_of_sum(odds: Iterable[float]) -> float:
    """Return the log of the sum of what `odds` are logs of."""
    values = list(odds)
    highest = max(values)
    return highest + log(sum(exp(value - highest) for value in values))


def _share(odds: float) -> float:
    """Return the probability for log odds."""
    return 1.0 / (1.0 + exp(-min(max(odds, -30.0), 30.0)))


def score(text: str, surface: Surface) -> Scores:
    """Return how far `text` lies beyond the harmless texts of `surface`.

    Raises ArtefactRefused, at the first call, where the committed classifier is not there whole.
    """
    return get_classifier().score(text, surface)


def find_spans(text: str) -> tuple[Hit, ...]:
    """Return what the rules find, with its places in `text` itself, to be highlighted."""
    read = align(text)
    return tuple(
        Hit(hit.rule, hit.category, hit.score, hit.blocks, read.origin(hit.span))
        for hit in find_hits(read.text)
    )


# It takes seconds with the second tier: whoever comes meanwhile waits, and does not load it again.
_loading = Lock()


def get_classifier() -> Classifier:
    """Return the process's classifier, with the tiers that are on (`tiers.tiers_on`)."""
    with _loading:
        return _load(tiers_module.tiers_on())


def get_first_tier() -> Classifier:
    """Return the process's classifier of rules and local model alone."""
    return _load((1,))


@cache
def _load(wanted: tuple[int, ...]) -> Classifier:
    digest = artefact.DIGEST_PATH.read_text().split()[0] if artefact.DIGEST_PATH.exists() else ""
    model = artefact.load(artefact.PATH, digest=digest)
    second = SecondTier(meaning.load(), Encoder()) if 2 in wanted else None
    return Classifier(model, second)
