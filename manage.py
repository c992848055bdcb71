#!/usr/bin/env python
"""Run Django's commands; without a setting, in embedded mode."""

import os
import sys
from contextlib import nullcontext

INTERRUPTED = 130  # What shells report for Ctrl-C.


def main() -> None:
    # Imported here, so that Ctrl-C while Django loads ends in order too.
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import CommandError, execute_from_command_line

    from chatbot.core.commands import explained_database

    try:
        with nullcontext() if "--traceback" in sys.argv else explained_database():
            execute_from_command_line(sys.argv)
    except CommandError as exc:
        sys.exit(f"CommandError: {exc}")
    except ImproperlyConfigured as exc:
        sys.exit(f"Parley is not set up right: {exc}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings.dev")
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
