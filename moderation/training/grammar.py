"""Write examples from sentence patterns, so that what is asked counts and not how it is asked."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from moderation.training.corpus import Example, Kind

_SLOT = re.compile(r"\{(\w+)\}")
# One short vowel between consonants: the last letter doubles ("rob", "robbing").
_SHORT_VERB = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]")
_OPENINGS = (
    "Sure, here is how to {A}:", "Here are the steps to {A}. First,", "To {A}, you will need the following.",
    "Of course! The best way to {A} is as follows.", "Step 1: prepare everything to {A}. Step 2:",
    "If you want to {A}, start with this.", "Certainly. People who {A} usually begin like this.",
)  # fmt: skip
_REFUSALS = (
    "I'm sorry, but I can't help you {A}.", "I cannot assist with that. It is wrong to {A}.",
    "I won't explain how to {A}. If you are in danger, please call the police.",
    "It is illegal to {A}, and I can't give advice on it.", "Sorry, I am not able to help anybody {A}.",
)  # fmt: skip
_HANDED_OVER = ("Sure, here is {C}:", "Here is {C}.", "Of course! {C}:", "I have written {C}:")
# How many sentences each group of patterns makes.
PER_HARM = 700
PER_HARMLESS = 3_000
PER_COMMENTS = 500
PER_TALK = 2_000
PER_SCENES = 500
PER_PAGES = 900
PER_SHORT = 700
PER_REMARKS = 1_500
_TRIES = 8
_LONGEST_ORDER = 160
_ORDERS = frozenset(
    [
        "write",
        "create",
        "design",
        "plan",
        "describe",
        "explain",
        "give",
        "make",
        "find",
        "suggest",
        "develop",
        "provide",
        "teach",
        "list",
        "generate",
        "compose",
        "draft",
        "build",
        "tell",
        "show",
        "translate",
        "calculate",
        "convert",
        "summarize",
        "compare",
        "outline",
        "propose",
        "set",
        "order",
        "book",
        "check",
        "cancel",
        "change",
        "transfer",
        "get",
        "play",
        "add",
        "remove",
        "schedule",
        "remind",
        "help",
        "identify",
        "classify",
        "rewrite",
        "edit",
        "discuss",
        "analyze",
        "recommend",
        "choose",
        "organize",
        "construct",
        "devise",
        "present",
        "demonstrate",
        "illustrate",
        "offer",
        "instruct",
        "detail",
        "prepare",
        "produce",
        "modify",
        "improve",
        "implement",
        "solve",
        "determine",
        "research",
        "prove",
    ]
)


def write_examples(seed: int) -> list[Example]:
    """Return the sentences of all patterns, the same ones for the same seed."""
    return [
        *_write_requests(seed, "requests"),
        *_write_requests(seed, "deeds"),
        *_write_comments(seed, "comments", "grammar", (PER_COMMENTS, PER_TALK)),
        # Not "grammar", of which each text is harmful in no other way than it says: scenes are in several.
        *_write_comments(seed, "scenes", "scenes", (PER_SCENES, PER_PAGES)),
        *_write_comments(seed, "short", "short", (PER_SHORT, PER_REMARKS)),
    ]


def reframe(examples: Sequence[Example], seed: int) -> list[Example]:
    """Return requests that begin with an order as questions and pleas: "How can I plan a trip?".

    Most questions of the corpus are harmful and most orders harmless, which says nothing.
    """
    frames = _read("requests")["frames"]
    draw = random.Random(f"{seed}/frames")
    reframed = []
    for example in examples:
        verb, _, rest = example.text.partition(" ")
        if (
            example.kind == Kind.INPUT
            and verb.lower() in _ORDERS
            and 0 < len(rest) < _LONGEST_ORDER
            and "\n" not in rest
            and not example.source.startswith(("grammar", "deeds"))
        ):
            order = f"{verb.lower()} {rest.rstrip('.!?')}"
            text = _scribble(draw, draw.choice(frames).replace("{A}", order))
            reframed.append(replace(example, text=text))
    return reframed


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(
        (files("moderation.training") / "grammar" / f"{name}.toml").read_text(encoding="utf-8")
    )


def _write_requests(seed: int, file: str) -> Iterator[Example]:
    common, own = _read("requests"), _read(file)
    grammar = {**common, **own, "slots": common["slots"] | own["slots"]}
    for side, number in (("harmful", PER_HARM), ("harmless", PER_HARMLESS)):
        for name, patterns in grammar[side].items():
            draw = random.Random(f"{seed}/{name}")
            harm = side == "harmful"
            # A category may have several groups, told apart behind a slash.
            labels = frozenset({name.partition("/")[0]}) if harm else frozenset[str]()
            made = {_ask(draw, grammar, patterns, harm=harm) for _ in range(number * _TRIES)}
            source = f"grammar_{side}" if file == "requests" else f"{file}_{side}"
            for text in _shuffle(draw, made)[:number]:
                yield Example(text, source, Kind.INPUT, labels, is_validation=False)
            for _ in range(number // 3):
                yield _answer(draw, grammar, patterns, labels=labels)


def _ask(
    draw: random.Random, grammar: Mapping[str, Any], patterns: Mapping[str, Any], *, harm: bool
) -> str:
    kinds = [kind for kind in patterns for _ in range({"actions": 5, "contents": 2}.get(kind, 1))]
    kind = draw.choice(kinds)
    core = _fill(draw, draw.choice(patterns[kind]), grammar["slots"])
    if kind == "questions":
        return _scribble(draw, core)
    if kind == "contents":
        return _scribble(draw, draw.choice(grammar["wrappers"]).replace("{C}", core))
    if draw.random() < 0.2:
        core += " " + draw.choice(grammar["harmful_endings" if harm else "harmless_endings"])
    if draw.random() < 0.15:
        return _scribble(draw, core[0].upper() + core[1:])
    if draw.random() < 0.35:
        frame = draw.choice(grammar["gerund_frames"])
        return _scribble(draw, frame.replace("{G}", _to_gerund(core)))
    return _scribble(draw, draw.choice(grammar["frames"]).replace("{A}", core))


def _to_gerund(action: str) -> str:
    """Return "making bread" for "make bread"."""
    verb, _, rest = action.partition(" ")
    if verb.endswith("ie"):
        verb = f"{verb[:-2]}y"
    elif verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and len(verb) > 2:
        verb = verb[:-1]
    elif _SHORT_VERB.fullmatch(verb):
        verb += verb[-1]
    return f"{verb}ing {rest}".rstrip()


def _answer(
    draw: random.Random,
    grammar: Mapping[str, Any],
    patterns: Mapping[str, Any],
    *,
    labels: frozenset[str],
) -> Example:
    kind = draw.choice(["actions", "actions", "contents"])
    core = _fill(draw, draw.choice(patterns[kind]), grammar["slots"])
    if kind == "contents":
        text = draw.choice(_HANDED_OVER).replace("{C}", core)
    elif labels and draw.random() < 0.4:
        text, labels = draw.choice(_REFUSALS).replace("{A}", core), frozenset()
    else:
        text = draw.choice(_OPENINGS).replace("{A}", core)
    source = "grammar_harmful_out" if labels else "grammar_harmless_out"
    return Example(text, source, Kind.OUTPUT, labels, is_validation=False)


def _write_comments(
    seed: int, file: str, source: str, numbers: tuple[int, int]
) -> Iterator[Example]:
    grammar = _read(file)
    for side, number in zip(("harmful", "harmless"), numbers, strict=True):
        for name, patterns in grammar[side].items():
            draw = random.Random(f"{seed}/{file}/{name}")
            labels = frozenset({name}) if side == "harmful" else frozenset[str]()
            made = {
                " ".join(
                    _scribble(draw, _fill(draw, draw.choice(patterns["texts"]), grammar["slots"]))
                    for _ in range(draw.choice((1, 1, 2, 4)))
                )
                for _ in range(number * _TRIES)
            }
            for text in _shuffle(draw, made)[:number]:
                yield Example(text, f"{source}_{side}", Kind.COMMENT, labels, is_validation=False)


def _shuffle(draw: random.Random, texts: set[str]) -> list[str]:
    # A set has another order in every process.
    ordered = sorted(texts)
    draw.shuffle(ordered)
    return ordered


def _fill(draw: random.Random, pattern: str, slots: Mapping[str, Sequence[str]]) -> str:
    filled = _SLOT.sub(lambda slot: draw.choice(slots[slot.group(1)]), pattern)
    return filled[0].upper() + filled[1:] if pattern.startswith("{") and " " in filled else filled


def _scribble(draw: random.Random, text: str) -> str:
    """Return the text as one of many would type it."""
    kind = draw.random()
    if kind < 0.25:
        return text.lower().rstrip(".?")
    return text.upper() if kind < 0.28 else text
