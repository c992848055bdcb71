from __future__ import annotations

from dataclasses import replace

import pytest

from llm.admission.degrade import Step, degrade, find_relief, shorten
from llm.catalog import ModelSpec, Price
from llm.catalog_file import load_catalog

SMART = next(spec for spec in load_catalog().models if spec.name == "claude-sonnet-5-5")
CHEAP = replace(SMART, name="cheap", price=Price(1, 1, 1, 1))
DEAR = replace(SMART, name="dear", price=Price(9_000_000, 9_000_000, 1, 1))
SMALL = replace(CHEAP, name="small", context_window=10_000, answer_tokens=1_000)


def test_steps_come_in_their_order() -> None:
    taken = [len(degrade(wait_s, patience_s=100)) for wait_s in range(120)]
    assert taken == sorted(taken)
    assert degrade(0, patience_s=100) == ()
    assert degrade(7, patience_s=100) == (Step.CHEAPER,)
    assert degrade(101, patience_s=100) == tuple(Step)


FREE: tuple[Step, ...] = ()
LONG = (Step.CHEAPER, Step.SHORTER, Step.QUEUE)
FULL = tuple(Step)


@pytest.mark.parametrize(
    ("steps", "others", "tokens", "found"),
    [
        ({SMART.name: FREE, "cheap": FREE}, [CHEAP], 10, None),
        ({SMART.name: LONG, "cheap": FREE}, [CHEAP], 10, "cheap"),
        ({SMART.name: LONG, "cheap": LONG}, [CHEAP], 10, None),
        ({SMART.name: LONG, "dear": FREE}, [DEAR], 10, None),
        ({SMART.name: FULL, "dear": FREE}, [DEAR], 10, "dear"),
        ({SMART.name: FULL, "dear": FREE, "cheap": LONG}, [CHEAP, DEAR], 10, "dear"),
        ({SMART.name: LONG, "small": FREE}, [SMALL], 9_500, None),
        # Nothing is known of a model that is not in the plan.
        ({SMART.name: FULL}, [CHEAP], 10, None),
    ],
)
def test_who_answers_instead(
    steps: dict[str, tuple[Step, ...]],
    others: list[ModelSpec],
    tokens: int,
    found: str | None,
) -> None:
    relief = find_relief(SMART, [SMART, *others], steps, tokens=tokens)
    assert (relief.name if relief else None) == found


def test_a_short_context_is_no_longer_than_the_models_own() -> None:
    assert shorten(SMART).context_window == 4_096 + SMART.answer_tokens
    assert shorten(SMALL).context_window == 5_096
    tiny = replace(SMALL, context_window=3_000)
    assert shorten(tiny).context_window == 3_000
