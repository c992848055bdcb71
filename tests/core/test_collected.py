from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatbot.core.collected import STAMP, collect_static


@pytest.fixture
def source(tmp_path: Path, settings: Any) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "page.css").write_text("body { color: green }")
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "static"
    served = {"BACKEND": "chatbot.core.static.ModuleManifestStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": served}
    return source


def collected(root: Path) -> list[str]:
    return sorted(path.read_text() for path in root.glob("page.*.css"))


def test_what_is_new_or_changed_is_collected(source: Path, settings: Any) -> None:
    collect_static()
    assert collected(settings.STATIC_ROOT) == ["body { color: green }"]
    (source / "page.css").write_text("body { color: teal }")
    collect_static()
    assert "body { color: teal }" in collected(settings.STATIC_ROOT)


def test_what_is_unchanged_is_left_as_it_is(source: Path, settings: Any) -> None:
    collect_static()
    (page,) = settings.STATIC_ROOT.glob("page.*.css")
    page.write_text("not collected again")
    collect_static()
    assert page.read_text() == "not collected again"


@pytest.mark.parametrize("lost", [STAMP, "staticfiles.json", "page.*.css"])
def test_what_was_lost_is_made_again(source: Path, settings: Any, lost: str) -> None:
    collect_static()
    (gone,) = settings.STATIC_ROOT.glob(lost)
    gone.unlink()
    collect_static()
    assert gone.exists()
    assert collected(settings.STATIC_ROOT) == ["body { color: green }"]
