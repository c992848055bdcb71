"""How fast a line moves, from what was served lately. Pure: the caller brings the clock."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from llm.admission.slots import View

# What was served so long ago counts for little: a limit's ups and downs are shorter.
MEMORY_S = 60.0
# A line that was not looked at for so long has been empty, or its pace was another one.
GAP_S = 10.0
# What a call is guessed to take before there were any.
FIRST_GUESS_MS = 10_000.0


@dataclass(slots=True)
class Pace:
    """Calls that are accepted in a second while somebody waits for one."""

    _served: int = -1
    _seen_at: float = 0.0
    _calls: float = 0.0
    _seconds: float = 0.0

    def note(self, view: View, now: float) -> None:
        """Look at a lane for which somebody waits; `now` is in seconds on any steady clock."""
        since = now - self._seen_at
        if not 0 <= self._served <= view.served or since > GAP_S:
            self._calls = self._seconds = 0.0
        else:
            fading = exp(-since / MEMORY_S)
            self._calls = self._calls * fading + view.served - self._served
            self._seconds = self._seconds * fading + since
        self._served, self._seen_at = view.served, now

    def per_second(self, view: View, *, most_at_once: int) -> float:
        """Return the pace; always more than 0.

        At first it is what the limit would give (Little's law), which weighs as much as one call's
        time: in that time few calls end, whatever the pace is.
        """
        call_s = (view.held_ms or FIRST_GUESS_MS) / 1000
        at_once = max(1.0, min(view.limit, most_at_once))
        return (self._calls + at_once) / (self._seconds + call_s)
