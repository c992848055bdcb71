"""The parts of the chat page that tests look at, and sending from it."""

from __future__ import annotations

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
