"""What every deployment of the tests begins with, made once on a machine from the same sources."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.processes import ROOT

# What a database and its static files are made from; the same files make the same again.
_SOURCES = ("*/migrations/*.py", "chatbot/*/migrations/*.py", "static/**/*", "requirements.txt")


def place_of(kind: str) -> Path:
    """Return the folder in which what is made of these sources is kept, if it is."""
    return Path(tempfile.gettempdir()) / f"parley-prepared-{kind}-{_digest()}"


def keep(kind: str, fill: Callable[[Path], None]) -> None:
    """Have a folder filled and kept, at once, so that nobody finds half of it.

    Whoever is second keeps the first one's.
    """
    with tempfile.TemporaryDirectory(prefix="parley-preparing-") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        fill(made)
        with contextlib.suppress(OSError):
            made.rename(place_of(kind))


def _digest() -> str:
    sources = (path for pattern in _SOURCES for path in sorted(ROOT.glob(pattern)))
    content = hashlib.sha256()
    for path in sources:
        if path.is_file() and ".venv" not in path.parts:
            content.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:16]
