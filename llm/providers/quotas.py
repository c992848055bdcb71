"""What a response's headers say of a provider's limits.

platform.claude.com, "Rate limits": `anthropic-ratelimit-…`, of which `tokens` is the limit that is
nearest; developers.openai.com, "Rate limits": `x-ratelimit-…`. All are per minute.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm.admission.slots import Quota

ANTHROPIC = tuple(
    f"anthropic-ratelimit-{what}"
    for what in ("requests-limit", "requests-remaining", "tokens-limit", "tokens-remaining")
)
OPENAI = tuple(
    f"x-ratelimit-{what}"
    for what in ("limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens")
)


def read_quota(headers: Mapping[str, str]) -> Quota | None:
    """Return the limits that the headers tell; None if they tell none."""
    for names in (ANTHROPIC, OPENAI):
        found = [_read_count(headers.get(name)) for name in names]
        if any(count is not None for count in found):
            return Quota(*found)
    return None


def _read_count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None
