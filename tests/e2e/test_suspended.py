"""What a suspended person sees, says, and comes back to."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.e2e.thread import box
from tests.live import ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


async def moderate(live: ServeProcess, page_email: str, what: str) -> None:
    code = (
        "from chatbot.accounts.models import User;"
        "from chatbot.accounts import suspensions as done;"
        f"user = User.objects.get(email={page_email!r});"
        f"{what}"
    )
    await asyncio.to_thread(live.manage, "shell", "--no-imports", "-c", code)


async def test_an_open_page_gives_way_to_the_reason_an_appeal_and_its_answer(
    page: Page, live: ServeProcess
):
    email = await page.locator(".account-email").inner_text()
    await moderate(live, email, "done.suspend(user.pk, by='system', reason='Threats.', until=None)")
    # Nobody reloads it.
    heading = page.get_by_role("heading", name="Your account is suspended")
    await expect(heading).to_be_visible()
    await expect(page.get_by_text("Threats.")).to_be_visible()
    await page.get_by_label("Do you think this is a mistake?").fill("It was a quotation.")
    await page.get_by_role("button", name="Send the appeal").click()
    await expect(page.get_by_role("status")).to_contain_text("was received")
    await moderate(
        live,
        email,
        "done.decide_appeal(done.list_open_appeals().get(user=user).pk, by='system',"
        " is_granted=True, answer='It was.')",
    )
    await page.reload()
    await expect(box(page)).to_be_visible()


async def test_a_warning_is_shown_until_it_is_understood(page: Page, live: ServeProcess):
    email = await page.locator(".account-email").inner_text()
    await moderate(live, email, "done.warn(user.pk, by='system', text='Please do not.')")
    await page.reload()
    await expect(page.get_by_text("Please do not.")).to_be_visible()
    await page.get_by_role("button", name="I understand").click()
    await expect(box(page)).to_be_visible()
    await expect(page.get_by_text("Please do not.")).to_have_count(0)
