"""What differs between two policies, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from moderation.policy import ANY, NEVER, Limits, Policy

_WORDS = {ANY: "any"}


def describe_changes(before: Policy, after: Policy) -> list[str]:
    """Return a line for each thing that the later policy does otherwise; none where they agree."""
    return [*_limits(before, after), *_strikes(before, after), *_support(before, after)]


def _limits(before: Policy, after: Policy) -> Iterator[str]:
    for place in sorted({*before.limits, *after.limits}):
        name = ", ".join(_WORDS.get(one, one) for one in place)
        old, new = before.limits.get(place), after.limits.get(place)
        if new is None:
            yield f"{name}: no limits of its own any more"
        elif old is None:
            yield f"{name}: new limits, {_all(new)}"
        elif old != new:
            yield f"{name}: {_compare(_numbers(old), _numbers(new))}"


def _strikes(before: Policy, after: Policy) -> Iterator[str]:
    old, new = (
        {
            one.name: getattr(policy.strikes, one.name)
            for one in fields(policy.strikes)
            if one.name != "weights"
        }
        for policy in (before, after)
    )
    if old != new:
        yield f"strikes: {_compare(old, new)}"
    weights = (before.strikes.weights, after.strikes.weights)
    for category in sorted({*weights[0], *weights[1]}):
        was, becomes = (one.get(category) for one in weights)
        if was != becomes:
            name = _WORDS.get(category, category)
            yield f"weight of {name}: {_say(was)} → {_say(becomes)}"


def _support(before: Policy, after: Policy) -> Iterator[str]:
    if before.support_message != after.support_message:
        yield f"support message, now: {after.support_message}"


def _numbers(limits: Limits) -> dict[str, float]:
    numbers = {"flag": limits.flag, "strict": limits.strict, "block": limits.block}
    if limits.strict == limits.block:
        # As it is where no number is given.
        del numbers["strict"]
    return numbers


def _all(limits: Limits) -> str:
    return ", ".join(f"{name} {_say(value)}" for name, value in _numbers(limits).items())


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {_say(old.get(name), 'as block')} → {_say(new.get(name), 'as block')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _say(value: float | None, otherwise: str = "as any") -> str:
    if value is None:
        return otherwise
    return "never" if value == NEVER else f"{value:g}"
