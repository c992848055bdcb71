"""What follows from scores: pure, so that the same scores always meet the same decision."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from moderation.errors import BadPolicy
from moderation.types import OPENAI_NAMES, Category, Scores, Surface

DEFAULT_PATH = Path(__file__).with_name("default_policy.toml")
# A limit that no score reaches: the category never does this.
NEVER = 1.01
ANY = "*"
# Ten years. Where a calendar ends, whoever counts strikes would fail, and no event be written down.
MOST_DAYS = 3_650
_ALIASES = {alias: str(category) for category, alias in OPENAI_NAMES.items()}


class Action(StrEnum):
    """What is done with a text, from the mildest on."""

    PASS = "pass"  # noqa: S105 - No password.
    FLAG = "flag"
    SUPPORT = "support"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Limits:
    """The scores from which on a category is shown to moderators, and refused.

    `strict` takes the place of `block` for answers to what was flagged.
    """

    flag: float
    block: float
    strict: float

    def __post_init__(self) -> None:
        if not 0.0 < self.flag <= self.strict <= self.block <= NEVER:
            raise BadPolicy("Limits rise from flag over strict to block, between 0 and 1.01.")


@dataclass(frozen=True, slots=True)
class StrikeRules:
    """What violations add up to. A strike counts half after `half_life_days`."""

    half_life_days: float
    slow_at: float
    slow_hours: float
    suspend_at: float
    suspend_days: float
    weights: Mapping[str, float]

    def weight(self, category: str) -> float:
        return self.weights.get(category, self.weights.get(ANY, 1.0))


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits by surface, category and plan, and what else moderators decide in advance.

    `limits` is asked from the narrowest to the widest: this category and plan, this category, this
    plan, and what holds for the surface.
    """

    version: int
    limits: Mapping[tuple[str, str, str], Limits]
    strikes: StrikeRules
    support_message: str
    _found: dict[tuple[Surface, str], Mapping[Category, Limits]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _least: dict[tuple[Surface, str], float] = field(
        default_factory=dict, compare=False, repr=False
    )

    def find_limits(self, surface: Surface, plan: str) -> Mapping[Category, Limits]:
        """Return the limits of every category for texts of a surface by people of a plan."""
        key = (surface, plan)
        if key not in self._found:
            self._found[key] = {one: self._find(str(surface), str(one), plan) for one in Category}
        return self._found[key]

    def _find(self, surface: str, category: str, plan: str) -> Limits:
        places = ((category, plan), (category, ANY), (ANY, plan), (ANY, ANY))
        return next(
            self.limits[surface, *place] for place in places if (surface, *place) in self.limits
        )

    def find_least(self, surface: Surface, plan: str) -> float:
        """Return the score below which nothing is done with any text."""
        key = (surface, plan)
        if key not in self._least:
            self._least[key] = min(one.flag for one in self.find_limits(*key).values())
        return self._least[key]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a text, and all that it rests on, so that it can be explained later."""

    action: Action
    surface: Surface
    category: Category
    score: float
    scores: Scores
    policy_version: int
    # Also where something else in the text is refused.
    is_in_need: bool = False

    @property
    def is_clean(self) -> bool:
        return self.action is Action.PASS

    @property
    def is_doubtful(self) -> bool:
        """Say whether another judge may change it: neither a rule that is sure, nor care."""
        return not (self.is_clean or self.is_in_need or self.scores.blocks)


# What a rule scores at least that refuses alone.
_CERTAIN = 0.95


def decide(
    scores: Scores,
    policy: Policy,
    *,
    surface: Surface,
    plan: str,
    is_strict: bool = False,
    is_short: bool = False,
) -> Decision:
    """Return what is to be done with a text that was scored so.

    The leading category counts with the risk of the whole text, others with the lower of that and
    their own score, so that no more harmless texts are met than the surface's limits allow. A person
    who may want to harm themselves is not refused for it: they are answered with support.

    `is_strict` asks for the limits of answers to flagged messages. A text that `is_short` says too
    little to be doubted: only what would be refused counts.
    """
    top, version = scores.top, policy.version
    if scores.risk < policy.find_least(surface, plan) and not scores.blocks:
        return Decision(Action.PASS, surface, top, scores.risk, scores, version)
    worst = (Action.PASS, top, scores.risk)
    is_in_need = False
    limits = policy.find_limits(surface, plan)
    for category, own in scores.categories.items():
        acting = scores.risk if category is top else min(scores.risk, own)
        action = _act(acting, limits[category], is_strict=is_strict, is_short=is_short)
        if scores.blocks and own >= _CERTAIN and limits[category].block < NEVER:
            action = Action.BLOCK
        if category is Category.SELF_HARM and action is Action.BLOCK:
            is_in_need = True
            if surface is Surface.INPUT:
                action = Action.SUPPORT
        if (_ORDER[action], acting) > (_ORDER[worst[0]], worst[2]):
            worst = (action, category, acting)
    action, category, score = worst
    return Decision(action, surface, category, score, scores, version, is_in_need=is_in_need)


_ORDER = {action: place for place, action in enumerate(Action)}


def _act(score: float, limits: Limits, *, is_strict: bool, is_short: bool) -> Action:
    if score >= (limits.strict if is_strict and not is_short else limits.block):
        return Action.BLOCK
    return Action.FLAG if score >= limits.flag and not is_short else Action.PASS


def parse_policy(data: Mapping[str, Any], *, version: int) -> Policy:
    """Return the policy that a mapping describes, as in `default_policy.toml`.

    Categories may carry OpenAI's names. Raises BadPolicy, whose sentence says what is wrong.
    """
    try:
        limits = {_place(row): _limits(row) for row in data["limits"]}
        strikes = StrikeRules(**data["strikes"])
        support = str(data["support_message"]).strip()
    except (KeyError, TypeError, ValueError) as exc:
        raise BadPolicy(f"The policy is incomplete: {exc}.") from exc
    if missing := [str(one) for one in Surface if (str(one), ANY, ANY) not in limits]:
        raise BadPolicy(f"There are no limits for all categories of {', '.join(missing)}.")
    if len(limits) != len(data["limits"]):
        raise BadPolicy("Two rows give limits for the same surface, category and plan.")
    _check_strikes(strikes)
    if not support:
        raise BadPolicy("The support message is empty.")
    return Policy(version, limits, strikes, support)


def _check_strikes(strikes: StrikeRules) -> None:
    numbers = [value for name, value in asdict(strikes).items() if name != "weights"]
    numbers += strikes.weights.values()
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
        raise BadPolicy("What strikes count is given in numbers.")
    if min(numbers) < 0 or not strikes.half_life_days:
        raise BadPolicy("What strikes count is not negative, and their half-life is not 0.")
    longest = max(strikes.half_life_days, strikes.slow_hours / 24, strikes.suspend_days)
    if longest > MOST_DAYS:
        raise BadPolicy(f"No time is longer than {MOST_DAYS:,} days.")
    if strikes.suspend_at < strikes.slow_at:
        raise BadPolicy("People are slowed before they are suspended.")
    if unknown := set(strikes.weights) - {ANY, *map(str, Category)}:
        raise BadPolicy(f"There is no category {', '.join(sorted(unknown))}.")


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    surface = str(Surface(row["surface"]))
    category = str(row.get("category", ANY))
    if category != ANY:
        category = str(Category(_ALIASES.get(category, category)))
    return surface, category, str(row.get("plan", ANY))


def _limits(row: Mapping[str, Any]) -> Limits:
    flag, block = float(row.get("flag", NEVER)), float(row.get("block", NEVER))
    return Limits(flag, block, float(row.get("strict", block)))


@cache
def read_default() -> Mapping[str, Any]:
    """Return the policy that holds until moderators publish one, as data."""
    return tomllib.loads(DEFAULT_PATH.read_text(encoding="utf-8"))


@cache
def default_policy() -> Policy:
    return parse_policy(read_default(), version=0)
