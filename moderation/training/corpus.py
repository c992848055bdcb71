"""Read the labelled texts that the classifier learns from."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from moderation.errors import BadCorpus
from moderation.types import Category


class Kind(StrEnum):
    """What sort of text an example is."""

    INPUT = "input"
    OUTPUT = "output"
    COMMENT = "comment"
    TOOL = "tool"
    LEXICON = "lexicon"


# Said of a text that is harmful in a way its source does not name.
HARM = "harm"
# Neither harmful nor harmless: no head learns from it.
BORDERLINE = "borderline"
_NAMES: dict[str, str] = {
    "hate": Category.HATE,
    "harassment": Category.HARASSMENT,
    "sexual": Category.SEXUAL,
    "sexual_minors": Category.MINORS,
    "self_harm": Category.SELF_HARM,
    "violence": Category.VIOLENCE,
    "weapons": Category.WEAPONS,
    "illicit": Category.ILLICIT,
    "cyber": Category.CYBER,
    "privacy": Category.PRIVACY,
    "injection": Category.INJECTION,
    "injection_indirect": Category.INJECTION,
    "toxic": Category.PROFANITY,
    "harm_weak": HARM,
}
_MENTIONS = re.compile(r"(?:\bRT )?@\w+:?|https?://\S+|https?…|\[USER\]|\[URL\]")


@dataclass(frozen=True, slots=True)
class Example:
    """One text, where it comes from and what is wrong with it, if anything."""

    text: str
    source: str
    kind: Kind
    labels: frozenset[str]
    is_validation: bool

    @property
    def is_benign(self) -> bool:
        return not self.labels


def read_corpus(folder: Path) -> list[Example]:
    """Return the examples of all `*.jsonl.gz` files in `folder`, in the order of their names.

    Raises BadCorpus where there is none, or one that is not as docs/moderation.md says.
    """
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise BadCorpus(f"There are no .jsonl.gz files in {folder}.")
    return [example for path in paths for example in _read_file(path)]


def _read_file(path: Path) -> Iterator[Example]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _read_row(line, f"{path.name}, line {number}")
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        raise BadCorpus(f"{path.name} cannot be read: {exc}") from exc


def _read_row(line: str, place: str) -> Example:
    try:
        row = json.loads(line)
        return Example(
            text=clean(row["text"]),
            source=row["source"],
            kind=Kind(row["kind"]),
            labels=frozenset(_name(label) for label in row["labels"]),
            is_validation=row["split"] == "val",
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadCorpus(f"{place} is not a labelled text: {exc!r}") from exc


def _name(label: str) -> str:
    return BORDERLINE if label.startswith("borderline_") else _NAMES[label]


def name_label(category: str) -> str:
    """Return what a corpus calls a category."""
    return next(label for label, name in _NAMES.items() if name == category)


def clean(text: str) -> str:
    """Return `text` without what betrays its source: mentions, links, HTML entities."""
    return _MENTIONS.sub(" ", html.unescape(text)).strip()
