"""The parts of the chat page that tests look at, and sending from it."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect


def box(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def answer(page: Page) -> Locator:
    return page.locator(".message-assistant").last


def text_of(page: Page) -> Locator:
    return answer(page).locator(".md")


async def send(page: Page, text: str) -> None:
    await box(page).fill(text)
    await page.get_by_role("button", name="Send message").click()


async def finished(page: Page) -> None:
    await expect(answer(page)).to_have_attribute("aria-busy", "false")


async def stored_text(page: Page) -> str:
    """Return the last answer of the open conversation from the API, as this person."""
    found = re.search(r"/c/([0-9a-f-]{36})/$", page.url)
    assert found is not None
    response = await page.request.get(f"/api/v1/conversations/{found[1]}")
    return str((await response.json())["messages"][-1]["content"])
