"""Secrets that embedded mode makes for itself, as files only their owner can read."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path


def read_or_create(path: Path, make: str | None = None, *, advice: str = "") -> str:
    """Return the secret kept in `path`, making it on first use with mode 0600.

    Two processes that start at once end with the same secret: the file is created exclusively
    under a temporary name and then linked into place.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not by process id: one that died here may have had the same, as in a container.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make or secrets.token_urlsafe(48))
        try:
            os.link(draft, path)
            sys.stderr.write(f"Made {path} (mode 0600). {advice}".rstrip() + "\n")
        except FileExistsError:
            pass  # Another process was first, and its secret is as good.
        finally:
            draft.unlink()
    return path.read_text().strip()
