"""What belongs to the account: its pages, signing out and in, how it looks, its end."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.thread import finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

ACCOUNT_PAGES = [
    "email/",
    "password/change/",
    "2fa/",
    "reauthenticate/",
    "password/reset/",
    "logout/",
]


async def test_the_chosen_appearance_is_kept(page: Page):
    await page.locator("#account summary").click()
    await page.get_by_label("Dark", exact=True).check(force=True)
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"


async def test_account_pages_obey_the_content_policy(page: Page):
    for path in ACCOUNT_PAGES:
        answered = await page.goto(f"/accounts/{path}")
        assert answered is not None
        assert answered.status == 200
        await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def test_signing_out_and_in_again_shows_the_conversations(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Fine.")
    await send(page, "How are you")
    await finished(page)
    await page.locator("#account summary").click()
    email = await page.locator(".account-email").inner_text()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill("a-long-and-quiet-password")
    await page.get_by_role("button", name="Sign in").click()
    await page.locator(".item-link").first.click()
    await expect(text_of(page)).to_have_text("Fine.")


async def test_an_account_is_deleted_only_by_who_types_its_address(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Something to lose.")
    await send(page, "Hello")
    await finished(page)
    email = await page.locator(".account-email").inner_text()
    await page.locator("#account summary").click()
    exported = page.get_by_role("link", name="Export everything")
    async with page.expect_download() as download:
        await exported.click()
    assert (await download.value).suggested_filename == "parley-export.json"

    await page.get_by_role("button", name="Delete account…").click()
    dialog = page.get_by_role("dialog", name="Delete your account?")
    confirm = dialog.get_by_role("button", name="Delete everything")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("textbox").fill("somebody@else.example")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(text_of(page)).to_have_text("Something to lose.")

    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Delete account…").click()
    await dialog.get_by_role("textbox").fill(email)
    await confirm.click()
    await expect(page).to_have_url(re.compile("/accounts/login/"))
    assert (await page.request.get("/api/v1/me")).status == 401
