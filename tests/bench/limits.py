"""What counting a send costs: python -m tests.bench.limits, on a Valkey of its own."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from tests.stores import Valkey

CALLS = 5_000
WARM_UP = 300
# Beyond what is counted here.
RATES = ("1000000/m", "10000000/d")


def measure(what: str, call: Callable[[], object]) -> None:
    for _ in range(WARM_UP):
        call()
    began = time.process_time()
    for _ in range(CALLS):
        call()
    took_us = (time.process_time() - began) / CALLS * 1e6
    sys.stdout.write(f"{what}: {took_us:.0f} µs\n")


def main() -> None:
    import django

    django.setup()
    from django_ratelimit.core import get_usage

    from chatbot.accounts.limits import count_request, count_send
    from chatbot.accounts.models import User

    user = User()
    request = SimpleNamespace(method="POST", META={})

    def count_apart(rates: tuple[str, ...]) -> None:
        for rate in rates:
            get_usage(request, "bench", key=lambda *_: str(user.pk), rate=rate, increment=True)

    measure("get_usage, the minute alone", lambda: count_apart(RATES[:1]))
    measure("get_usage, minute and day", lambda: count_apart(RATES))
    measure("count_send, minute and day", lambda: count_send(user))
    measure("count_request", lambda: count_request(user))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "chatbot.settings.test",
            "REDIS_URL": valkey.url,
            "FREE_SENDS_PER_MINUTE": "1000000",
            "FREE_SENDS_PER_DAY": "1000000",
            "REQUESTS_PER_MINUTE": "1000000",
        }
        try:
            main()
        finally:
            valkey.kill9()
