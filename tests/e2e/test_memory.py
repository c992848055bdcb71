"""What is remembered, on the page: where it begins, read, corrected, pinned, in two tabs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.e2e.thread import finished, send
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

FACT = "My daughter Mira is allergic to peanuts."
SLY = "<img src=x onerror=document.title='hacked'> is my favourite text."
LINE = "Earlier messages are remembered in summary"
# Three of these are more than three quarters of the room in the local model's window.
LONG = "Tell me more about bees. " * 260


async def fill_the_window(page: Page) -> None:
    for number, told in enumerate((f"{FACT} {SLY}", "", "")):
        await send(page, f"{told}\n{LONG}")
        await expect(page.locator(".message")).to_have_count(2 * number + 2)
        await finished(page)


async def shoot(page: Page, name: str) -> None:
    """Keep a picture where MEMORY_SHOTS says, for people to look at."""
    if folder := os.environ.get("MEMORY_SHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def test_what_is_remembered_is_read_corrected_and_pinned(
    page: Page, provider: ScriptedProvider
):
    provider.script(tokens=8)
    await fill_the_window(page)
    line = page.get_by_role("button", name=LINE)
    await expect(line).to_be_visible()
    await line.focus()
    await shoot(page, "line")

    other = await page.context.new_page()
    await other.goto(page.url)
    await page.bring_to_front()
    await line.focus()
    await page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="What is remembered here")
    await expect(panel.get_by_text(SLY)).to_be_visible()
    await panel.get_by_role("button", name=f"Pin: {FACT}").click()
    await expect(panel.get_by_label("Pinned fact")).to_have_value(FACT)
    await panel.get_by_role("button", name="Correct it").click()
    area = panel.get_by_role("textbox", name="Summary of earlier messages")
    await area.fill("Mira is seven.")
    await shoot(page, "panel")

    await other.get_by_role("button", name="What is remembered").first.click()
    theirs = other.get_by_role("dialog", name="What is remembered here")
    await expect(theirs.get_by_text(FACT)).to_be_visible()
    await panel.get_by_role("button", name="Save").click()
    await expect(panel).to_have_count(0)
    await theirs.get_by_role("button", name="Pin a fact").click()
    await theirs.get_by_label("Pinned fact").fill("Too late.")
    await theirs.get_by_role("button", name="Save").click()
    await expect(theirs.get_by_role("alert")).to_contain_text("has changed meanwhile")
    await theirs.get_by_role("button", name="Show it as it is now").click()
    await expect(theirs.get_by_label("Pinned fact")).to_have_value(FACT)
    await expect(theirs.get_by_text("You have corrected this.")).to_be_visible()
    await expect(theirs.get_by_text("Mira is seven.", exact=True)).to_be_visible()

    await other.set_viewport_size({"width": 360, "height": 640})
    await shoot(other, "phone")
    wide = "document.querySelector('dialog').scrollWidth > document.querySelector('dialog').clientWidth"
    assert not await other.evaluate(wide)
    await other.keyboard.press("Escape")
    await expect(theirs).to_have_count(0)
    assert await page.title() != "hacked"

    await send(page, "Who is Mira?")
    await expect(page.locator(".message")).to_have_count(8)
    await finished(page)
    asked = provider.requests()[-1]["body"]
    assert FACT in str(asked["system"])
    assert "Mira is seven." in str(asked["system"])
