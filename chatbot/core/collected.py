"""Static files are collected when there is something new among them, and not at each start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import call_command

# Beside the files, in a folder that is served: it says nothing but whether two are the same.
STAMP = ".collected"


def collect_static() -> None:
    """Collect what is served as files, unless the same was collected there before.

    Rewriting the names in 260 unchanged files takes a fifth of a start of the server.
    """
    root = Path(settings.STATIC_ROOT)
    stamp = root / STAMP
    now = _digest()
    if stamp.is_file() and stamp.read_text() == now and _is_whole(root):
        return
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(now)


def _is_whole(root: Path) -> bool:
    manifest = root / ManifestStaticFilesStorage.manifest_name
    if not manifest.is_file():
        return False
    return all(
        (root / name).is_file() for name in json.loads(manifest.read_bytes())["paths"].values()
    )


def _digest() -> str:
    """Tell apart what there is to collect, by the names, sizes and times of the files."""
    digest = hashlib.sha256(django.__version__.encode())
    for line in sorted(_describe()):
        digest.update(line.encode() + b"\0")
    return digest.hexdigest()


def _describe() -> Iterator[str]:
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            yield f"{path} {found.st_size} {found.st_mtime_ns}"
    # How they are collected is part of what comes out.
    yield Path(__file__).with_name("static.py").read_text()
