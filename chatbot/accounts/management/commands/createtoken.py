from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chatbot.accounts.models import User
from chatbot.accounts.tokens import create_token
from chatbot.audit.log import COMMAND_LINE, record
from chatbot.audit.naming import name_of


class Command(BaseCommand):
    help = "Print a new bearer token for a person. It is shown once; only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--label", default="", help="what the token is for")

    def handle(self, *, email: str, label: str, **_: Any) -> None:
        with transaction.atomic():
            user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
            if user is None:
                raise CommandError(f"Nobody is registered as {email}.")
            token = create_token(user, label=label[:80])
            record(COMMAND_LINE, "apitoken.added", name_of(user))
        self.stdout.write(token)
