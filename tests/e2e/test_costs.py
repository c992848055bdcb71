"""What staff see of the costs, in a browser: charts that are drawn, and tables that agree."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import PASSWORD, OpenPage
from tests.live import ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

STAFF = "accountant@example.org"
# Forty days of three models, in which the cache gets better and a model fails for some days.
FILL = """
from datetime import timedelta
from uuid import uuid4
from django.utils import timezone
from chatbot.accounts.models import LedgerEntry, User
now = timezone.now()
user = User.objects.get(email="accountant@example.org")
LedgerEntry.objects.bulk_create(
    LedgerEntry(
        user=user, plan="pro" if number % 3 else "free", source=uuid4(), number=0, model=model,
        provider="one", input_tokens=900 - 20 * (40 - day), cache_read_tokens=20 * (40 - day),
        cache_write_tokens=0, output_tokens=200, cost_micros=price * (60 + day % 7 * 9),
        is_metered=True, ending="finished",
        models_asked=2 if model == "claude-sonnet-5-5" and 10 < day < 15 and number % 2 else 1,
        first_token_ms=300 + 20 * number + (900 if number == 9 else 0) + day * 3,
        month=now.date().replace(day=1), created=now - timedelta(days=day),
    )
    for day in range(40)
    for model, price in [("claude-haiku-5-5", 30), ("claude-sonnet-5-5", 170), ("local", 0)]
    for number in range(10)
)
"""
# How many of its pixels a canvas has drawn on.
DRAWN = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    .data.filter((value, index) => index % 4 === 3 && value > 0).length"""


@pytest.fixture(scope="session")
def ledger(live: ServeProcess) -> None:
    live.manage("createuser", STAFF, "--staff", "--password-stdin", given=f"{PASSWORD}\n")
    live.manage("shell", "--no-imports", "-c", FILL)
    live.manage("rollupcosts")
    live.manage("rollupcosts", "--rebuild")


async def drawn(page: Page) -> list[int]:
    canvases = page.locator("[data-chart] canvas")
    await expect(canvases).to_have_count(3)
    return [int(await one.evaluate(DRAWN)) for one in await canvases.all()]


async def test_charts_are_drawn_and_the_tables_say_the_same(ledger: None, open_page: OpenPage):
    page = await open_page(viewport={"width": 1440, "height": 1000})
    await page.goto("/admin/costs/")
    await page.get_by_label("Email").fill(STAFF)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("img", name="Cost by day")).to_be_visible()
    assert all(pixels > 1_000 for pixels in await drawn(page)), await drawn(page)

    legend = page.locator("[data-chart=spend] .u-legend")
    await expect(legend).to_contain_text("claude-sonnet-5-5")
    models = page.get_by_role("region", name="By model").get_by_role("row")
    # Beside what other tests on this server used.
    for name in ("claude-sonnet-5-5", "claude-haiku-5-5", "local"):
        header = models.get_by_role("rowheader", name=name, exact=True)
        await expect(header).to_have_count(1)
    await expect(models.nth(1).get_by_role("rowheader")).to_have_text("claude-sonnet-5-5")
    people = page.get_by_role("region", name="Most expensive people")
    await expect(people.get_by_role("rowheader").first).to_have_text(STAFF)

    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="By day as CSV").click()
    download = await downloading.value
    text = await asyncio.to_thread(Path(await download.path()).read_text)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 30
    shown = await page.get_by_role("region", name="By day").get_by_role("row").nth(1).inner_text()
    assert shown.split()[:2] == [rows[0]["day"], f"${float(rows[0]['cost_usd']):.2f}"]

    await page.get_by_role("link", name="7 days").click()
    days = page.get_by_role("region", name="By day").get_by_role("row")
    await expect(days).to_have_count(8)
    assert all(pixels > 1_000 for pixels in await drawn(page))
    await page.get_by_label("From", exact=True).fill("2026-01-02")
    await page.get_by_label("To", exact=True).fill("2026-01-01")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("alert")).to_have_text("The start is after the end.")
