"""The lanes in Prometheus' terms, read from their keeper when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from chatbot.core.metrics import (
    LANE_IN_FLIGHT,
    LANE_LIMIT,
    LANE_REFUSED,
    LANE_SERVED,
    LANE_WAITING,
)
from llm.admission.load import LoadReader
from llm.admission.slots import Ask, Lane, Slots, SlotsAway

GAUGES = (LANE_LIMIT, LANE_IN_FLIGHT, LANE_WAITING, LANE_SERVED, LANE_REFUSED)


def read_gauges(lanes: Sequence[Lane], slots: Slots, load: LoadReader) -> None:
    """Set the gauges of these lanes; with the keeper away there are none. Asks the keeper."""
    for gauge in GAUGES:
        gauge.clear()
    try:
        views = slots.exchange([Ask(lane) for lane in lanes], lease_ms=1) if lanes else []
    except SlotsAway:
        return
    for lane, view in zip(lanes, views, strict=True):
        LANE_LIMIT.labels(lane=lane.name).set(view.limit)
        LANE_IN_FLIGHT.labels(lane=lane.name).set(view.in_flight)
        LANE_SERVED.labels(lane=lane.name).set(view.served)
        LANE_REFUSED.labels(lane=lane.name).set(view.refused)
        found = load.look(lane.name)
        for plan, count in (found.waiting if found else {}).items():
            LANE_WAITING.labels(lane=lane.name, plan=plan).set(count)
