from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.degraded.device import Device
from tests.production import Production, running_production

FROZEN_S = 2


@pytest.fixture(scope="package")
def production() -> Iterator[Production]:
    environment = {"DATABASE_TIMEOUT_S": str(FROZEN_S)}
    with running_production(webs=2, workers=0, environment=environment) as (production, _):
        yield production


@pytest.fixture(scope="package")
def strangers(production: Production) -> Iterator[str]:
    """Tokens of people that no test has met."""
    return iter(production.make_people("person", 40))


@pytest.fixture
def token(strangers: Iterator[str]) -> str:
    return next(strangers)


@pytest.fixture
def phone(production: Production, token: str) -> Iterator[Device]:
    """A device at the first web process."""
    with Device(production.webs[0], token) as device:
        yield device


@pytest.fixture
def laptop(production: Production, token: str) -> Iterator[Device]:
    """Another device of the same person, at the second web process."""
    with Device(production.webs[1], token) as device:
        yield device
