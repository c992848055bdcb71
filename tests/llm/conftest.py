"""Fixtures for tests of the `llm` package."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from llm.providers.anthropic import AnthropicProvider
from llm.providers.base import Timeouts
from llm.providers.connections import Endpoint
from tests.fakes.provider_process import ScriptedProvider


@pytest.fixture
def scripted(provider_process: ScriptedProvider) -> ScriptedProvider:
    """A scripted provider without memory of earlier tests."""
    provider_process.reset()
    return provider_process


@pytest.fixture
async def provider(scripted: ScriptedProvider) -> AsyncIterator[AnthropicProvider]:
    """A patient client of the scripted provider."""
    client = AnthropicProvider(
        Endpoint(scripted.url, "test-key"), timeouts=Timeouts(first_token_s=30, token_s=30)
    )
    yield client
    await client.aclose()


@pytest.fixture
async def impatient(scripted: ScriptedProvider) -> AsyncIterator[AnthropicProvider]:
    """A client whose patience ends after a fraction of a second."""
    client = AnthropicProvider(
        Endpoint(scripted.url, "test-key"), timeouts=Timeouts(first_token_s=0.3, token_s=0.3)
    )
    yield client
    await client.aclose()
