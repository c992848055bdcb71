"""What is asked in every benchmark, and when the answer's events came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.sse import TERMINAL

QUESTION = "What is the name of the largest ocean on Earth, and who sails it?"


@dataclass(slots=True)
class Timing:
    """When the events of one answer arrived, in seconds since its message was sent."""

    first_event_s: float = 0.0
    delta_s: list[float] = field(default_factory=list)
    total_s: float = 0.0
    text: str = ""
    end: str = ""

    def note(self, at_s: float, event: str, data: Any) -> None:
        if not self.first_event_s:
            self.first_event_s = at_s
        if event == "delta":
            self.delta_s.append(at_s)
            self.text += data["text"]
        elif event == "snapshot":
            self.text = data["text"]
        if event in TERMINAL:
            self.end = event
            self.total_s = at_s

    @property
    def gaps_s(self) -> list[float]:
        return [later - at for at, later in zip(self.delta_s, self.delta_s[1:], strict=False)]
