from __future__ import annotations

import logging
from io import StringIO

import orjson
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from chatbot.failed import answer_failure


def answer(path: str, failure: Exception) -> HttpResponse:
    try:
        raise failure
    except type(failure):
        return answer_failure(RequestFactory().get(path))


@pytest.mark.parametrize(
    ("failure", "status", "code", "words"),
    [
        (OperationalError(), 503, "unavailable", "Back in a moment"),
        (LookupError(), 500, "internal_error", "Something went wrong on our side"),
    ],
)
def test_a_failure_is_answered_in_the_language_of_the_address(
    failure: Exception, status: int, code: str, words: str
) -> None:
    page, call = answer("/c/x/", failure), answer("/api/v1/me", failure)
    assert page.status_code == call.status_code == status
    assert words in page.content.decode()
    assert orjson.loads(call.content)["error"]["code"] == code
    assert page.headers.get("Retry-After") == call.headers.get("Retry-After")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/", 404, "not_found"),
        ("/api/v1/docs", 403, "csrf_failed"),
        ("/api/v1/openapi.json", 403, "csrf_failed"),
    ],
)
def test_the_api_answers_at_its_own_addresses_too(
    method: str, path: str, status: int, code: str
) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.generic(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_page_says_in_words_that_its_form_cannot_be_trusted() -> None:
    response = Client(enforce_csrf_checks=True).post("/accounts/login/")
    assert response.status_code == 403
    assert "This form was open for too long" in response.content.decode()


def test_a_foreign_host_is_one_line_without_a_trace() -> None:
    said = StringIO()
    logger = logging.getLogger("django.security.DisallowedHost")
    handler = logging.StreamHandler(said)
    logger.addHandler(handler)
    try:
        assert Client(headers={"host": "evil.example"}).get("/accounts/login/").status_code == 400
    finally:
        logger.removeHandler(handler)
    assert "evil.example" in said.getvalue()
    assert "Traceback" not in said.getvalue()
