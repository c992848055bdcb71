"""What is certain enough to be said without the classifier: few, narrow patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moderation.types import Category, Hit, Span


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern over normalised text, and what a text that has it scores at least.

    Whatever meets the pattern has one of `needs` in it, and one of `also`: looking for these first
    is ten times as quick, and few texts have both.
    """

    name: str
    category: Category
    score: float
    blocks: bool
    pattern: re.Pattern[str]
    needs: tuple[str, ...]
    also: tuple[str, ...] = ("",)

    def search(self, text: str) -> re.Match[str] | None:
        has = text.__contains__
        return (
            self.pattern.search(text)
            if any(map(has, self.needs)) and any(map(has, self.also))
            else None
        )


_EARLIER = r"(?:all |any |every |each |the |your |my |of |these |those |previous |prior |above |earlier |preceding |other |given |initial |original |system |hidden |existing |current |safety )"
_ORDERS = r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|orders?|commands?|restrictions?|policies|programming|constraints|messages?|context)"
_DROP = r"(?:ignore|disregard|forget|override|overrule|bypass|discard|dismiss|neglect|drop|erase|delete|skip|do not follow|dont follow|stop following)"
_ORDER_STEMS = (
    "instruction", "prompt", "rule", "guideline", "direct", "order", "command", "restriction",
    "polic", "programming", "constraints", "message", "context",
)  # fmt: skip
_DROP_STEMS = (
    "ignore", "disregard", "forget", "overr", "bypass", "discard", "dismiss", "neglect", "drop",
    "erase", "delete", "skip", "not follow", "dont follow", "stop following",
)  # fmt: skip
# Quoting an attack to ask about it is not one.
_ASKED_ABOUT = r"(?<![\"'`\u201c\u2018])"

RULES = (
    Rule(
        "override", Category.INJECTION, 0.93, False,
        re.compile(rf"{_ASKED_ABOUT}\b{_DROP} {_EARLIER}{{1,5}}{_ORDERS}\b"),
        _ORDER_STEMS, _DROP_STEMS,
    ),
    Rule(
        "override-everything", Category.INJECTION, 0.93, False,
        re.compile(
            rf"{_ASKED_ABOUT}\b{_DROP} (?:everything|all|anything|what(?:ever)?)(?: that)?(?: you| i| we)?"
            r"(?: have| had| ve| was| were)?(?: been)? "
            r"(?:told|said|learned|learnt|know|above|before|written|instructed|wrote|read)\b"
        ),
        _DROP_STEMS,
    ),
    Rule(
        "prompt-leak", Category.INJECTION, 0.9, False,
        re.compile(
            r"\b(?:reveal|print|show|repeat|output|display|leak|tell me|give me|write out|reproduce|dump|expose)"
            r"(?: me| us| out| back)?(?: all| exactly| verbatim)*(?: of)? (?:your|the) "
            r"(?:(?:entire|full|hidden|secret|initial|original|exact|complete|whole|system|internal|confidential) ){1,3}"
            r"(?:prompts?|instructions?|message|rules|guidelines|directives)\b"
        ),
        ("prompt", "instruction", "message", "rules", "guideline", "directive"),
        (
            "reveal", "print", "show", "repeat", "output", "display", "leak", "tell me", "give me",
            "write out", "reproduce", "dump", "expose",
        ),
    ),
    Rule(
        "persona", Category.INJECTION, 0.95, False,
        re.compile(
            r"\b(?:you are|act as|become|pretend to be|simulate|enable|enter|activate|play) (?:now )?(?:a |an |the )?"
            r"(?:dan\b|developer mode|jailbr(?:eak|oken)\b|unfiltered (?:ai|chatbot|assistant|model)|"
            r"uncensored (?:ai|chatbot|assistant|model)|evil (?:ai|confidant|chatbot|assistant)|"
            r"amoral (?:ai|chatbot)|do anything now)|\bdo anything now\b.{0,200}\bdan\b|"
            r"\bstay (?:as|in character as) (?:a )?dan\b"
        ),
        (" dan", "developer mode", "jailbr", "unfiltered", "uncensored", "evil", "amoral", "anything now"),
    ),
    Rule(
        "no-limits", Category.INJECTION, 0.9, False,
        re.compile(
            r"\b(?:you|it|he|she|who|that|ai|model|assistant) (?:now )?(?:have|has|with|is|are|be) (?:now )?"
            r"(?:no|free from|freed from|free of|not bound by|without) (?:any |all |the )?(?:typical |usual |ethical |moral |legal |content |openai'?s? )*"
            r"(?:restrictions?|filters?|limitations?|guidelines?|confines|censorship|ethics|rules)\b"
        ),
        ("restriction", "filter", "limitation", "guideline", "confines", "censorship", "ethics", "rules"),
    ),
    Rule(
        "template", Category.INJECTION, 0.97, False,
        re.compile(
            r"<\|(?:im_start|im_end|endoftext|system|user|assistant|eot_id|start_header_id|end_header_id|begin_of_text)\|>"
            r"|\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|(?:^|\n)\s*#{2,4} ?(?:system|new instructions?)\b ?:"
            r"|(?:^|\n)\s*\[?(?:system|admin|developer)(?: message| prompt| override)?\]? ?: ?(?:you (?:are|must)|ignore|new|override)"
        ),
        ("<|", "inst", "sys", "_of_turn", "admin", "developer"),
        ("<", "[", ":"),
    ),
    Rule(
        "minors", Category.MINORS, 0.995, True,
        re.compile(
            r"\b(?:child|kiddie|preteen|pre-teen|underage|toddler|infant|lolita|loli|shota|pedo|minor|jailbait)s?"
            r"(?:'s)?[ -](?:porn(?:ography|o)?|sex(?:ual)? (?:video|abuse material|image|pic|photo|story|content|scene|fantas)\w*|nudes?|erotica|hentai|smut)\b"
            r"|\b(?:cheese pizza trade|pthc|csam (?:links?|trade|videos?))\b"
            r"|\bsexy? (?:with|pics? of|videos? of|photos? of) (?:a |my )?(?:child|kid|toddler|minor|underage|preteen|\d{1,2} ?(?:yo|y/o) (?:girl|boy))\w*\b"
        ),
        ("child", "kiddie", "teen", "underage", "toddler", "infant", "loli", "shota", "pedo", "minor", "jailbait", "cheese pizza", "pthc", "csam", "sex"),
    ),
    Rule(
        "incitement", Category.HATE, 0.98, True,
        re.compile(
            r"\b(?:kill|gas|exterminate|lynch|hang|burn|shoot|slaughter) (?:all |every |the |those |these ){1,2}(?:fucking |dirty |filthy )?"
            r"(?:jews?|muslims?|blacks?|niggers?|gays?|faggots?|fags?|kikes?|immigrants?|mexicans?|spics?|arabs?|gypsies|trannies|women|whites|asians|chinks?|refugees)\b"
        ),
        ("kill ", "gas ", "exterminate ", "lynch ", "hang ", "burn ", "shoot ", "slaughter "),
    ),
    Rule(
        "urging", Category.SELF_HARM, 0.97, False,
        re.compile(r"\b(?:go|just|please|you should|why dont you|u should) (?:and )?(?:kill yourself|kys|hang yourself|slit your wrists|drink bleach)\b"),
        ("yourself", "kys", "slit your", "drink bleach"),
    ),
    Rule(
        "despair", Category.SELF_HARM, 0.92, False,
        re.compile(
            r"\bi(?:'?m| am)? (?:really |just |do |still )*(?:want to|wanna|going to|gonna|will|plan to|need to) "
            r"(?:kill myself|end my (?:own )?life|commit suicide|hang myself|overdose|die tonight|cut myself)\b"
        ),
        ("myself", "end my", "commit suicide", "overdose", "die tonight"),
    ),
)  # fmt: skip


# Of each rule, what one run of characters has where a text has one of `needs`, and of `also`.
_PARTS = tuple(
    tuple(max(need.split() or [""], key=len) for need in needs)
    for rule in RULES
    for needs in (rule.needs, rule.also)
)
_NEEDED = sum(1 << 2 * number for number in range(len(RULES)))


def find_needs(run: str) -> int:
    """Return a bit for each half of what rules need that a run of characters may be a part of."""
    return sum(1 << bit for bit, parts in enumerate(_PARTS) if any(map(run.__contains__, parts)))


def find_rules(needs: int) -> Sequence[Rule]:
    """Return the rules that may meet a text whose runs have these bits together."""
    if not (met := needs & needs >> 1 & _NEEDED):
        return ()
    return [rule for number, rule in enumerate(RULES) if met >> 2 * number & 1]


def find_hits(text: str, rules: Sequence[Rule] = RULES) -> Iterator[Hit]:
    """Yield what each rule finds first in a normalised text, with its place there."""
    for rule in rules:
        if match := rule.search(text):
            yield Hit(rule.name, rule.category, rule.score, rule.blocks, Span(*match.span()))
