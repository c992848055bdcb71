"""Read a text as a person would, through what was done to its letters to hide it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moderation.characters import LOOKALIKES, TABLE
from moderation.types import Span

# A stretch of the text, and what stands for it.
Edit = tuple[int, int, str]

_LOOKALIKE = re.compile(f"[{''.join(LOOKALIKES)}]")
_FOREIGN_WORD = re.compile(r"[^\W\d_a-z]{2,}")
_WORD = re.compile(r"\w+")
# Three or more single characters, always parted by the same one.
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:([ .\-_*~|,/])(?:[^\W_]\1)+)[^\W_](?![^\W_])")
# Characters of a word among which some stand for letters.
_LEET_WORD = re.compile(
    r"[a-z0-9@$!]*(?:[a-z][0-9@$!]{1,3}|(?<![a-z0-9@$!])[0134578@$])[a-z][a-z0-9@$!]*"
    r"|[a-z0-9@$][a-z0-9@$!]*[@$!][a-z0-9@$!]*[a-z0-9@$]|[a-z]{2,}[@$]+"
)
# One of these is in each such word; most texts have none, whatever digits end their words.
_LEET_SIGN = re.compile(r"[0-9!][a-z]|![0-9]|[@$]")
_LEET = str.maketrans("013456789@$!", "oieasgtbgasi")
_LEET_WITHIN = re.compile(r"[a-z][0-9@$!]{1,3}[a-z]|[a-z]{2}[@$]|(?=.*[a-z]).[@$!]")
_LEET_BEFORE = re.compile(r"[0134578@$][a-z]{2}")
# 3d, 4th, 5km, 2fa: numbers with a unit or an ending.
_COUNTED = re.compile(r"\d+[a-z]{1,3}")
_NAMES_OF_MACHINES = re.compile(r"\S*(?:://|www\.|\w@\w+\.)\S*")


@dataclass(frozen=True, slots=True)
class Aligned:
    """A text as it is read, and where in the original each of its characters comes from."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def origin(self, span: Span) -> Span:
        """Return the stretch of the original that `span` of the read text stands for."""
        if span.start >= span.end:
            at = (
                self.starts[span.start]
                if span.start < len(self.starts)
                else max(self.ends, default=0)
            )
            return Span(at, at)
        return Span(self.starts[span.start], self.ends[span.end - 1])


def normalise(text: str) -> str:
    """Return `text` in lower case, its disguises taken off.

    Look-alike letters, invisible characters, leetspeak and s p a c e d words are read as what they
    stand for. Doing it twice changes nothing more; the answer has at most
    `characters.LONGEST` characters for each one of `text`.
    """
    text = text.translate(TABLE)
    for step in _STEPS:
        while edits := list(step(text)):
            text = _apply(text, edits)
    return text


def align(text: str) -> Aligned:
    """Return what `normalise` does, and where each character comes from (slower)."""
    read, starts, ends = [], [], []
    for at, character in enumerate(text):
        for part in TABLE[ord(character)]:
            read.append(part)
            starts.append(at)
            ends.append(at + 1)
    text = "".join(read)
    for step in _STEPS:
        while edits := list(step(text)):
            for start, end, put in reversed(edits):
                starts[start:end], ends[start:end] = _origins(starts, ends, start, end, put)
            text = _apply(text, edits)
    return Aligned(text, tuple(starts), tuple(ends))


def _origins(
    starts: list[int], ends: list[int], start: int, end: int, put: str
) -> tuple[list[int], list[int]]:
    if len(put) == end - start:
        return starts[start:end], ends[start:end]
    # Spread over what it replaces, so that a part of it has a place as well.
    step = (end - start) / len(put)
    places = [start + int(number * step) for number in range(len(put))] + [end]
    return (
        [starts[place] for place in places[:-1]],
        [ends[after - 1] for after in places[1:]],
    )


def _apply(text: str, edits: list[Edit]) -> str:
    parts, at = [], 0
    for start, end, put in edits:
        parts += [text[at:start], put]
        at = end
    return "".join([*parts, text[at:]])


def _read_lookalikes(text: str) -> Iterator[Edit]:
    """Read foreign letters as Latin in words that mix both, or where no word is truly foreign."""
    if text.isascii() or not _LOOKALIKE.search(text):
        return
    words = [match for match in _WORD.finditer(text) if _LOOKALIKE.search(match.group())]
    is_foreign = any(
        not all(letter in LOOKALIKES for letter in word.group())
        for word in _FOREIGN_WORD.finditer(text)
        if not any("a" <= letter <= "z" for letter in _word_around(text, word))
    )
    for word in words:
        mixed = any("a" <= letter <= "z" for letter in word.group())
        if mixed or not is_foreign:
            put = "".join(LOOKALIKES.get(letter, letter) for letter in word.group())
            yield word.start(), word.end(), put


def _word_around(text: str, part: re.Match[str]) -> str:
    start, end = part.span()
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[start:end]


def _join_spaced(text: str) -> Iterator[Edit]:
    runs = [
        match
        for match in _SPACED.finditer(text)
        # 1.2.3.4 is the number of a version, 1 0 1 1 one of a sum.
        if sum(letter.isalpha() for letter in match.group()[::2]) * 4 > len(match.group())
    ]
    if not runs:
        return
    # Beside longer words that are spaced so, "t o" is one as well.
    between = "".join({re.escape(match.group(1)) for match in runs})
    pairs = re.finditer(rf"(?<![^\W_])[^\W\d_][{between}][^\W\d_](?![{between}]?[^\W_])", text)
    taken = {place for match in runs for place in range(*match.span())}
    runs += [match for match in pairs if match.start() not in taken]
    for match in sorted(runs, key=lambda match: match.start()):
        yield match.start(), match.end(), match.group()[::2]


def _read_leet(text: str) -> Iterator[Edit]:
    if not _LEET_SIGN.search(text):
        return
    for match in _LEET_WORD.finditer(text):
        word = match.group()
        core = word.rstrip("!")
        if len(core) < 3 or _COUNTED.fullmatch(core) or _is_machine_name(text, match):
            continue
        if _LEET_WITHIN.search(core) or _LEET_BEFORE.match(core):
            put = core.translate(_LEET)
            if put != core:
                yield match.start(), match.start() + len(core), put


def _is_machine_name(text: str, match: re.Match[str]) -> bool:
    start = max(text.rfind(" ", 0, match.start()), text.rfind("\n", 0, match.start())) + 1
    return bool(_NAMES_OF_MACHINES.match(text, start))


_STEPS: tuple[Callable[[str], Iterator[Edit]], ...] = (_read_lookalikes, _join_spaced, _read_leet)
