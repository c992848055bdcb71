"""The words of a text, as they are compared. Pure: no keys, no I/O.

A text's language is not known, so its script decides: Latin words are stemmed as English, Cyrillic
ones as Russian, and so on. A word of another language is at least always equal to itself.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from string import ascii_letters

import Stemmer

# Nothing beyond is found: a text may be a whole pasted book, and its entry has a bounded size.
MAX_CHARS = 100_000
# Of compatibility characters some are long: U+FDFA alone becomes 18.
MAX_WORD_CHARS = 64

_STEMMED_AS = {
    "LATIN": "english",
    "CYRILLIC": "russian",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "ARMENIAN": "armenian",
    "DEVANAGARI": "hindi",
    "TAMIL": "tamil",
    "HEBREW": "yiddish",
}
# Scripts whose words no spaces part, and Korean, whose particles hang on the words: Thai to Lao,
# Burmese, Khmer, kana, Han, Hangul, half-width kana.
_SPACELESS = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3041-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_CURLY = "\u2019"
_RUNS = re.compile(f"[{_SPACELESS}]+|[^{_SPACELESS}]+")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
# The parts of a name in code: parse_HTTPHeader2.
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LETTERS = re.compile(f"[^'{_CURLY}_]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_MARKS = ("Mn", "Mc", "Me")
_INNER = (*_MARKS, "Cf")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a token and where it stands in it.

    `text` is folded: compatible characters made one, no case, no accents. `stem` is what other
    forms of it share. What is `spaceless` is a run of characters that is compared piece by piece;
    a `part` is one of a longer word that stands before it.
    """

    text: str
    stem: str
    start: int
    end: int
    spaceless: bool = False
    part: bool = False


@cache
def _tokens() -> re.Pattern[str]:
    """Return what finds words, and single signs, in a text.

    Marks belong to their letters, and what is invisible (joiners, direction marks) to the word.
    """
    ranges: list[list[int]] = []
    # Beyond the second plane only variation selectors are marks.
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):
        if unicodedata.category(chr(code)) in _INNER:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    inner = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
    word = rf"[\w{inner}]+"
    return re.compile(rf"{word}(?:['{_CURLY}]{word})*(?:\+\+|#(?!\w))?|[^\s\x00-\x7f]")


# The same for ASCII, several times as quick.
_ASCII_TOKENS = re.compile(r"\w+(?:'\w+)*(?:\+\+|#(?!\w))?", re.ASCII)


@lru_cache(maxsize=256)
def _ascii_tokens_but_plain_ones(initials: str) -> re.Pattern[str]:
    others = "".join(letter for letter in ascii_letters if letter not in initials)
    # A token begins where none goes on: not after a letter, nor after one and an apostrophe.
    begins = r"(?<!\w)(?<!\w')"
    is_plain = rf"(?![{others}][a-z]*(?![\w'+#]))" if others else ""
    return re.compile(begins + is_plain + _ASCII_TOKENS.pattern, re.ASCII)


def _tokens_in(text: str) -> re.Pattern[str]:
    return _ASCII_TOKENS if text.isascii() else _tokens()


def find_tokens(text: str) -> Iterator[re.Match[str]]:
    """Yield what stands between spaces and punctuation, in order; `split_token` reads it."""
    return _tokens_in(text).finditer(text, 0, MAX_CHARS)


def find_likely_tokens(text: str, initials: str) -> Iterator[re.Match[str]]:
    """Yield the same tokens, but for plain words of an ASCII text that begin with none of these.

    Those are most of them: what is left out here costs nothing in Python.
    """
    if not text.isascii():
        return find_tokens(text)
    return _ascii_tokens_but_plain_ones(initials).finditer(text, 0, MAX_CHARS)


def split_token(token: str) -> list[Word]:
    """Return the words of a token; of a name in code the whole first, then its parts."""
    if token.isascii() and token.isalpha() and token[1:].islower():
        plain = token.lower()[:MAX_WORD_CHARS]
        return [Word(plain, _stem(plain), 0, len(token))]
    if len(token) == 1 and not token.isalnum():
        # An emoji or another sign that is looked for as a word is. Skin tones are none.
        is_sign = unicodedata.category(token) in ("So", "Sc")
        return [Word(token, token, 0, 1)] if is_sign else []
    words: list[Word] = []
    for run in _RUNS.finditer(token):
        if _IS_SPACELESS.match(run[0]):
            folded = unicodedata.normalize("NFKC", run[0]).casefold()
            words.append(Word(folded, folded, run.start(), run.end(), spaceless=True))
        else:
            words += _split_run(run[0], run.start())
    return words


def _split_run(token: str, start: int) -> list[Word]:
    whole = _word(token, start)
    if whole is None:
        return []
    parts = (_PARTS if token.isascii() else _LETTERS).finditer(token)
    found = [_word(one[0], start + one.start(), part=True) for one in parts if len(one[0]) > 1]
    return [whole, *(part for part in found if part is not None and part.text != whole.text)]


def _word(token: str, start: int, *, part: bool = False) -> Word | None:
    folded = _fold(token.replace(_CURLY, "'").strip("'_"))
    if not folded:
        return None
    is_word = folded.replace("'", "").isalpha()
    stem = _stem(folded) if is_word else folded
    return Word(_bare(folded), _bare(stem), start, start + len(token), part=part)


def _bare(word: str) -> str:
    return word if word.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFD", word))


def _fold(token: str) -> str:
    if token.isascii():
        return token.lower()[:MAX_WORD_CHARS]
    visible = "".join(char for char in token if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", visible).casefold()
    if _script(folded) == "LATIN":
        # The English rules know no accents; the Russian ones need theirs.
        folded = _bare(folded)
    folded = unicodedata.normalize("NFC", folded)
    # What is only marks has no letter to stand on.
    if all(unicodedata.category(char) in _MARKS for char in folded):
        return ""
    return folded[:MAX_WORD_CHARS]


def _script(word: str) -> str:
    return unicodedata.name(word[0], "").partition(" ")[0] if word else ""


_of_thread = threading.local()


def _stem(word: str) -> str:
    language = "english" if word.isascii() else _STEMMED_AS.get(_script(word))
    if language is None:
        return word
    stem: str = _stemmer(language).stemWord(word)
    return stem or word


def _stemmer(language: str) -> Stemmer.Stemmer:
    kept: dict[str, Stemmer.Stemmer] | None = getattr(_of_thread, "stemmers", None)
    if kept is None:
        kept = _of_thread.stemmers = {}
    if language not in kept:
        # One per thread, for it is not safe to share; without its cache, which would keep people's
        # words in memory.
        kept[language] = Stemmer.Stemmer(language, 0)
    return kept[language]
