"""How many tokens a text is, without asking anybody.

A tokenizer cannot be asked for every message, so bytes are counted by kind, at C speed: words,
capitals, digits, punctuation, and the scripts by the first byte of a character. What each weighs
was fitted to the local model's tokenizer, the one that can be measured here, on 1,500 pieces of
prose, code, markup, data and 29 languages. Other tokenizers split otherwise: a `Scale` says by how
much, apart for plain ASCII text and for the rest, where they differ most. docs/tokens.md has the
figures.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from operator import mul

from llm.types import Prompt

# Bytes by kind, and the tokens of each byte of it.
PLAIN = {
    b"aeiou": 0.275,
    bytes(set(string.ascii_lowercase.encode()) - set(b"aeiou")): 0.275,
    string.ascii_uppercase.encode(): 0.42,
    string.digits.encode(): 1.1,
    string.punctuation.encode(): 0.71,
    # A word takes in the space before it, and runs of spaces are single tokens.
    b" ": 0.02,
    b"\t": 0.25,
    b"\n": 0.7,
    bytes({*range(32), 127} - set(b"\t\n")): 1.0,
}
# First bytes of UTF-8, and the tokens of a whole character. An accented letter splits its word too.
WIDE = {
    bytes(range(0xC2, 0xC6)): 3.2,  # Latin with accents
    bytes(set(range(0xC6, 0xE0)) - {0xCC, 0xCD}): 1.06,  # Greek, Cyrillic, Hebrew, Arabic
    b"\xcc\xcd": 2.0,  # marks that are put on the letter before
    bytes(range(0xE0, 0xE3)): 1.9,  # Indian and South-East Asian scripts, punctuation, symbols
    bytes(range(0xE3, 0xEA)): 1.85,  # kana, Chinese
    bytes(range(0xEA, 0xF0)): 2.85,  # Korean, full-width punctuation
    bytes(range(0xF0, 0xF8)): 3.1,  # emoji, rare characters
}
# Words have a vowel in 3.3 letters, or more; letters beyond that are no words, and split finer.
LETTERS_PER_VOWEL = 3.3
TOKENS_PER_STRAY_LETTER = 0.96

# What a chat template puts around each message.
TOKENS_PER_MESSAGE = 6

_PLAIN_KINDS = range(1, len(PLAIN) + 1)
_WIDE_KINDS = range(len(PLAIN) + 1, len(PLAIN) + len(WIDE) + 1)
# What follows a character's first byte is 0.
_KIND_OF = {byte: kind for kind, group in enumerate((*PLAIN, *WIDE), 1) for byte in group}
_KINDS = bytes(_KIND_OF.get(byte, 0) for byte in range(256))

# What a prompt is assembled with beyond a model's scale, so that one of a kind of text that no prompt
# before was of fits too. `manage.py evaluate_tokens --check` fails where it is too little.
TOKEN_MARGIN = 1.25
# Of any tokenizer that splits text as those of today do.
LOWEST_SCALE, HIGHEST_SCALE = 0.5, 2.5


@dataclass(frozen=True, slots=True)
class Size:
    """A text's tokens as the local tokenizer has them, about: of ASCII, and of all other characters.

    It says nothing of any other model until that one's `Scale` is applied, so it can be stored.
    """

    plain: int
    wide: int = 0

    @property
    def total(self) -> int:
        return self.plain + self.wide

    def __add__(self, other: Size) -> Size:
        return Size(self.plain + other.plain, self.wide + other.wide)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many tokens of a model one of a `Size` is; as it stands, of a model nobody knows.

    That assumes of hosted models, on the safe side, that they split English up to a third finer than
    the local one, and other scripts no finer. Tokenizers of one vendor differ by as much (30 %:
    https://platform.claude.com/docs/en/build-with-claude/token-counting).
    """

    plain: float = 1.3
    wide: float = 1.0

    @property
    def least(self) -> float:
        return min(self.plain, self.wide)

    def count(self, size: Size) -> int:
        """Return about how many tokens a text of this size is for the model."""
        return math.ceil(size.plain * self.plain + size.wide * self.wide)

    def count_turn(self, text: str) -> int:
        """Return the same of a message of this text, with what a prompt has around it."""
        return self.count(measure_turn(text))

    def count_prompt(self, prompt: Prompt) -> int:
        """Return the same of all that a model is to read."""
        return self.count_turn(prompt.head) + sum(map(self.count_turn, prompt.texts))

    def widen(self, margin: float) -> Scale:
        return Scale(self.plain * margin, self.wide * margin)


UNKNOWN = Scale()


def measure(text: str) -> Size:
    """Return the size of a text; no tokenizer of bytes makes more tokens of it than it has bytes."""
    data = text.encode("utf-8", "surrogatepass")
    kinds = data.translate(_KINDS)
    counts = [kinds.count(kind) for kind in _PLAIN_KINDS]
    plain = sum(map(mul, counts, PLAIN.values()))
    vowels, consonants = counts[:2]
    stray = vowels + consonants - LETTERS_PER_VOWEL * vowels
    if stray > 0:
        plain += stray * TOKENS_PER_STRAY_LETTER
    wide, high = 0.0, 0
    if not text.isascii():
        wide = sum(map(mul, map(kinds.count, _WIDE_KINDS), WIDE.values()))
        high = len(data) - len(text) + sum(map(kinds.count, _WIDE_KINDS))
    return Size(min(math.ceil(plain), len(data) - high), min(math.ceil(wide), high))


def measure_turn(text: str) -> Size:
    """Return the size of a message of this text, with what a prompt has around it."""
    size = measure(text)
    return Size(size.plain + TOKENS_PER_MESSAGE, size.wide)


def measure_prompt(prompt: Prompt) -> Size:
    """Return the size of all that a model is to read."""
    return sum(map(measure_turn, prompt.texts), start=measure_turn(prompt.head))


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text is for a model that nobody knows."""
    return UNKNOWN.count(measure(text))


def count_turn(text: str) -> int:
    """Return the same of a message of this text, with what a prompt has around it."""
    return UNKNOWN.count_turn(text)
