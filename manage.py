#!/usr/bin/env python
"""Run Django's commands; without a setting, in embedded mode."""

import os
import sys

INTERRUPTED = 130  # What shells report for Ctrl-C.


def main() -> None:
    # Imported here, so that Ctrl-C while Django loads ends in order too.
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(f"Parley is not set up right: {exc}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings.dev")
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
