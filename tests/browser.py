"""A Chromium to test with: the one there is, or Debian's, installed when we may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Not a failure: those tests then skip, and say why.
WITHOUT = "The page tests are skipped. Install Chromium, or set CHROMIUM to its path.\n"


def find_browser() -> str | None:
    """Return the path of a Chromium, from $CHROMIUM or the search path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    if find_browser():
        return 0
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.stderr.write(WITHOUT)
        return 0
    sys.stderr.write("Installing Chromium for the page tests…\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        if subprocess.run([apt, "--quiet=2", *arguments], env=environment, check=False).returncode:
            sys.stderr.write(WITHOUT)
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
