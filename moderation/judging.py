"""What the policy that holds makes of a text: the one question that every path asks."""

from __future__ import annotations

from moderation.classifier import score
from moderation.policies import current_policy
from moderation.policy import Decision, decide
from moderation.types import Surface

# The classifier has learnt whole answers. What stands in fewer words is doubted by rules, or not.
_FEW_WORDS = 6


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
