"""Ways to a provider, for answers that tests write without a worker."""

from __future__ import annotations

from llm.admission.desk import Desk
from llm.admission.gate import SlotGate
from llm.admission.memory import MemorySlots
from llm.admission.slots import Lane
from llm.gate import OpenGate


def new_gate() -> SlotGate:
    """Return a gate to a lane that nobody else uses."""
    return SlotGate(
        Desk(MemorySlots(), lease_s=15),
        None,
        lane_of=lambda spec: Lane(spec.provider),
        tokens=0,
        on_news=lambda lane: None,
        inner=OpenGate(),
    )
