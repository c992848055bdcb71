from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chatbot.accounts.models import Plan
from chatbot.accounts.people import create_person, make_moderator
from chatbot.audit.log import COMMAND_LINE, record
from chatbot.audit.naming import name_of


class Command(BaseCommand):
    help = (
        "Create a person who signs in by email. The password is asked for in a terminal, or read "
        "with --password-stdin; without one, they set it by password reset."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--plan", choices=Plan.values, default=Plan.FREE)
        parser.add_argument(
            "--staff", action="store_true", help="may enter /admin/ with all rights"
        )
        parser.add_argument(
            "--moderator", action="store_true", help="may enter the moderators' desk in /admin/"
        )
        parser.add_argument("--password-stdin", action="store_true", help="read one line")

    def handle(self, *, email: str, plan: str, staff: bool, **options: Any) -> None:
        roles = {"staff": staff, "moderator": options["moderator"]}
        password = ""
        if options["password_stdin"]:
            password = sys.stdin.readline().rstrip("\r\n")
        elif sys.stdin.isatty():
            password = getpass.getpass("Password (empty: set it later by password reset): ")
        try:
            with transaction.atomic():
                user = create_person(email, password or None, plan=Plan(plan), staff=staff)
                if roles["moderator"]:
                    make_moderator(user)
                record(COMMAND_LINE, "user.added", name_of(user), plan=plan, **roles)
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc
        has = [role for role, is_given in roles.items() if is_given]
        self.stdout.write(f"Created {user.email} ({', '.join([*has, f'plan {user.plan}'])}).")
