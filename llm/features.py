"""What can be seen of a question in some microseconds, whatever its language."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from llm.lexicon import BEGINNINGS, ELSEWHERE, LONGEST, SHORTEST, WORDS, Kind, fold

# From here on a question is long, and what else it is no longer matters. It bounds what is looked
# at, too: fewer tokens are at most four times as many characters.
LONG_TOKENS = 350
# How soon a request names its task before a colon, after which comes the material.
TASK_CHARS = 120

FENCES = ("```", "~~~")
# Shapes that code has in every human language, and prose in none.
CODE_SHAPES = (
    *("()", "){", ") {", "=>", "->", "==", "!=", "::", "</", "/>", "&&", "||", "{}", "[]", ");"),
    *("};", ";\n", ":\n ", ":\n\t", "{\n", "${", "C++", "C#", "Error:", "Exception", "/api"),
    *(".py", ".js", ".ts", ".cpp", ".java", ".sql", "def ", "class ", "import ", "#include"),
    *(
        "return ",
        "printf",
        "SELECT ",
        "FROM ",
        "WHERE ",
        "public ",
        "static ",
        "const ",
        "function(",
    ),
    *("in range(", " --"),
)
FORMULA_SHAPES = (
    *("\\frac", "\\sum", "\\int", "\\sqrt", "\\lim", "\\begin", "$$", "^"),
    *("sqrt(", "sin(", "cos(", "ln(", "log("),
    *"∫∑∏√∞≤≥≠≈∂∇∈∀∃⊂π",
)
QUESTION_MARKS = "?？؟"
CLAUSE_MARKS = ",;:、，；：،\n"
COLONS = (":", "：")
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "‘": "’", " '": "'"}

_NOT_A_WORD = bytes(set(range(128)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_TO_SPACES = bytes.maketrans(_NOT_A_WORD, b" " * len(_NOT_A_WORD))


@dataclass(frozen=True, slots=True)
class Features:
    """Counts. `tokens` is the estimate of the whole text; `words` are distinct, by their kind."""

    tokens: int = 0
    fences: int = 0
    code_shapes: int = 0
    identifiers: int = 0
    formulas: int = 0
    equations: int = 0
    numbers: int = 0
    clauses: int = 0
    questions: int = 0
    repeated: int = 0
    words: Counter[Kind] = field(default_factory=Counter)


def measure(text: str, *, tokens: int) -> Features:
    """Return the features of a question that has so many tokens.

    Of a long one nothing else is looked at. What a small task such as a translation is about is
    material, and not looked at either.
    """
    if tokens >= LONG_TOKENS or len(text) > 4 * LONG_TOKENS:
        return Features(tokens=max(tokens, LONG_TOKENS))
    seen = _look(text, tokens)
    if seen.words[Kind.SIMPLE] and not seen.fences and seen.code_shapes < 2:
        return _look(_find_task(text), tokens)
    return seen


def _look(text: str, tokens: int) -> Features:
    folded = fold(text).translate(_TO_SPACES).split()
    return Features(
        tokens=tokens,
        fences=sum(fence in text for fence in FENCES),
        code_shapes=sum(shape in text for shape in CODE_SHAPES),
        identifiers=sum(_is_identifier(word) for word in text.split()),
        formulas=sum(shape in text for shape in FORMULA_SHAPES),
        equations=_count_equations(text),
        numbers=sum(word[:1].isdigit() for word in folded),
        clauses=sum(text.count(mark) for mark in CLAUSE_MARKS),
        questions=sum(text.count(mark) for mark in QUESTION_MARKS),
        repeated=_count_repeated(folded),
        words=_count_words(text, folded),
    )


def _find_task(text: str) -> str:
    """Return what a request says before its first colon, and outside of quotation marks."""
    places = [place for colon in COLONS if 0 <= (place := text.find(colon)) < TASK_CHARS]
    if places and min(places) < len(text.strip()) - 1:
        text = text[: min(places)]
    for opening, closing in QUOTES.items():
        begin = text.find(opening)
        end = text.find(closing, begin + len(opening))
        if 0 <= begin < end:
            text = f"{text[:begin]} {text[end + 1 :]}"
    return text


def _is_identifier(word: str) -> bool:
    """Say whether a word is written as programs write names: snake_case or camelCase."""
    rest = word[1:-1]
    return "_" in rest or (rest != rest.lower() and word[:1].islower())


def _count_equations(text: str) -> int:
    """Return how many single equals signs have something to be equal on both sides."""
    pairs = pairwise(text.split("="))
    return sum(left[-2:].strip() != "" and right[:2].strip() != "" for left, right in pairs)


def _count_repeated(folded: list[bytes]) -> int:
    """Return how many words come twice: puzzles speak of few things again and again."""
    return sum(times > 1 and len(word) > 3 for word, times in Counter(folded).items())


def _count_words(text: str, folded: list[bytes]) -> Counter[Kind]:
    found: dict[bytes | str, Kind] = {}
    for word in folded:
        kind = WORDS.get(word)
        if kind is not None:
            found[word] = kind
            continue
        for length in range(min(len(word), LONGEST), SHORTEST - 1, -1):
            kind = BEGINNINGS.get(word[:length])
            if kind is not None:
                found[word[:length]] = kind
                break
    if not text.isascii():
        found.update((stem, kind) for stem, kind in ELSEWHERE if stem in text)
    return Counter(found.values())
