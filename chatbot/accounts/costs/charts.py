"""What the charts of the cost page draw: each of their lines is a column of a table as well."""

from __future__ import annotations

from typing import Any

from chatbot.accounts.costs.figures import Figures
from chatbot.accounts.costs.periods import begin_of

# More lines than these cannot be told apart by their colour.
MODELS_DRAWN = 5


def chart_lines(figures: Figures) -> dict[str, Any]:
    """Return times in seconds, and the lines of each chart with a value or null for each time.

    Money is in dollars, as a float: it is drawn, not added up.
    """
    days = list(figures.by_day)
    tallies = list(figures.by_day.values())
    models = list(figures.by_model)[:MODELS_DRAWN] if len(figures.by_model) > 1 else []
    spend = [_line("All models", [one.cost_micros / 1e6 for one in tallies])]
    for model in models:
        micros = [figures.model_micros.get((day, model), 0) for day in days]
        spend.append(_line(model, [one / 1e6 for one in micros]))
    return {
        "times": [int(begin_of(day).timestamp()) for day in days],
        "spend": spend,
        "rates": [
            _line("Cache hits", [one.cache_hit_rate for one in tallies]),
            _line("Fallbacks", [one.fallback_rate for one in tallies]),
        ],
        "firstToken": [
            _line("p50", [one.p50_ms for one in tallies]),
            _line("p95", [one.p95_ms for one in tallies]),
        ],
    }


def _line(label: str, values: list[Any]) -> dict[str, Any]:
    return {"label": label, "values": values}
