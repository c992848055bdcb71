"""What a refusal's headers say of the provider's limits, for one that names no `retry-after`.

Anthropic sends `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}`,
the latter an RFC 3339 time (platform.claude.com, "Rate limits"). OpenAI and servers like it send
`x-ratelimit-{remaining,reset}-{requests,tokens}`, the latter a duration such as `6m0s`, `1.5s` or
`20ms` (developers.openai.com, "Rate limits").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
DURATION = re.compile(
    r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?"
)
UNITS_S = (86_400, 3_600, 60, 1, 0.001)


def seconds_until_reset(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return when the last of the limits that are used up is renewed, in seconds.

    None when no header says that one is used up, or until when.
    """
    waits = [
        wait_s
        for remaining, reset in _limits(headers)
        if remaining == "0" and (wait_s := _parse_reset(reset, now=now)) is not None
    ]
    return max(waits, default=None)


def _limits(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        for template in (f"anthropic-ratelimit-{kind}-%s", f"x-ratelimit-%s-{kind}"):
            remaining, reset = headers.get(template % "remaining"), headers.get(template % "reset")
            if remaining is not None and reset is not None:
                yield remaining.strip(), reset.strip()


def _parse_reset(value: str, *, now: datetime) -> float | None:
    if parts := DURATION.fullmatch(value):
        return sum(
            float(part or 0) * unit for part, unit in zip(parts.groups(), UNITS_S, strict=True)
        )
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp())
