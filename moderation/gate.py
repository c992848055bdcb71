"""Lets the text of an answer through as it comes, behind windows that judge what will be shown.

A character comes out once a window that was judged and found clean reaches at least `hold_back`
characters beyond it, or the answer has ended. A violation no longer than the hold-back is
therefore seen whole before its first character is let out: windows end every `STRIDE`
characters at most, with a word where there is one to end with, and reach back over all that can
still be held by then.

The first word of an answer is let out at once where nothing about it is amiss, so that waiting
for the first word costs no more than judging it.
"""

from __future__ import annotations

from collections.abc import Callable
from re import compile as compile_pattern

from moderation.beginnings import may_begin_hit
from moderation.policy import Action, Decision

# In characters. A window holds the longest hold-back and what came since the last one, and the
# whole of the word that it begins with, unless that is longer than anybody's.
STRIDE = 80
LEAST_HOLD_BACK = 80
MOST_HOLD_BACK = 160
_LONGEST_WORD = 40
_FIRST_WORD = compile_pattern(rf"\s*\S{{1,{_LONGEST_WORD}}}(?:\s|$)")

# Says what is wrong with a stretch of an answer that goes on, by where it starts and ends.
Judge = Callable[[str, int, int], Decision | None]


class Violation(Exception):
    """The answer may not be shown any further, nor kept. `text` is what there was of it."""

    def __init__(self, decision: Decision, text: str) -> None:
        super().__init__(decision.category)
        self.decision = decision
        self.text = text


class OutputGate:
    """The gate of one answer; `judge` says what is wrong with a stretch of text, if anything is.

    Without a hold-back (0) all text is let out at once, and what is found is found late. What an
    earlier attempt let out is given as `text`.
    """

    def __init__(self, judge: Judge, *, hold_back: int, text: str = "") -> None:
        if hold_back and not LEAST_HOLD_BACK <= hold_back <= MOST_HOLD_BACK:
            raise ValueError(
                f"A hold-back is 0, or {LEAST_HOLD_BACK} to {MOST_HOLD_BACK} characters."
            )
        self._judge = judge
        self._hold_back = hold_back
        self._text = text
        # What was let out, and how far the text was judged.
        self._shown = len(text)
        # A worker that was lost may have let out what it was about to judge.
        self._judged = max(0, len(text) - MOST_HOLD_BACK)
        # Where the last window began.
        self._window = 0
        self.flagged: Decision | None = None

    @property
    def text(self) -> str:
        """All that came, held or not."""
        return self._text

    @property
    def held(self) -> str:
        return self._text[self._shown :]

    def feed(self, text: str) -> str:
        """Take what comes next and return what may be shown now. Raises Violation."""
        is_first = not self._text
        self._text += text
        came = len(self._text)
        while came - self._judged >= STRIDE:
            latest = self._judged + STRIDE
            self._judge_window(self._last_break(latest - _LONGEST_WORD, latest) or latest)
        if not self._hold_back:
            return self._let_out(came)
        # Not as much as could be at every window, but evenly, as it comes. What was not judged
        # is always less than a stride.
        ready = came - STRIDE - self._hold_back
        return self._let_out(ready if ready > 0 or not is_first else self._first_word())

    def finish(self) -> str:
        """Judge the end and the answer as a whole; return what was held. Raises Violation."""
        self._judge_window(len(self._text))
        if self._window:
            self._check(self._judge(self._text, 0, len(self._text)))
        return self._let_out(len(self._text))

    def _judge_window(self, end: int) -> None:
        if end > self._judged:
            start = max(0, self._judged - MOST_HOLD_BACK)
            self._window = self._last_break(max(0, start - _LONGEST_WORD), start) or start
            self._check(self._judge(self._text, self._window, end))
            self._judged = end

    def _last_break(self, start: int, end: int) -> int:
        """Return the place after the last space between two places, or 0."""
        found = self._text.rfind(" ", start, end), self._text.rfind("\n", start, end)
        return max(found) + 1

    def _check(self, decision: Decision | None) -> None:
        if decision is None:
            return
        if decision.action is Action.BLOCK:
            raise Violation(decision, self._text)
        if decision.action is Action.FLAG and (
            self.flagged is None or decision.score > self.flagged.score
        ):
            self.flagged = decision

    def _first_word(self) -> int:
        found = _FIRST_WORD.match(self._text)
        if found is None:
            return 0
        if may_begin_hit(found.group()) or self._judge(self._text, 0, found.end()):
            return 0
        return found.end()

    def _let_out(self, end: int) -> str:
        if end <= self._shown:
            return ""
        shown, self._shown = self._shown, end
        return self._text[shown:end]
