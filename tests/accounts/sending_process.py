"""A process that sends as often as it can in one person's name, and tells how often it could.

python -m tests.accounts.sending_process USER TIMES
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest import mock

import django

django.setup()

from chatbot.accounts.limits import count_send
from chatbot.accounts.models import User
from chatbot.core.errors import RateLimited
from tests.clocks import NOW

THREADS = 8


def main() -> None:
    user = User(pk=sys.argv[1])

    def send(_: int) -> bool:
        try:
            count_send(user)
        except RateLimited:
            return False
        return True

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as pool:
        admitted = sum(pool.map(send, range(int(sys.argv[2]))))
    sys.stdout.write(json.dumps(admitted))


if __name__ == "__main__":
    # All processes see the same window, whose end none of them reaches.
    clock = SimpleNamespace(time=lambda: NOW)
    with (
        mock.patch("django_ratelimit.core.time", clock),
        mock.patch("chatbot.accounts.rates.time", clock),
    ):
        main()
