"""What a person notices when the model that should answer fails, each and every time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.doors import SseDoor, as_timing
from tests.bench.report import Spread, table
from tests.bench.verdicts import Verdict, judge
from tests.fakes.provider_process import ScriptedProvider
from tests.production import Production, running_production

FIRST_TOKEN_MS, TOKEN_MS, TOKENS = 300, 5, 20
MAX_P95_MS = 800.0
FALLBACK_AFTER_S = 2.0
TOKEN_TIMEOUT_S = 2.0
# Until a breaker has opened, people wait for the failing model; that is measured apart.
OPENING = 40

ANSWER = {"tokens": TOKENS, "token_ms": TOKEN_MS}
FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429},
    "529": {"status": 529},
    "500": {"status": 500},
    "refused": {"refuse": True},
    "stalls": {"first_token_ms": FIRST_TOKEN_MS, "stall_after": 0},
    "stalls mid-stream": {"first_token_ms": FIRST_TOKEN_MS, "stall_after": 5},
    "cut mid-stream": {"first_token_ms": FIRST_TOKEN_MS, "cut_after": 5},
}
MODELS = """
default_hosted = "primary"

[[endpoint]]
name = "primary"
protocol = "anthropic"
base_url = "{primary}"

[[endpoint]]
name = "spare"
protocol = "openai"
base_url = "{spare}/v1"
""" + "".join(
    f"""
[[model]]
name = "{name}"
display_name = "{name}"
provider = "{name}"
model_id = "{name}"
tier = "fast"
context_window = 8192
max_output = 1024
answer_tokens = 512
continuation = "user_turn"
fallbacks = {fallbacks}
free = true
"""
    for name, fallbacks in (("primary", '["spare"]'), ("spare", "[]"))
)


@dataclass(frozen=True, slots=True)
class FailoverLoad:
    messages: int = 200
    lanes: int = 20


@dataclass(frozen=True, slots=True)
class FailoverRow:
    """One way to fail; times to the first token, from sending, in milliseconds."""

    fault: str
    messages: int
    complete: int
    asked: int
    opening_ms: Spread
    open_ms: Spread

    def broken_promises(self) -> list[str]:
        broken = []
        if self.complete < self.messages:
            broken.append(f"{self.fault}: {self.messages - self.complete} answers are not whole.")
        if self.open_ms.p95 > MAX_P95_MS:
            broken.append(f"{self.fault}: first token p95 {self.open_ms.p95:.0f} ms.")
        if self.asked > self.messages / 2:
            broken.append(f"{self.fault}: the failing model was asked {self.asked} times.")
        return broken

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def failover_table(rows: list[FailoverRow]) -> str:
    titles = ["the primary", "whole answers", "primary asked", "first token at first, ms"]
    titles += ["with its breaker open, ms"]
    cells = [
        [
            row.fault,
            f"{row.complete} of {row.messages}",
            str(row.asked),
            str(row.opening_ms),
            str(row.open_ms),
        ]
        for row in rows
    ]
    return table(titles, cells)


def run_failover_benchmark(
    load: FailoverLoad, *, advance: Callable[[], object]
) -> list[FailoverRow]:
    """Let the primary fail in each way for every call; calls `advance` for each message."""
    rows = []
    for fault, script in FAULTS.items():
        # A deployment of its own: breakers remember.
        with tempfile.TemporaryDirectory() as folder, ScriptedProvider() as spare:
            models = Path(folder) / "models.toml"
            environment = {
                "MODELS_FILE": str(models),
                "LOCAL_MODEL": "false",
                "LOCAL_MODEL_URL": "",
                "FALLBACK_AFTER_S": str(FALLBACK_AFTER_S),
                "TOKEN_TIMEOUT_S": str(TOKEN_TIMEOUT_S),
            }
            with ScriptedProvider() as primary:
                models.write_text(MODELS.format(primary=primary.url, spare=spare.url))
                with running_production(concurrency=load.lanes + 5, environment=environment) as (
                    production,
                    _,
                ):
                    primary.script(**ANSWER, **script)
                    spare.script(**ANSWER, first_token_ms=FIRST_TOKEN_MS)
                    tokens = production.make_people("failover", load.lanes)
                    row = asyncio.run(_measure(fault, load, production, tokens, primary, advance))
        rows.append(row)
    return rows


async def _measure(
    fault: str,
    load: FailoverLoad,
    production: Production,
    tokens: list[str],
    primary: ScriptedProvider,
    advance: Callable[[], object],
) -> FailoverRow:
    text = "".join(f"leaf{number} " for number in range(TOKENS))
    first_ms: list[float] = []
    complete = 0
    left = load.messages

    async def work(token: str) -> None:
        nonlocal left, complete
        door = SseDoor(production.webs[0].url, token)
        await door.open_conversation()
        while left > 0:
            left -= 1
            await door.get_ready()
            received = await door.ask()
            timing = as_timing(received, door.happenings(received))
            complete += judge(timing, text) is Verdict.COMPLETE
            first_ms.append(1000 * timing.delta_s[0] if timing.delta_s else float("inf"))
            advance()
        door.close()

    async with asyncio.TaskGroup() as group:
        for token in tokens:
            group.create_task(work(token))
    return FailoverRow(
        fault=fault,
        messages=load.messages,
        complete=complete,
        asked=len(primary.requests()),
        opening_ms=Spread.of(first_ms[:OPENING]),
        open_ms=Spread.of(first_ms[OPENING:]),
    )
