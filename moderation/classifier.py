"""Score a text: pure, without network or database, in well under a millisecond for a message."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import exp, log
from types import MappingProxyType

from moderation import artefact
from moderation.encodings import decode_hidden
from moderation.normalise import align, normalise
from moderation.rules import find_hits
from moderation.scorer import Floats, Scorer
from moderation.types import Category, Hit, Scores, Surface

# Longer texts are read to here; what accepts texts refuses longer ones (chatbot's limit is 32,000).
LONGEST_TEXT = 64_000


class Classifier:
    """Tier 1: rules and the local model. One per process is enough; see `get_classifier`."""

    def __init__(self, model: artefact.Artefact) -> None:
        self._scorer = Scorer(model)
        self._places = {head.name: place for place, head in enumerate(model.heads)}
        self._surfaces = {
            Surface(name): ([self._places[head] for head in mixture.heads], mixture)
            for name, mixture in model.surfaces.items()
        }

    @property
    def version(self) -> str:
        """What to note beside a decision, so that it can be repeated."""
        return self._scorer.artefact.version

    def score(self, text: str, surface: Surface) -> Scores:
        """Return how far `text` lies beyond the harmless texts of `surface`."""
        text = text[:LONGEST_TEXT]
        readings = [normalise(text)]
        readings += [normalise(hidden) for hidden in decode_hidden(text)]
        risk = 0.0
        categories = dict.fromkeys(Category, 0.0)
        hits: list[Hit] = []
        for reading in readings:
            words = self._scorer.cut(reading)
            odds = self._scorer.odds(words)
            hits += find_hits(reading)
            if words and len(words) > 2 * len(reading.split()):
                hits += find_hits(" ".join(words))
            risk = max(risk, self._mix(odds, surface))
            for category in Category:
                found = _share(float(odds[self._places[category]]))
                categories[category] = max(categories[category], found)
        for hit in hits:
            risk = max(risk, hit.score)
            categories[hit.category] = max(categories[hit.category], hit.score)
        return Scores(
            risk=risk,
            categories=MappingProxyType(categories),
            rules=tuple(dict.fromkeys(hit.rule for hit in hits)),
            blocks=any(hit.blocks for hit in hits),
            version=self.version,
        )

    def _mix(self, odds: Floats, surface: Surface) -> float:
        places, mixture = self._surfaces[surface]
        total = log_of_sum(
            float(odds[place]) - handicap
            for place, handicap in zip(places, mixture.handicaps, strict=True)
        )
        return _share(mixture.slope * total + mixture.shift)


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


@cache
def get_classifier() -> Classifier:
    """Return the process's classifier, loaded once from the committed file."""
    digest = artefact.DIGEST_PATH.read_text().split()[0] if artefact.DIGEST_PATH.exists() else ""
    return Classifier(artefact.load(artefact.PATH, digest=digest))
