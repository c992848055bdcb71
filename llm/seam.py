"""Joins what a second call says to what a first one had said, where the model is told to go on.

A model that is asked to continue its answer may begin with an ellipsis or a polite line, repeat
the last words, or start over. What it repeats is taken away: the reader sees each word once.
"""

from __future__ import annotations

import re

# Shorter ones may be meant: "had had", a bracket, a list's next dash.
LEAST_OVERLAP = 8
# Unless they are whole words.
LEAST_WORD = 5
# As much of the old beginning, said again, is a new start and no coincidence.
NEW_START = 32
# A line of the model's own before it goes on: short, alone, and ending in a colon or dots.
POLITE_LINE = re.compile(
    r"\s*[^\n]{0,80}?(?:continu|fortsetz|suite|sigue|继续|продолж)[^\n]{0,40}[:.…]+[ \t]*\n\s*",
    re.IGNORECASE,
)
POLITE_START = re.compile(
    r"\s*(?:sure|certainly|of course|okay|ok|here|continu|gerne|natürlich|hier|bien sûr|voici"
    r"|claro|aquí|конечно|好的)",
    re.IGNORECASE,
)
LONGEST_POLITE_LINE = 130
ELLIPSIS = re.compile(r"\s*(?:…|\.\.\.)\s*")
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
        self._bare = _squeeze(kept)
        self._head = ""

    def feed(self, text: str) -> str:
        """Return what is new of it, as far as that is clear."""
        if self.is_joined:
            return text
        self._head += text
        return "" if self._may_repeat() else self.finish()

    def finish(self) -> str:
        """Return what is new of all that was held back."""
        if self.is_joined:
            return ""
        self.is_joined = True
        head = _without_courtesies(self._head)
        # Where each character that is no white space stands.
        places = [at for at, char in enumerate(head) if not char.isspace()]
        bare = "".join(head[at] for at in places)
        overlap = self._overlap(bare) or self._repeated_word(head)
        if overlap:
            head = head[places[overlap - 1] + 1 :]
        elif bare[:NEW_START] == self._bare[:NEW_START] and len(bare) >= NEW_START:
            self.kept = ""
        if self.kept[-1:].isspace() and not self.kept.endswith("\n"):
            return head.lstrip(" ")
        return head

    def _may_repeat(self) -> bool:
        """Say whether the next words could show that these are a courtesy, or said again."""
        head = self._head
        is_line = len(head) < LONGEST_POLITE_LINE and "\n" not in head
        if is_line and (len(_squeeze(head)) < LEAST_OVERLAP or POLITE_START.match(head)):
            return True
        bare = _squeeze(_without_courtesies(head))
        return not bare or (len(bare) < len(self._bare) and bare in self._bare)

    def _overlap(self, bare: str) -> int:
        """Return how many characters, white space aside, end the old text and begin the new."""
        for size in range(min(len(bare), len(self._bare)), LEAST_OVERLAP - 1, -1):
            if self._bare.endswith(bare[:size]):
                # What repeats itself already may go on doing so.
                return 0 if self._bare[:-size].endswith(bare[:size]) else size
        return 0

    def _repeated_word(self, head: str) -> int:
        """Return the length of the old text's last word where the new begins with it, else 0."""
        last, first = self.kept.split()[-1:], head.split()[:1]
        return len(last[0]) if last and last == first and len(last[0]) >= LEAST_WORD else 0


def _squeeze(text: str) -> str:
    """Return the text without white space: models set it differently when they repeat."""
    return "".join(text.split())


def _without_courtesies(head: str) -> str:
    if polite := POLITE_LINE.match(head):
        head = head[polite.end() :]
    if dots := ELLIPSIS.match(head):
        head = head[dots.end() :]
    return head
