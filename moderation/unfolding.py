"""A text that is still being written, judged stretch by stretch without reading a word twice."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import reduce
from operator import or_

from moderation.characters import TABLE
from moderation.classifier import LONGEST_TEXT, Classifier, Reading, are_joined
from moderation.features import Coded
from moderation.plain import Plain
from moderation.rules import find_hits, find_rules
from moderation.types import Surface

_RUN = re.compile(r"\S+")


class Unfolding:
    """What the first tier finds in stretches of one text, to which more is added all the time.

    Stretches overlap, and most of what is written is plain: its words and phrases are looked up as
    they come, and only weighed anew. A stretch with anything else in it is read as a whole. Not for
    two threads at the same time.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._read_to = 0
        # Of each run of characters without a space: where it starts, what it says, its first word's
        # number, and the number of the run that a plain stretch that ends with it begins after.
        self._starts: list[int] = []
        self._runs: list[Plain | None] = []
        self._firsts: list[int] = []
        self._odds: list[int] = []
        self._words: list[str] = []
        self._coded: list[Coded] = []
        # Of each two and each three words, by the first of them.
        self._pairs: list[int] = []
        self._triples: list[int] = []

    def reaches(self, text: str, start: int, end: int, surface: Surface, least: float) -> bool:
        """Say whether `text[start:end]` has a risk of `least` or more, or meets a rule that blocks.

        `text` begins with every text that was given before.
        """
        readings = self.read(text, start, end)
        return any(self._classifier.is_reached(one, surface, least) for one in readings)

    def read(self, text: str, start: int, end: int) -> Iterable[Reading]:
        """Yield what `Classifier.read` yields for `text[start:end]`."""
        self._go_on(text, end)
        first = bisect_left(self._starts, start)
        if not self._is_plain(text, start, end, first):
            return self._classifier.read(text[start:end])
        return [self._weigh(text[start:end], first)]

    def _is_plain(self, text: str, start: int, end: int, first: int) -> bool:
        if end != self._read_to or end - start > LONGEST_TEXT or _is_within_run(text, start):
            return False
        runs = len(self._runs) - first
        if runs <= 0:
            return True
        words = len(self._words) - self._firsts[first]
        return self._odds[-1] < first and not are_joined(words, runs)

    def _go_on(self, text: str, end: int) -> None:
        if end <= self._read_to:
            return
        if self._runs and _is_within_run(text, self._read_to):
            self._read_to = self._take_back()
        known = len(self._words)
        plain_words, add = self._classifier.plain_words, self._add
        for match in _RUN.finditer(text, self._read_to, end):
            add(match.start(), plain_words[match.group()])
        self._read_to = end
        before = min(known, 2)
        pairs, triples = self._classifier.find_phrases(self._coded[known - before :])
        self._pairs += pairs[max(before - 1, 0) :]
        self._triples += triples

    def _take_back(self) -> int:
        """Forget the last run, which has grown; return where it starts."""
        first = self._firsts.pop()
        self._runs.pop()
        self._odds.pop()
        del self._words[first:]
        del self._coded[first:]
        del self._pairs[max(first - 1, 0) :]
        del self._triples[max(first - 2, 0) :]
        return self._starts.pop()

    def _add(self, start: int, run: Plain | None) -> None:
        number = len(self._runs)
        odd = self._odds[-1] if number else -1
        if run is None:
            odd = number
        elif run.is_digits or run.begins_with_letter:
            odd = max(odd, self._find_odd(run, number))
        self._starts.append(start)
        self._runs.append(run)
        self._firsts.append(len(self._words))
        self._odds.append(odd)
        if run:
            self._words += run.words
            self._coded += run.coded

    def _find_odd(self, run: Plain, number: int) -> int:
        """Return the run from which on this one may be a part of something hidden, or -1."""
        last = self._runs[number - 1] if number else None
        if last and last.is_digits and run.is_digits:
            return number - 1
        if last and last.is_letter and run.begins_with_letter and number > 1:
            earlier = self._runs[number - 2]
            if earlier is None or earlier.ends_with_letter:
                return number - 2
        return -1

    def _weigh(self, stretch: str, first: int) -> Reading:
        runs = self._runs[first:]
        start = self._firsts[first] if runs else len(self._words)
        words = self._words[start:]
        odds = self._classifier.weigh(words, self._pairs[start:], self._triples[start:])
        rules = find_rules(reduce(or_, [run.needs for run in runs if run], 0))
        reading = stretch.translate(TABLE)
        return Reading(reading, words, odds, list(find_hits(reading, rules)) if rules else [])


def _is_within_run(text: str, place: int) -> bool:
    return 0 < place < len(text) and not (text[place - 1].isspace() or text[place].isspace())
