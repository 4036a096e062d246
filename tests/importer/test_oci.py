"""Imports of an artifact in a real OCI registry."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path

import oras.client
import oras.logger
import pytest

from sovereign.importer.credentials import Credentials
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile
from sovereign.importer.sources.oci import OciSource
from tests.importer import models
from tests.importer.certificates import Certificates
from tests.importer.harness import Importer
from tests.importer.services import PASSWORD, USERNAME
from tests.importer.webserver import TokenRegistry

MODEL = models.model()
AUTH = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


def push(registry: str, pki: Certificates, folder: Path, name: str, files: Mapping[str, bytes]) -> str:
    """Push an artifact with one layer per file; its digest."""
    oras.logger.setup_logger(quiet=True)
    client = oras.client.OrasClient(registry, tls_verify=str(pki.authority), auth_backend="basic")
    client.auth.set_basic_auth(USERNAME, PASSWORD)
    models.write(folder, dict(files))
    response = client.push(
        f"{registry}/{name}",
        files=[str(folder / path) for path in files],
        manifest_config=f"{_config(folder)}:application/vnd.example.model.config.v1+json",
        disable_path_validation=True,
    )
    digest: str = response.headers["Docker-Content-Digest"]
    client.session.close()
    return digest


def _config(folder: Path) -> Path:
    path = folder.parent / "artifact-config.json"
    path.write_text("{}")
    return path


@pytest.fixture
def login(importer: Importer) -> Importer:
    importer.secret |= {"username": USERNAME, "password": PASSWORD}
    return importer


def test_an_artifact(registry: str, pki: Certificates, login: Importer, tmp_path: Path) -> None:
    digest = push(registry, pki, tmp_path / "files", "models/tiny:v1", MODEL)
    for reference in ("models/tiny:v1", f"models/tiny@{digest}"):
        outcome = login.run("--source", f"oci://{registry}/{reference}", "--digest", models.digest(MODEL))
        assert outcome.code == 0
    assert login.published() == MODEL


def test_a_login_in_the_form_of_docker(registry: str, pki: Certificates, importer: Importer, tmp_path: Path) -> None:
    push(registry, pki, tmp_path / "files", "models/docker:v1", MODEL)
    importer.secret[".dockerconfigjson"] = json.dumps({"auths": {f"https://{registry}/v2/": {"auth": AUTH}}})
    importer.private |= {AUTH, PASSWORD}
    assert importer.run("--source", f"oci://{registry}/models/docker:v1").code == 0
    assert importer.published() == MODEL


def test_published_already_when_all_digests_are_stated(
    registry: str, pki: Certificates, login: Importer, tmp_path: Path
) -> None:
    push(registry, pki, tmp_path / "files", "models/twice:v1", MODEL)
    assert login.run("--source", f"oci://{registry}/models/twice:v1").code == 0
    again = login.run("--source", f"oci://{registry}/models/twice:v1")
    assert again.code == 0
    assert any("published already" in line["message"] for line in again.lines())


def test_a_wrong_password(registry: str, pki: Certificates, login: Importer, tmp_path: Path) -> None:
    push(registry, pki, tmp_path / "files", "models/locked:v1", MODEL)
    login.secret["password"] = "wrong-password"
    outcome = login.run("--source", f"oci://{registry}/models/locked:v1")
    assert outcome.reason == "AccessDenied"
    assert outcome.code == 3
    login.secret.clear()
    assert login.run("--source", f"oci://{registry}/models/locked:v1").reason == "AccessDenied"


def test_what_is_not_there(registry: str, login: Importer) -> None:
    outcome = login.run("--source", f"oci://{registry}/models/nothing:v1")
    assert outcome.reason == "SourceNotFound"
    outcome = login.run("--source", "oci://127.0.0.1:9/models/nothing:v1")
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 1


def test_an_artifact_with_a_pickle(registry: str, pki: Certificates, login: Importer, tmp_path: Path) -> None:
    push(registry, pki, tmp_path / "files", "models/mixed:v1", MODEL | {"pytorch_model.bin": b"pickle"})
    outcome = login.run("--source", f"oci://{registry}/models/mixed:v1")
    assert outcome.reason == "UnsafeFile"
    assert login.run("--source", f"oci://{registry}/models/mixed:v1", "--exclude", "*.bin").code == 0
    assert login.published() == MODEL


def test_tokens_that_expire_during_the_download(pki: Certificates, login: Importer) -> None:
    login.private |= {AUTH, "registry-token-number"}
    with TokenRegistry(pki.server_context(), files=dict(MODEL), login=f"Basic {AUTH}") as server:
        source = f"oci://127.0.0.1:{server.port}/models/tiny:v1"
        assert login.run("--source", source, "--concurrency", "2").code == 0
        assert server.tokens > 2
        login.secret["password"] = "wrong-password"
        assert login.run("--source", source).reason == "AccessDenied"
    assert login.published() == MODEL


async def test_what_is_asked_for_while_a_token_is_renewed(pki: Certificates) -> None:
    """The registry refuses it, as it has the old token; it waits for the new one and is asked for again."""
    secret = {"username": USERNAME, "password": PASSWORD, "ca.crt": pki.authority.read_text()}
    with TokenRegistry(pki.server_context(), files=dict(MODEL), login=f"Basic {AUTH}") as server:
        settings = Settings(source=f"oci://127.0.0.1:{server.port}/models/tiny:v1", dest=Path("/nowhere"))
        source = OciSource.open(settings, Credentials(secret))
        first, second, *_ = await source.files()
        server.left = 0
        server.asked.clear()
        server.given.clear()
        before = asyncio.create_task(_content(source, first))
        assert await asyncio.to_thread(server.asked.wait, 30)
        meanwhile = asyncio.create_task(_content(source, second))
        for _ in (before, meanwhile):
            assert await asyncio.to_thread(server.refused.acquire, timeout=30)
        server.given.set()
        assert await before == MODEL[first.path]
        assert await meanwhile == MODEL[second.path]
        await source.close()


async def _content(source: OciSource, file: RemoteFile) -> bytes:
    return b"".join([chunk async for chunk in source.read(file, 0, file.size)])
