"""A text that is still being written, judged stretch by stretch without reading a word twice."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from moderation.characters import TABLE
from moderation.classifier import LONGEST_TEXT, Classifier, Reading, are_joined
from moderation.features import Coded
from moderation.plain import LONGEST_RUN, Plain
from moderation.rules import find_hits, find_rules
from moderation.types import Surface


class Unfolding:
    """What the first tier finds in stretches of one text, to which more is added all the time.

    Stretches overlap, and most of what is written is plain: its words and phrases are looked up as
    they come, and only weighed anew. A stretch with anything else in it is read as a whole. Not for
    two threads at the same time.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._read_to = 0
        # How long the last run is so far, where more of it may come.
        self._open = 0
        # Runs of characters without a space, what each needs of rules, and its first word's number.
        self._runs: list[Plain | None] = []
        self._needs: list[int] = []
        self._firsts: list[int] = []
        # What begins with this run or before it is not plain.
        self._odd = -1
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
        """Return what `Classifier.read` yields for `text[start:end]`."""
        self._go_on(text, end)
        stretch = text[start:end]
        if end == self._read_to and end - start <= LONGEST_TEXT and not _is_within_run(text, start):
            first = len(self._runs) - len(stretch.split())
            if self._odd < first and not self._is_joined(first):
                return [self._weigh(stretch, first)]
        return self._classifier.read(stretch)

    def _is_joined(self, first: int) -> bool:
        runs = len(self._runs) - first
        return runs > 0 and are_joined(len(self._words) - self._firsts[first], runs)

    def _go_on(self, text: str, end: int) -> None:
        if end <= self._read_to:
            return
        start = self._read_to
        if self._open and not text[start].isspace():
            if self._open > LONGEST_RUN:
                # However it goes on, it is not plain.
                start += len(text[start:end].split(maxsplit=1)[0])
            else:
                start -= self._open
                self._take_back()
        runs, words, coded = self._runs, self._words, self._coded
        known = len(words)
        pieces = text[start:end].split()
        for run in map(self._classifier.plain_words.__getitem__, pieces):
            runs.append(run)
            self._firsts.append(len(words))
            self._needs.append(run.needs if run else 0)
            if run is None or run.is_edge:
                self._odd = max(self._odd, self._find_odd(run))
            if run:
                words += run.words
                coded += run.coded
        if text[end - 1].isspace():
            self._open = 0
        else:
            self._open = len(pieces[-1]) if pieces else self._open + end - self._read_to
        self._read_to = end
        before = min(known, 2)
        pairs, triples = self._classifier.find_phrases(coded[known - before :])
        self._pairs += pairs[max(before - 1, 0) :]
        self._triples += triples

    def _take_back(self) -> None:
        """Forget the last run, which has grown."""
        first = self._firsts.pop()
        self._runs.pop()
        self._needs.pop()
        del self._words[first:]
        del self._coded[first:]
        del self._pairs[max(first - 1, 0) :]
        del self._triples[max(first - 2, 0) :]

    def _find_odd(self, run: Plain | None) -> int:
        """Return from which run on the last one may be a part of something hidden, or -1."""
        number = len(self._runs) - 1
        if run is None:
            return number
        last = self._runs[number - 1] if number else None
        if last and last.is_digits and run.is_digits:
            return number - 1
        if last and last.is_letter and run.begins_with_letter and number > 1:
            earlier = self._runs[number - 2]
            if earlier and earlier.ends_with_letter:
                return number - 2
        return -1

    def _weigh(self, stretch: str, first: int) -> Reading:
        start = self._firsts[first] if first < len(self._runs) else len(self._words)
        words = self._words[start:]
        odds = self._classifier.weigh(words, self._pairs[start:], self._triples[start:])
        rules = find_rules(reduce(or_, self._needs[first:], 0))
        reading = stretch.translate(TABLE)
        return Reading(reading, words, odds, list(find_hits(reading, rules)) if rules else [])


def _is_within_run(text: str, place: int) -> bool:
    return 0 < place < len(text) and not (text[place - 1].isspace() or text[place].isspace())
