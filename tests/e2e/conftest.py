"""A real browser on the real product."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, WebSocket, async_playwright, expect

from tests.browser import find_browser
from tests.live import ServeProcess

PASSWORD = "a-long-and-quiet-password"
# Two cores share this with other tests.
PATIENCE_MS = 15_000
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a browser logs by itself when a request fails, which some tests provoke.
NETWORK_NOISE = ("Failed to load resource", "WebSocket connection to")

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = find_browser()
    if chromium is None:
        pytest.skip("there is no Chromium: install it, or set CHROMIUM to its path")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def pages_of(browser: Browser, url: str) -> AsyncIterator[OpenPage]:
    """Open pages of people of their own; a page that logged an error fails the test."""
    contexts = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(NETWORK_NOISE):
            complaints.append(message.text)

    async def open_page(**options: Any) -> Page:
        context = await browser.new_context(base_url=url, locale="en-US", **options)
        contexts.append(context)
        context.on("console", listen)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.set_default_timeout(PATIENCE_MS)
        return await context.new_page()

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


@asynccontextmanager
async def listening(page: Page) -> AsyncIterator[None]:
    """Leave when a socket that the page opens meanwhile has heard its first frame.

    That frame says that the notices are listened for. It may come before the page has loaded,
    so it is waited for from before the page is asked for.
    """
    heard = asyncio.Event()

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", lambda _: heard.set())

    page.on("websocket", watch)
    yield
    async with asyncio.timeout(PATIENCE_MS / 1000):
        await heard.wait()
    page.remove_listener("websocket", watch)


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, live_url: str) -> AsyncIterator[OpenPage]:
    async with pages_of(browser, live_url) as open_page:
        yield open_page


async def sign_up(page: Page) -> Page:
    """Create an account through the form; ends on an empty chat."""
    await page.goto("/accounts/signup/")
    await page.get_by_label("Email").fill(f"{uuid4().hex}@example.org")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Password (again)").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await expect(page.locator("#welcome")).to_be_visible()
    return page


@pytest.fixture(scope="session")
def sessions(live: ServeProcess) -> Iterator[str]:
    """The session cookies of one new person after another, made a dozen at a time."""

    def make() -> Iterator[str]:
        while True:
            emails = [f"{uuid4().hex}@example.org" for _ in range(12)]
            yield from live.sessions_for(emails, PASSWORD)

    return make()


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage, live_url: str, sessions: Iterator[str]) -> Page:
    """The chat page of a new person who has just signed in."""
    page = await open_page(viewport={"width": 1280, "height": 800})
    cookie = await asyncio.to_thread(next, sessions)
    await page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_url}])
    await page.goto("/")
    await expect(page.locator("#welcome")).to_be_visible()
    return page
