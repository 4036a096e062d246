"""The other images: what is in them, that they are the same each time, and that they can be pulled."""

import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed import binaries, images, models, paths, ports
from testbed.errors import TestbedError
from testbed.images import chroot, packages
from tests.images.conftest import Unpacked

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("can_make_images"),
]
ANYBODY = 12345


def built(cache: Path, *names: str) -> dict[str, str]:
    """Digests of images made by a process of its own, with this cache; no network is needed for it."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), packages.MIRROR_VARIABLE: "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "testbed", "images", "build", *names, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row["digest"] for row in json.loads(done.stdout)}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache in which there is nothing but packages."""
    for name in ("pause", "client"):
        images.build(name)
    (tmp_path / "sovereign-testbed").mkdir()
    (tmp_path / "sovereign-testbed/packages").symlink_to(paths.cache() / "packages")
    return tmp_path


def test_same_packages_give_the_same_images_in_another_cache_whatever_the_mask(cache: Path) -> None:
    here = {name: images.build(name).digest for name in ("pause", "client")}
    mask = os.umask(0o077)
    try:
        assert built(cache, "pause", "client") == here
    finally:
        os.umask(mask)


def test_many_may_ask_at_once_and_what_a_killed_one_left_is_removed(cache: Path) -> None:
    left = cache / "sovereign-testbed/layers/.partial-pause.1/root"
    left.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda _: built(cache, "pause")["pause"], range(3)))
    assert set(digests) == {images.build("pause").digest}
    assert not list((cache / "sovereign-testbed").glob("*/.partial-*"))


def test_a_warm_build_takes_no_time() -> None:
    images.build("engine")
    started = time.process_time()  # of ours alone, however busy the machine is
    images.build("engine")
    assert time.process_time() - started < 0.2


def test_pause_sleeps(unpacked: Unpacked) -> None:
    entrypoint = images.build("pause").config["config"]["Entrypoint"]
    with running(unpacked("pause"), entrypoint) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)


@pytest.mark.parametrize("applet", ["wget", "nc", "nslookup", "sleep"])
def test_client_has_tools(unpacked: Unpacked, applet: str) -> None:
    chroot.run(unpacked("client"), ["sh", "-c", f"which {applet}"], environment={}, user=ANYBODY, read_only=True)


def test_client_has_python_with_tls(unpacked: Unpacked) -> None:
    script = "import asyncio, http.client, json, ssl; assert ssl.create_default_context().get_ca_certs()"
    chroot.run(unpacked("client"), ["python", "-c", script], environment={}, user=ANYBODY, read_only=True)


def test_coredns_runs(unpacked: Unpacked) -> None:
    chroot.run(unpacked("coredns"), ["/coredns", "-version"], environment={}, user=ANYBODY, read_only=True)


def test_engine_runs_as_anybody_on_a_read_only_root_and_has_no_shell(unpacked: Unpacked) -> None:
    root = unpacked("engine")
    chroot.run(root, ["llama-server", "--version"], environment={}, user=ANYBODY, read_only=True)
    assert not (root / "usr/bin/sh").exists()


@pytest.mark.parametrize("model", [models.tiny_llama, models.smollm2], ids=["tiny", "smollm2"])
def test_engine_answers(unpacked: Unpacked, model: Any) -> None:
    file: Path = model()
    (port,) = ports.choose(1, ())
    root = unpacked("engine")
    (root / "tmp" / file.name).write_bytes(file.read_bytes())
    # As operator/sovereign/runtimes/llama-cpp.yaml starts it, but for the address and the one thread.
    argv = ["llama-server", "--model", f"/tmp/{file.name}", "--alias", "m", "--host", "127.0.0.1", "--port", str(port)]
    argv += [
        "--ctx-size",
        "512",
        "--parallel",
        "1",
        "--n-gpu-layers",
        "0",
        "--metrics",
        "--no-slots",
        "--no-webui",
        "-t",
        "1",
    ]
    question = {"messages": [{"role": "user", "content": models.QUESTION}], "temperature": 0, "max_tokens": 16}
    with running(root, argv) as process:
        until_healthy(port, process)
        first, second = (ask(port, question) for _ in range(2))
    assert first == second
    assert first.strip()
    assert model is models.tiny_llama or "Paris" in first


def test_a_registry_gives_back_what_was_pushed(tmp_path: Path) -> None:
    image = images.build("pause")
    with registry(tmp_path) as port:
        url = f"http://127.0.0.1:{port}"
        reference = images.push(image, url, "ai/pause")
        assert reference == f"ai/pause@{image.digest}"
        assert images.push(image, url, "ai/pause") == reference
        sent = (tmp_path / "log").read_text()
        assert sent.count('"PUT /v2/ai/pause/manifests/') == 1
        for kind, digest in [
            ("manifests", image.digest),
            *(("blobs", part["digest"]) for part in image.manifest["layers"]),
        ]:
            pulled = get(port, f"/v2/ai/pause/{kind}/{digest}")
            assert f"sha256:{hashlib.sha256(pulled).hexdigest()}" == digest
        with pytest.raises(TestbedError, match="registry refused a push"):
            images.push(image, url, "Not/A/Name")
    with pytest.raises(TestbedError, match="does not answer"):
        images.push(image, url, "ai/pause")
    with pytest.raises(TestbedError, match="http://HOST:PORT"):
        images.push(image, "registry:5000", "ai/pause")


def test_what_cannot_be_done_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="there are pause, engine, operator, client, "):
        images.build("nothing")
    with pytest.raises(TestbedError, match="only the operator's image takes build arguments, such as VERSION"):
        images.build("pause", version="1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(TestbedError, match="needs root on Linux"):
            chroot.run(tmp_path, ["true"], environment={})
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(TestbedError, match="no apt-get here"):
            packages.debian_architecture()
    with monkeypatch.context() as patch:
        patch.setattr(packages, "freedesktop_os_release", lambda: {"ID": "other"})
        with pytest.raises(TestbedError, match=packages.MIRROR_VARIABLE):
            packages.mirror()


@contextmanager
def running(root: Path, argv: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in a root file system, as anybody; it is gone in the end."""
    command = chroot.command(root, argv, environment={}, user=ANYBODY, network=True, read_only=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def registry(folder: Path) -> Iterator[int]:
    """Distribution on loopback; its log is in `folder`."""
    (port,) = ports.choose(1, ())
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "registry.yml").write_text(json.dumps(settings))
    command = [binaries.require("registry"), "serve", folder / "registry.yml"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until_answers(port, "/v2/", process)
            yield port
        finally:
            process.kill()


def get(port: int, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json", "Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
        connection.request("POST" if body else "GET", path, body, headers)
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        return content
    finally:
        connection.close()


def ask(port: int, question: dict[str, Any]) -> str:
    answer = json.loads(get(port, "/v1/chat/completions", json.dumps(question)))
    return str(answer["choices"][0]["message"]["content"])


def until_healthy(port: int, process: "subprocess.Popen[bytes]") -> None:
    until_answers(port, "/health", process)


def until_answers(port: int, path: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            get(port, path)
        except (OSError, AssertionError):
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)
        else:
            return
