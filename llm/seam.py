"""Joins what a second call says to what a first one had said, where the model is told to go on.

A model that is asked to continue its answer may begin with an ellipsis or a polite line, open its
block of code again, repeat the last words, or start over. What it repeats is taken away: the reader
sees each word once. White space does not count in a comparison: models set it differently.
"""

from __future__ import annotations

import re

from llm.courtesies import is_in_code, measure_courtesies

# Shorter ones may be meant: "had had", a bracket, a list's next dash.
LEAST_OVERLAP = 8
# Unless they are whole words.
LEAST_WORD = 5
# Who goes further back than so many characters starts at the very beginning.
LONGEST_OVERLAP = 4_000
# As much of the old beginning, said again, is a new start and no coincidence.
NEW_START = 32
# A word that was cut in two cannot be joined for sure: the old text ends before it.
UNFINISHED_WORD = re.compile(r"\S{1,40}\Z")


def cut_at_word(text: str) -> str:
    """Return the text up to its last complete word, where words are set apart."""
    whole = UNFINISHED_WORD.sub("", text)
    return whole if whole[-1:].isspace() else text


class Seam:
    """The place where the rest is joined to `kept`; feed it the new text from its beginning.

    It holds back no more than a courtesy and what repeats the old text. Once `is_joined`, `kept`
    is what stands before the new text: nothing, if the model began the whole answer anew.
    """

    def __init__(self, kept: str) -> None:
        self.kept = kept
        self.is_joined = False
        self._in_code = is_in_code(kept)
        self._old = _squeeze(kept)
        self._tail = self._old[-LONGEST_OVERLAP:]
        self._line = _squeeze(kept.rpartition("\n")[2])
        self._word = (kept.split() or [""])[-1]
        # What has come, where in it the courtesies end, and the rest without white space.
        self._head = ""
        self._begin: int | None = None
        self._new = ""

    def feed(self, text: str) -> str:
        """Return what is new of it, as far as that is clear."""
        if self.is_joined:
            return text
        self._head += text
        if self._begin is not None:
            self._new += _squeeze(text)
        elif not self._find_begin(is_all=False):
            return ""
        return "" if self._may_repeat() else self._join()

    def finish(self) -> str:
        """Return what is new of all that was held back."""
        if self.is_joined:
            return ""
        if self._begin is None:
            self._find_begin(is_all=True)
        return self._join()

    def _find_begin(self, *, is_all: bool) -> bool:
        self._begin = measure_courtesies(self._head, in_code=self._in_code, is_all=is_all)
        if self._begin is not None:
            self._new = _squeeze(self._head[self._begin :])
        return self._begin is not None

    def _may_repeat(self) -> bool:
        """Say whether more words could show that these are said again."""
        new = self._new
        return (
            self._old.startswith(new)
            or new in self._tail
            or self._line.startswith(new)
            or self._word.startswith(new)
        )

    def _join(self) -> str:
        self.is_joined = True
        rest = self._head[self._begin :]
        if overlap := self._measure_overlap(rest):
            return _without_space_of(self.kept, rest[_end_of(rest, overlap) :])
        if len(self._new) >= NEW_START and self._new[:NEW_START] == self._old[:NEW_START]:
            self.kept = ""
            return rest.lstrip()
        if self.kept[-1:].isspace() and not self.kept.endswith("\n"):
            return rest.lstrip(" ")
        return rest

    def _measure_overlap(self, rest: str) -> int:
        """Return how many characters, white space aside, end the old text and begin the new."""
        new, tail = self._new, self._tail
        if len(self._old) >= LEAST_OVERLAP and new.startswith(self._old):
            return self._if_whole(rest, len(self._old))
        at = tail.find(new[:LEAST_OVERLAP]) if len(new) >= LEAST_OVERLAP else -1
        while at >= 0 and len(tail) - at >= LEAST_OVERLAP:
            if new.startswith(tail[at:]) and self._if_whole(rest, len(tail) - at):
                # What repeats itself already may go on doing so.
                return 0 if tail[:at].endswith(tail[at:]) else len(tail) - at
            at = tail.find(new[:LEAST_OVERLAP], at + 1)
        for short in (self._line, self._word if len(self._word) >= LEAST_WORD else ""):
            if short and self.kept[-1:].isspace() and new.startswith(short):
                return self._if_whole(rest, len(short))
        return 0

    def _if_whole(self, rest: str, overlap: int) -> int:
        """Return the overlap, or 0 where it would end within a word of either text."""
        after = rest[_end_of(rest, overlap) :][:1]
        return 0 if self.kept[-1:].isspace() and after.isalnum() else overlap


class SpaceSeam:
    """The place where a model goes on that was asked without the white space `kept` ends with.

    A model's words mostly begin with their space: after one more it is lost for words. Anthropic's
    models refuse such a last turn (platform.claude.com, "Prefill Claude's response").
    """

    def __init__(self, kept: str) -> None:
        self.kept = kept
        self._is_joined = False
        self._head = ""

    def feed(self, text: str) -> str:
        """Return what is new of it: its white space is there already, as far as it is the same."""
        if self._is_joined:
            return text
        self._head += text
        return "" if self._head.isspace() else self.finish()

    def finish(self) -> str:
        """Return what is new of all that was held back."""
        if self._is_joined:
            return ""
        self._is_joined = True
        return _without_space_of(self.kept, self._head)


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _end_of(text: str, count: int) -> int:
    """Return where the first `count` characters that are no white space end."""
    places = [at for at, char in enumerate(text) if not char.isspace()]
    return places[count - 1] + 1


def _without_space_of(kept: str, rest: str) -> str:
    """Return the rest without the white space at its beginning that the old text ends with."""
    space = kept[len(kept.rstrip()) :]
    own = rest[: len(rest) - len(rest.lstrip())]
    if own.startswith(space):
        return rest[len(space) :]
    return rest.lstrip() if space.startswith(own) else rest
