"""What a person sees of this month's budget, while it is used up."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.e2e.thread import answer, box, finished, send
from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

# Enough for the longest answer of the scripted model and a question, twice.
BUDGET = 10_000


async def limit(live: ServeProcess, page: Page, tokens: int) -> None:
    email = await page.locator(".account-email").inner_text()
    code = (
        "from chatbot.accounts.models import User;"
        f"User.objects.filter(email={email!r}).update(monthly_token_budget={tokens})"
    )
    await asyncio.to_thread(live.manage, "shell", "--no-imports", "-c", code)


async def test_the_budget_is_shown_warned_of_and_refused_in_words(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    await limit(live, page, BUDGET)
    warning = page.locator("#budget-warning")
    await expect(warning).to_have_attribute("role", "status")
    await expect(warning).to_be_empty()

    # Half of it, which only the meter tells.
    provider.script({"text": "Half.", "input_tokens": 5_000})
    await send(page, "First")
    await finished(page)
    await page.locator("#account summary").click()
    await expect(page.locator("[data-usage-words]")).to_have_text(
        f"50% of this month\u2019s budget used, resets {await next_month(page)}"
    )
    meter = page.get_by_role("progressbar", name="of this month\u2019s budget used")
    assert abs(float(await meter.evaluate("(one) => one.value")) - 0.5) < 0.01
    await expect(warning).to_be_empty()
    await page.locator("#account summary").click()

    provider.script({"text": "More.", "input_tokens": 3_300})
    await send(page, "Second")
    await finished(page)
    await expect(warning).to_contain_text("More than 80% of this month\u2019s budget is used.")
    await expect(warning).to_contain_text(f"It resets on {await next_month(page)}.")
    await expect(warning.locator("svg")).to_be_visible()
    # Also right after the page is opened.
    await page.reload()
    await expect(warning).to_contain_text("More than 80%")

    provider.script({"text": "All.", "input_tokens": 1_690})
    await send(page, "Third")
    await finished(page)
    await expect(warning).to_contain_text("More than 95%")
    await send(page, "Fourth")
    refusal = page.get_by_role("alert")
    await expect(refusal).to_contain_text("Not enough budget left")
    await expect(refusal).to_contain_text(f"It resets on {await next_month(page)}.")
    # What was typed is not lost, and nothing stands there as if it had been sent.
    await expect(box(page)).to_have_value("Fourth")
    await expect(answer(page)).to_contain_text("All.")


async def next_month(page: Page) -> str:
    """Return the first of the next month as this browser writes it."""
    text = await page.evaluate(
        """() => { const now = new Date();
        return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1))
          .toLocaleDateString(undefined, { day: "numeric", month: "long" }); }"""
    )
    return str(text)
