"""What the policy that holds makes of a text: the one question that every path asks."""

from __future__ import annotations

from types import MappingProxyType

from moderation.beginnings import may_begin_hit
from moderation.classifier import get_classifier, score
from moderation.gate import Judge
from moderation.policies import current_policy
from moderation.policy import Decision, decide
from moderation.types import OPENAI_NAMES, Category, Scores, Surface
from moderation.unfolding import Unfolding

# The classifier has learnt whole answers. What stands in fewer words is doubted by rules, or not.
_FEW_WORDS = 6
# As it is kept beside an event. A remote judge names itself as it likes.
_LONGEST_VERSION = 64


def get_ready() -> None:
    """Load what judging needs: seconds, which would otherwise fall to the first text."""
    _ = get_classifier()
    may_begin_hit("")


def judge(text: str, *, surface: Surface, plan: str, is_strict: bool = False) -> Decision:
    """Return what is to be done with a text; milliseconds, on this machine, without any store."""
    return decide(
        score(text, surface),
        current_policy(),
        surface=surface,
        plan=plan,
        is_strict=is_strict,
        is_short=surface is Surface.OUTPUT and len(text.split(maxsplit=_FEW_WORDS)) < _FEW_WORDS,
    )


def follow(*, plan: str, is_strict: bool = False) -> Judge:
    """Return what judges the stretches of one answer as it is written (`gate.OutputGate`).

    It says what `judge` says of a stretch, or None where that may be shown: cheap for whoever asks
    every few words, mostly to hear that there is nothing.
    """
    unfolding = Unfolding(get_classifier())

    def find_fault(text: str, start: int, end: int) -> Decision | None:
        least = current_policy().find_least(Surface.OUTPUT, plan)
        if not unfolding.reaches(text, start, end, Surface.OUTPUT, least):
            return None
        decision = judge(text[start:end], surface=Surface.OUTPUT, plan=plan, is_strict=is_strict)
        return None if decision.is_clean else decision

    return find_fault


def judge_again(decision: Decision, said: Scores, *, plan: str) -> Decision:
    """Return what is to be done with a text now that a remote judge was heard about it.

    Of the categories that it knows its word counts, whether it finds more than was found here or
    less. The others stay as they were found here.
    """
    joint = _join(decision.scores, said)
    return decide(joint, current_policy(), surface=decision.surface, plan=plan)


def _join(here: Scores, there: Scores) -> Scores:
    categories, risk = dict(there.categories), there.risk
    for category in Category:
        if category in OPENAI_NAMES:
            continue
        own = here.categories[category]
        categories[category] = max(own, categories[category])
        risk = max(risk, here.risk if category is here.top else min(here.risk, own))
    return Scores(
        risk=risk,
        categories=MappingProxyType(categories),
        rules=here.rules,
        blocks=here.blocks,
        version=f"{here.version}+{there.version}"[:_LONGEST_VERSION],
        tiers=(*here.tiers, *there.tiers),
    )
