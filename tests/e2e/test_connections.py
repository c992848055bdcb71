"""Answers on networks that block, hold back or cut connections, and on several devices at once."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, Route, WebSocketRoute, expect

from chatbot.core.tasks import spawn
from tests.e2e.conftest import PASSWORD, OpenPage, listening, pages_of, sign_up
from tests.e2e.thread import answer, box, finished, send, stored_text, text_of
from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

# Characters of one to four bytes, composed and joined ones, and Markdown that must stay as it is.
STORY = "Čtvrtý  den 🛰️ „nic“ — naïve é, e\u0301, 👩‍👩‍👧 and *no* word was lost, not a single one."
HELD = "Čtvrtý  den 🛰️"
SOCKET = "**/ws/chat/"
STREAMS = re.compile(r"/messages$|/events$|/regenerate$")


async def shown_text(page: Page) -> str:
    """Return the answer as the page holds it: what its copy button gives."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.bring_to_front()
    await answer(page).hover()
    await answer(page).get_by_role("button", name="Copy answer").click()
    await expect(answer(page).get_by_role("button", name="Copied")).to_be_visible()
    return str(await page.evaluate("navigator.clipboard.readText()"))


async def shows_what_is_stored(page: Page, *, messages: int = 2) -> None:
    await finished(page)
    await expect(page.locator(".message")).to_have_count(messages)
    assert await stored_text(page) == STORY
    assert await shown_text(page) == STORY


async def sign_in(page: Page, email: str) -> None:
    await page.goto("/accounts/login/")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(box(page)).to_be_visible()


async def email_of(page: Page) -> str:
    return (await page.locator(".account-email").text_content() or "").strip()


async def cut(route: Route) -> None:
    await route.abort()


async def test_without_a_websocket_everything_works(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY, hold_after=4)
    await page.route_web_socket(SOCKET, lambda socket: socket.close(code=1011))
    await page.reload()
    await send(page, "Tell me")
    await expect(text_of(page)).to_have_text(HELD)
    await page.reload()
    await expect(text_of(page)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(page)


async def test_without_a_websocket_a_second_device_finds_the_answer_by_itself(
    page: Page, open_page: OpenPage, provider: ScriptedProvider
):
    provider.script({"text": "Hello."}, {"text": STORY, "hold_after": 4})
    await send(page, "Hi")
    await finished(page)
    other = await open_page()
    await other.route_web_socket(SOCKET, lambda socket: socket.close(code=1011))
    await sign_in(other, await email_of(page))
    await other.goto(page.url)
    await expect(text_of(other)).to_have_text("Hello.")
    await send(page, "Tell me")
    # Its own look at the server comes every eleven seconds at most.
    await expect(text_of(other)).to_have_text(HELD, timeout=25_000)
    provider.release()
    await shows_what_is_stored(other, messages=4)


@pytest.mark.parametrize(
    "hangs",
    [pytest.param(True, id="held back"), pytest.param(False, id="cut", marks=pytest.mark.slow)],
)
async def test_without_http_streams_the_answer_comes_over_the_websocket(
    page: Page, provider: ScriptedProvider, hangs: bool
):
    provider.script(text=STORY, hold_after=4)
    over = asyncio.Event()

    async def block(route: Route) -> None:
        if hangs:
            # No answer at all, as from a proxy that waits for the whole of it.
            await over.wait()
        with suppress(Error):
            await route.abort()

    await page.context.route(STREAMS, block)
    await send(page, "Tell me")
    await expect(answer(page).get_by_text("Resumed on another connection")).to_be_visible()
    await expect(text_of(page)).to_have_text(HELD)
    await page.reload()
    await expect(text_of(page)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(page)
    await expect(page.locator(".message-user")).to_have_count(1)
    assert len(provider.requests()) == 1
    over.set()
    await page.context.unroute_all(behavior="wait")


async def test_where_no_stream_comes_through_the_answer_is_shown_when_it_is_whole(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)

    async def cut_streams(route: Route) -> None:
        is_stream = "event-stream" in route.request.headers["accept"]
        await (route.abort() if is_stream else route.continue_())

    await page.context.route(STREAMS, cut_streams)
    await page.route_web_socket(SOCKET, lambda socket: socket.close(code=1011))
    await page.reload()
    await send(page, "Tell me")
    await expect(answer(page).get_by_text("Reconnecting")).to_be_visible()
    await expect(text_of(page)).not_to_be_empty(timeout=60_000)
    await shows_what_is_stored(page)
    assert len(provider.requests()) == 1


async def test_a_blocked_socket_in_turn_gives_way_to_http(page: Page, provider: ScriptedProvider):
    provider.script({"text": "Hello."}, {"text": STORY, "hold_after": 4})
    await page.route(STREAMS, cut)
    await send(page, "Hi")
    await finished(page)
    await page.unroute(STREAMS)
    await page.route_web_socket(SOCKET, lambda socket: socket.close(code=1011))
    await send(page, "Tell me")
    await expect(text_of(page)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(page, messages=4)


async def test_a_socket_that_is_cut_all_the_time_loses_and_doubles_nothing(
    page: Page, provider: ScriptedProvider
):
    words = [f"{word} " for word in STORY.split(" ")]
    words[-1] = words[-1].rstrip()
    provider.script(chunks=words, token_ms=120)
    await page.context.route(STREAMS, cut)

    sockets = 0
    closing: list[asyncio.Task[None]] = []

    def cut_often(socket: WebSocketRoute) -> None:
        nonlocal sockets
        sockets += 1
        server = socket.connect_to_server()
        passed = 0

        def pass_on(frame: str | bytes) -> None:
            nonlocal passed
            passed += 1
            if passed <= 4:
                socket.send(frame)
            elif passed == 5:
                closing.append(spawn(socket.close(code=1011), name="cut the socket"))

        server.on_message(pass_on)

    await page.route_web_socket(SOCKET, cut_often)
    await send(page, "Tell me")
    await shows_what_is_stored(page)
    assert sockets > 1
    assert len(provider.requests()) == 1


async def test_two_tabs_and_another_device_follow_the_same_answer(
    page: Page, open_page: OpenPage, provider: ScriptedProvider
):
    provider.script({"text": "Hello."}, {"text": STORY, "hold_after": 4})
    await send(page, "Hi")
    await finished(page)
    tab = await page.context.new_page()
    device = await open_page(viewport={"width": 390, "height": 844})
    await sign_in(device, await email_of(page))
    for other in (tab, device):
        async with listening(other):
            await other.goto(page.url)
        await expect(text_of(other)).to_have_text("Hello.")
    everyone = (page, tab, device)
    await send(device, "Tell me")
    for one in everyone:
        await expect(text_of(one)).to_have_text(HELD)
    provider.release()
    for one in everyone:
        await shows_what_is_stored(one, messages=4)


async def test_a_new_conversation_appears_on_a_device_that_looks_at_the_list(
    page: Page, open_page: OpenPage, provider: ScriptedProvider
):
    provider.script(text=STORY, hold_after=4)
    device = await open_page()
    async with listening(device):
        await sign_in(device, await email_of(page))
    await send(page, "Tell me")
    await device.locator(".item-link").first.click()
    await expect(text_of(device)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(device)
    await shows_what_is_stored(page)


async def test_going_offline_and_online_again_is_told_and_costs_nothing(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY, hold_after=4)
    await send(page, "Tell me")
    await expect(text_of(page)).to_have_text(HELD)
    for _ in range(3):
        await page.context.set_offline(True)
        await expect(page.locator("#offline")).to_have_text(re.compile("offline"))
        await expect(answer(page).get_by_text("You are offline")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.locator("#offline")).to_be_empty()
        await expect(answer(page).get_by_text("The answer is being written")).to_be_visible()
    provider.release()
    await shows_what_is_stored(page)


async def test_a_message_written_offline_is_sent_once_when_online(
    page: Page, provider: ScriptedProvider
):
    provider.script({"text": "Hello."}, {"text": STORY})
    await send(page, "Hi")
    await finished(page)
    await page.context.set_offline(True)
    await send(page, "Tell me")
    await expect(answer(page).get_by_text("will be sent when you are back")).to_be_visible()
    await page.context.set_offline(False)
    await shows_what_is_stored(page, messages=4)
    assert len(provider.requests()) == 2


async def test_a_busy_server_gets_the_message_again_under_the_same_key(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)
    keys: list[str] = []

    async def refuse_twice(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 2:
            await route.continue_()
            return
        error = {"code": "unavailable", "message": "Very busy.", "retryAfter": 1}
        await route.fulfill(status=503, json={"error": error})

    await page.route("**/messages", refuse_twice)
    await send(page, "Tell me")
    await expect(answer(page).get_by_text("Very busy right now")).to_be_visible()
    await shows_what_is_stored(page)
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_message_that_came_second_waits_in_the_box_while_the_first_is_answered(
    page: Page, provider: ScriptedProvider
):
    provider.script({"text": "Hello."}, {"text": STORY, "hold_after": 4})
    await send(page, "Hi")
    await finished(page)
    tab = await page.context.new_page()
    # Deaf to notices, it does not know that the conversation is busy.
    await tab.route_web_socket(SOCKET, lambda socket: None)
    await tab.goto(page.url)
    await expect(text_of(tab)).to_have_text("Hello.")
    await send(page, "Tell me")
    await expect(text_of(page)).to_have_text(HELD)
    await send(tab, "I was second")
    await expect(tab.get_by_role("alert")).to_contain_text("Still answering")
    await expect(box(tab)).to_have_value("I was second")
    await expect(text_of(tab)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(tab, messages=4)
    await expect(tab.get_by_role("alert")).to_be_hidden()
    await expect(box(tab)).to_have_value("I was second")


async def test_a_key_used_for_something_else_is_changed(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY)
    keys: list[str] = []

    async def mismatch_once(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
            return
        error = {"code": "idempotency_mismatch", "message": "Used."}
        await route.fulfill(status=409, json={"error": error})

    await page.route("**/messages", mismatch_once)
    await send(page, "Tell me")
    await shows_what_is_stored(page)
    assert len(set(keys)) == 2


async def test_one_signed_out_in_the_middle_signs_in_and_sees_the_whole_answer(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY, hold_after=4)
    email = await email_of(page)
    await send(page, "Tell me")
    await expect(text_of(page)).to_have_text(HELD)
    await page.context.clear_cookies(name="sessionid")
    # The connection is cut and asked for again, as after a change of network.
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    await expect(text_of(page)).to_have_text(HELD)
    await expect(answer(page).get_by_text("goes on without this page")).to_be_visible()
    await page.get_by_role("alert").get_by_role("link", name="Sign in").click()
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(text_of(page)).to_have_text(HELD)
    provider.release()
    await shows_what_is_stored(page)


@pytest_asyncio.fixture(loop_scope="session")
async def own_server(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[ServeProcess]:
    """A server that a test may kill."""
    environment = {
        "LOCAL_MODEL_URL": provider.url,
        "LOCAL_MODEL_API_KEY": "scripted",
        "ANTHROPIC_API_KEY": "",
        "GENERATION_LEASE_S": "3",
    }
    server = ServeProcess(environment, data_dir=tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def test_a_server_killed_in_the_middle_comes_back_and_the_answer_is_whole(
    browser: Browser, own_server: ServeProcess, provider: ScriptedProvider
):
    provider.script({"text": STORY, "hold_after": 4}, {"text": STORY})
    async with pages_of(browser, own_server.url) as open_page:
        page = await sign_up(await open_page())
        await send(page, "Tell me")
        await expect(text_of(page)).to_have_text(HELD)
        await asyncio.to_thread(own_server.stop, signal.SIGKILL)
        await expect(answer(page).get_by_text("Reconnecting")).to_be_visible()
        await expect(text_of(page)).to_have_text(HELD)
        await asyncio.to_thread(own_server.start)
        # A dead worker's answer is taken over when its lease has lapsed.
        await expect(answer(page)).to_have_attribute("aria-busy", "false", timeout=60_000)
        await shows_what_is_stored(page)
