"""Which tiers judge texts in this process."""

from __future__ import annotations

from moderation.embedding import is_installed

_chosen = "auto"


def choose_second(choice: str) -> None:
    """Say whether the second tier is on: "auto" where its packages are there, or "off"."""
    global _chosen
    _chosen = choice


def tiers_on() -> tuple[int, ...]:
    """Return the local tiers that are on: (1,) or (1, 2)."""
    return (1, 2) if _chosen == "auto" and is_installed() else (1,)
