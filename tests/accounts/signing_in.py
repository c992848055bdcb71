"""A person at the sign-in pages, through the real views."""

from __future__ import annotations

import itertools
from typing import Any

from django.test import Client

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


class Visitor:
    """One browser, at an address of its own: sign-ins are limited by address."""

    def __init__(self) -> None:
        high, low = divmod(next(_numbers), 256)
        self.http = Client(REMOTE_ADDR=f"10.0.{high}.{low}")

    def post(self, path: str, **fields: str) -> Any:
        return self.http.post(f"/accounts/{path}", fields)

    def sign_up(self, email: str, password: str = PASSWORD) -> Any:
        return self.post("signup/", email=email, password1=password, password2=password)

    def sign_in(self, email: str, password: str = PASSWORD) -> Any:
        return self.post("login/", login=email, password=password)

    def confirm_password(self) -> Any:
        """Say the password again, as changes to two-factor sign-in ask for."""
        return self.post("reauthenticate/", password=PASSWORD)

    def is_signed_in(self) -> bool:
        return self.http.get("/api/v1/me").status_code == 200
