"""Which terms stand for a text in the index, and which ones a query looks for. Pure.

Terms are plain here and leave the process only after `blinding`. A term is a stem, the first three
or five letters of a word, or one or two neighbours of a run that no spaces part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from conversations.search.words import Word, find_likely_tokens, find_tokens, split_token

# What a pasted book may take: 16 KB. An answer of 500 tokens has about 400 terms.
MAX_TERMS = 4_000
# A longer beginning is looked for under the longest of these and told apart when it is opened.
PREFIX_CHARS = (3, 5)
MAX_SOUGHT = 16

Span = tuple[int, int]


def terms_of(text: str) -> set[str]:
    """Return the terms of a text; of a very long one those that come first."""
    terms: set[str] = set()
    seen: set[str] = set()
    for token in find_tokens(text):
        if token[0] in seen:
            continue
        seen.add(token[0])
        for word in split_token(token[0]):
            terms.update(_terms_of_word(word))
        if len(terms) >= MAX_TERMS:
            break
    return terms


def _terms_of_word(word: Word) -> Iterator[str]:
    if word.spaceless:
        yield from (f"g{char}" for char in word.text)
        yield from _pairs(word.text)
        return
    yield f"w{word.stem}"
    for length in PREFIX_CHARS:
        if len(word.text) >= length:
            yield f"p{word.text[:length]}"


def _pairs(run: str) -> Iterator[str]:
    return (f"g{run[at : at + 2]}" for at in range(len(run) - 1))


@dataclass(frozen=True, slots=True)
class Sought:
    """One word of a query; `is_open` says that it may go on."""

    word: Word
    is_open: bool = False

    def find_in(self, word: Word) -> Span | None:
        """Return where in a token's word this one stands."""
        mine = self.word
        if mine.spaceless:
            at = word.text.find(mine.text) if word.spaceless else -1
            if at < 0:
                return None
            if len(word.text) != word.end - word.start:
                return word.start, word.end  # Folding changed the places.
            return word.start + at, word.start + at + len(mine.text)
        if word.spaceless:
            return None
        is_same = word.stem == mine.stem or (self.is_open and word.text.startswith(mine.text))
        return (word.start, word.end) if is_same else None


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for: all of these words, in one message or title, in any order."""

    sought: tuple[Sought, ...]
    # What tokens mean to this query, and which mean nothing: a page opens many texts that share most
    # of their words.
    _known: dict[str, tuple[tuple[int, Span], ...]] = field(default_factory=dict, compare=False)
    _idle: set[str] = field(default_factory=set, compare=False)
    _initials: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        initials = "".join(one.word.text[0] for one in self.sought)
        object.__setattr__(self, "_initials", "".join(sorted({*initials, *initials.upper()})))

    def all_of(self) -> set[str]:
        """Return the terms that must all be there."""
        terms: set[str] = set()
        for one in self.sought:
            if one.word.spaceless:
                text = one.word.text
                terms.update(_pairs(text) if len(text) > 1 else [f"g{text}"])
            elif not self._beginning(one):
                terms.add(f"w{one.word.stem}")
        return terms

    def any_of(self) -> set[str]:
        """Return terms of which one must be there; none if the last word is short."""
        last = self.sought[-1]
        beginning = self._beginning(last)
        return {f"w{last.word.stem}", beginning} if beginning else set()

    @staticmethod
    def _beginning(one: Sought) -> str:
        if not one.is_open:
            return ""
        longest = max(length for length in PREFIX_CHARS if length <= len(one.word.text))
        return f"p{one.word.text[:longest]}"

    def find_in(self, text: str, *, within: int) -> list[Span] | None:
        """Return where the words stand in a text, or None unless all of them do.

        In order, those among the `within` characters after the first.
        """
        likely = list(find_likely_tokens(text, self._initials))
        # Most texts that only begin like a match are told apart here, which is quick.
        if not self._has_all({token[0] for token in likely} - self._idle):
            return None
        spans: list[Span] = []
        for token in likely:
            if spans and token.start() > spans[0][0] + within:
                break
            for _, (start, end) in self._meaning(token[0]):
                spans.append((token.start() + start, token.start() + end))
        return spans

    def _has_all(self, tokens: set[str]) -> bool:
        met: set[int] = set()
        for token in tokens:
            met.update(number for number, _ in self._meaning(token))
            if len(met) == len(self.sought):
                return True
        return False

    def _meaning(self, token: str) -> Sequence[tuple[int, Span]]:
        if token in self._idle:
            return ()
        found = self._known.get(token)
        # An English stem begins as its word does, so most tokens end here.
        if found is None and token.isalpha() and token.isascii() and token[1:].islower():
            found = None if token[0] in self._initials else ()
        if found is None:
            found = tuple(
                (number, span)
                for word in split_token(token)
                for number, one in enumerate(self.sought)
                if (span := one.find_in(word)) is not None
            )
        if found:
            self._known[token] = found
        else:
            self._idle.add(token)
        return found


def parse_query(text: str) -> Query | None:
    """Return what a person looks for, or None when there is no word in it.

    The last word, from three letters on, may be the beginning of one. Of very many words the first ones count.
    """
    words = [
        word for token in find_tokens(text) for word in split_token(token[0]) if not word.part
    ][:MAX_SOUGHT]
    if not words:
        return None
    closed, last = words[:-1], words[-1]
    is_open = not last.spaceless and len(last.text) >= PREFIX_CHARS[0]
    return Query((*map(Sought, closed), Sought(last, is_open=is_open)))
