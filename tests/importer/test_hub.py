"""Imports from a hub-compatible server, through the real hub client."""

import pytest

from tests.importer import models
from tests.importer.harness import Importer
from tests.importer.webserver import Fault, HubServer

MODEL = models.model()
SHARD = "model-00001-of-00002.safetensors"
TOKEN = "hf_token-of-the-test-run"


def test_a_repository(hub: HubServer, importer: Importer) -> None:
    hub.files |= MODEL | {".gitattributes": b"x", "picture.png": b"x"}
    hub.authorization, importer.secret["HF_TOKEN"] = f"Bearer {TOKEN}", TOKEN
    importer.private.add(hub.signature)
    outcome = importer.run("--source", "hf://org/model", "--endpoint", hub.url, "--digest", models.digest(MODEL))
    assert outcome.code == 0
    assert importer.published() == MODEL
    stored = [request for request in hub.seen if request.path == SHARD]
    assert len(stored) == 5
    assert {request.host for request in stored} == {f"localhost:{hub.port}"}
    assert {request.authorization for request in stored} == {None}


def test_a_repository_with_a_manifest_at_a_commit(hub: HubServer, importer: Importer) -> None:
    hub.files |= MODEL | {"sovereign.manifest.json": models.manifest(MODEL), "modeling.py": b"not listed"}
    flags = ("--endpoint", hub.url, "--revision", hub.commit, "--digest", models.digest(MODEL))
    assert importer.run("--source", "hf://org/model", *flags).code == 0
    assert importer.published() == MODEL


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--source", "hf://org/model", "--revision", "no-such"), "SourceNotFound"),
        (("--source", "hf://org/other"), "SourceNotFound"),
        (("--source", "hf://a/b/c"), "SourceInvalid"),
    ],
)
def test_what_is_not_there(flags: tuple[str, ...], reason: str, hub: HubServer, importer: Importer) -> None:
    hub.files |= MODEL
    outcome = importer.run(*flags, "--endpoint", hub.url)
    assert outcome.reason == reason
    assert outcome.code == 3


def test_a_wrong_token(hub: HubServer, importer: Importer) -> None:
    hub.files |= MODEL
    hub.authorization, importer.secret["HF_TOKEN"] = f"Bearer {TOKEN}", "hf_wrong-token"
    outcome = importer.run("--source", "hf://org/model", "--endpoint", hub.url)
    assert outcome.reason == "AccessDenied"
    assert outcome.code == 3


def test_messages_never_repeat_the_signed_urls_of_a_store(hub: HubServer, importer: Importer) -> None:
    hub.files |= MODEL
    hub.faults[SHARD] = Fault(status=500)
    importer.private |= {hub.signature, "c2lnbmF0dXJl"}
    outcome = importer.run("--source", "hf://org/model", "--endpoint", hub.url)
    assert outcome.reason == "SourceUnreachable"
    assert SHARD in outcome.message["message"]


def test_there_is_no_default_endpoint(importer: Importer) -> None:
    outcome = importer.run("--source", "hf://org/model")
    assert outcome.reason == "EndpointRequired"
    assert outcome.code == 3
