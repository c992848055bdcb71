from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import aiohttp
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from llm.conf import read_catalog
from llm.local import LocalServer
from llm.local_model import ModelUnavailable, ensure_model
from llm.token_trial import Measured, Row, compare, measure_text, read_samples
from llm.tokens import TOKEN_MARGIN

MODEL = "smollm2-135m"
READY_S = 60.0


class Command(BaseCommand):
    help = (
        "Compare the estimate of tokens with the local model's own tokenizer, on English, code, "
        "Chinese, emoji and mixtures of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="fail where the margin does not cover a kind"
        )
        parser.add_argument(
            "--samples", type=Path, metavar="FILE", help="other texts: JSON, lists of them by kind"
        )

    def handle(self, *, check: bool, samples: Path | None, **options: Any) -> None:
        texts = read_samples(samples) if samples else read_samples()
        try:
            measured = asyncio.run(self._measure(texts))
        except ModelUnavailable as exc:
            raise CommandError(str(exc)) from exc
        spec = read_catalog().find(MODEL)
        assert spec is not None
        rows = compare(measured, spec.token_scale)
        self._report(rows)
        short = [row.kind for row in rows if not row.is_covered]
        if check and short:
            raise CommandError(f"The margin of {TOKEN_MARGIN} does not cover {', '.join(short)}.")

    async def _measure(self, texts: dict[str, list[str]]) -> dict[str, list[Measured]]:
        named = settings.LOCAL_MODEL_FILE
        model = Path(named) if named else ensure_model(settings.MODEL_CACHE_DIR, self.stdout.write)
        server = LocalServer(model)
        await server.start()
        try:
            await server.wait_ready(READY_S)
            headers = {"authorization": f"Bearer {server.api_key}"}
            async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
                return await _count_all(session, texts)
        finally:
            await server.stop()

    def _report(self, rows: list[Row]) -> None:
        self.stdout.write(
            "Truth against the estimate, in %; needed: of the worst text by the least scale that any "
            f"kind teaches, which the margin of {(TOKEN_MARGIN - 1) * 100:.0f} has to cover."
        )
        heads = ("texts", "bias", "p50", "p95", "worst", "beyond", "needed")
        self.stdout.write("kind".ljust(12) + "".join(head.rjust(8) for head in heads))
        for row in rows:
            shares = (row.bias, row.p50, row.p95, row.most, row.beyond, row.needed - 1)
            figures = "".join(f"{share * 100:8.0f}" for share in shares)
            self.stdout.write(f"{row.kind:12}{row.texts:8}{figures}")


async def _count_all(
    session: aiohttp.ClientSession, texts: dict[str, list[str]]
) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {}
    with tqdm(total=sum(map(len, texts.values())), unit="text", disable=None) as bar:
        for kind, those in texts.items():
            bar.set_description(kind)
            measured[kind] = []
            for text in those:
                async with session.post("/tokenize", json={"content": text}) as response:
                    response.raise_for_status()
                    tokens = len((await response.json())["tokens"])
                measured[kind].append(measure_text(text, tokens))
                bar.update()
    return measured
