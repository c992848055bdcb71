"""The pure JavaScript modules, run by Node's own test runner."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The first release that reads ES modules from `.js` files without a package.json.
OLDEST = (20, 19)


def version_of(node: str) -> tuple[int, int]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    match = re.match(r"v(\d+)\.(\d+)", told.stdout)
    assert match
    return int(match[1]), int(match[2])


def find_node() -> str:
    """Return a recent enough Node: the one in PATH, else the one playwright brings along."""
    installed = shutil.which("node")
    if installed and version_of(installed) >= OLDEST:
        return installed
    driver = pytest.importorskip("playwright._impl._driver")
    return str(driver.compute_driver_executable()[0])


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_javascript_module_keeps_its_promises(path: Path):
    run = subprocess.run(
        [find_node(), "--no-warnings", "--test", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
