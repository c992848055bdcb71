"""The HTTP API: `/api/v1`, its documentation, and the one place that turns errors into JSON."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from django.core.exceptions import BadRequest as DjangoBadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from redis.exceptions import RedisError

from chatbot.accounts.auth import authenticate_counted
from chatbot.core.errors import BadRequest, ChatError, NotFound, Unavailable
from chatbot.core.stores import DATABASE, REDIS, RETRY_AFTER_S
from chatbot.openapi import complete_schema
from conversations.api.me import router as me
from conversations.api.routes import router as conversations

logger = logging.getLogger(__name__)


class OrjsonParser(Parser):
    """Strict JSON: no NaN, no lone surrogates, no bad UTF-8, a bound on nesting."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        return orjson.loads(request.body)  # type: ignore[no-any-return]


class OrjsonRenderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return orjson.dumps(data)


class Api(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        complete_schema(schema)
        return schema


api = Api(
    title="Parley",
    version="1",
    description="Conversations with language models. Answers stream as server-sent events.",
    auth=authenticate_counted,
    parser=OrjsonParser(),
    renderer=OrjsonRenderer(),
    urls_namespace="api",
    docs_url="/docs",
)
api.add_router("", conversations)
api.add_router("", me)


def error_response(exc: ChatError) -> HttpResponse:
    response = HttpResponse(
        orjson.dumps({"error": exc.body()}), status=exc.status, content_type="application/json"
    )
    if exc.retry_after_s is not None:
        response["Retry-After"] = str(exc.body()["retryAfter"])
    for name, value in exc.headers.items():
        response[name] = value
    if exc.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(ChatError)
def _chat_error(request: HttpRequest, exc: ChatError) -> HttpResponse:
    return error_response(exc)


@api.exception_handler(ValidationError)
def _validation_error(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    """Say which field is wrong and how; never repeat what was in it."""
    first = exc.errors[0]
    where = ".".join(str(part) for part in first["loc"][1:] if part != "body")
    return error_response(BadRequest(f"{where}: {first['msg']}." if where else f"{first['msg']}."))


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, exc: HttpError) -> HttpResponse:
    return error_response(BadRequest("The body is not JSON that this service can read."))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, exc: Http404) -> HttpResponse:
    return error_response(NotFound())


@api.exception_handler(DjangoBadRequest)
@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, exc: Exception) -> HttpResponse:
    return error_response(BadRequest())


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
@api.exception_handler(RedisError)
def _store_away(request: HttpRequest, exc: Exception) -> HttpResponse:
    # While a store is known to be away each request fails in the same way.
    is_news = not (DATABASE.is_noted or REDIS.is_noted)
    logger.error("A store did not answer a request", exc_info=exc if is_news else None)
    return error_response(Unavailable(retry_after_s=RETRY_AFTER_S))


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, exc: Exception) -> HttpResponse:
    logger.error("A request failed", exc_info=exc)
    return error_response(ChatError())


@csrf_exempt
async def unknown_address(request: HttpRequest, **_: Any) -> HttpResponseBase:
    """Answer addresses under /api/ that do not exist, in the API's own language."""
    return error_response(NotFound())
