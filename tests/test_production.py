"""The deployment that tests and benchmarks run can be killed and brought back, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.degraded.device import eventually
from tests.processes import ProcessFailed, accepts_connections
from tests.production import Production, Web, answers, running_production

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def production() -> Iterator[Production]:
    with running_production(webs=2) as (production, _):
        yield production


def test_people_are_known_to_every_web_process(production: Production) -> None:
    first, second = production.make_people("known", 2)
    assert first != second
    for web in production.webs:
        headers = {"Authorization": f"Bearer {second}"}
        me = httpx2.get(f"{web.url}/api/v1/me", headers=headers, trust_env=False)
        assert me.status_code == 200


def test_a_killed_web_process_comes_back_on_its_port(production: Production) -> None:
    killed, other = production.webs
    before = killed.pid
    killed.kill9()
    assert not killed.is_alive
    assert answers(f"{other.url}/healthz")
    killed.restart()
    assert killed.pid != before
    assert answers(f"{killed.url}/healthz")


OVERRIDE = """
import django
django.setup()
from conversations.models import ModelOverride
ModelOverride.objects.create(name="gone", is_off=True)
"""


def test_web_and_worker_take_up_what_an_operator_changes(production: Production) -> None:
    (worker,) = production.workers
    production.run_python(OVERRIDE)
    for process in (*production.webs, worker):
        process.wait_for("The catalogue has no model gone")


def test_a_bad_catalogue_ends_a_web_process_at_its_start_with_one_line(
    production: Production, tmp_path: Path
) -> None:
    more = tmp_path / "models.toml"
    more.write_text("default_local = 'nobody'")
    environment = {**production.environment, "MODELS_FILE": str(more)}
    web = Web("bad", folder=tmp_path, environment=environment)
    with pytest.raises(ProcessFailed, match="default_local: names no such model"):
        web.start()
    assert "Traceback" not in web.log.read_text()


def test_postgres_keeps_what_was_committed_over_a_crash(production: Production) -> None:
    (token,) = production.make_people("crash", 1)
    production.postgres.kill()
    assert not accepts_connections(production.postgres.port)
    production.postgres.start()
    web = production.webs[0]
    # Who looked while it was away is remembered for a moment.
    eventually(lambda: answers(f"{web.url}/readyz"), within_s=10)
    headers = {"Authorization": f"Bearer {token}"}
    me = httpx2.get(f"{web.url}/api/v1/me", headers=headers, trust_env=False)
    assert me.status_code == 200


def test_valkey_comes_back_with_what_was_saved_or_with_nothing(production: Production) -> None:
    with production.valkey.client() as client:
        client.set("saved", "yes")
        production.valkey.save()
        client.set("late", "yes")
    production.valkey.restart_with_data()
    with production.valkey.client() as client:
        assert client.exists("saved")
        assert not client.exists("late")
    production.valkey.restart_without_data()
    with production.valkey.client() as client:
        assert not client.exists("saved")
