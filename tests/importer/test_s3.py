"""Imports from a real S3 service."""

import pytest

from tests.importer import models
from tests.importer.harness import Importer, Outcome
from tests.importer.services import ACCESS_KEY, SECRET_KEY, S3Service

MODEL = models.model()
BUCKET = "weights"


@pytest.fixture
def keys(importer: Importer) -> Importer:
    importer.secret |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return importer


def fetch(importer: Importer, s3: S3Service, prefix: str, *flags: str) -> Outcome:
    uri = f"s3://{BUCKET}/{prefix}"
    return importer.run("--source", uri, "--endpoint", s3.endpoint, "--region", "eu-test-1", *flags)


def test_a_listing(s3: S3Service, keys: Importer) -> None:
    harmless = {".gitattributes": b"x", "docs/picture.png": b"x"}
    s3.put(BUCKET, "listed/model", MODEL | harmless)
    s3.put(BUCKET, "listed/model-two", {"config.json": b"not ours"})
    outcome = fetch(keys, s3, "listed/model", "--digest", models.digest(MODEL))
    assert outcome.code == 0
    assert keys.published() == MODEL


def test_a_manifest(s3: S3Service, keys: Importer) -> None:
    extra = {"pytorch_model.bin": b"not listed, not fetched", "sovereign.manifest.json": models.manifest(MODEL)}
    s3.put(BUCKET, "with-manifest", MODEL | extra)
    assert fetch(keys, s3, "with-manifest/", "--digest", models.digest(MODEL)).code == 0
    assert keys.published() == MODEL


def test_files_that_must_be_excluded(s3: S3Service, keys: Importer) -> None:
    s3.put(BUCKET, "mixed", MODEL | {"original/consolidated.pth": b"pickle"})
    outcome = fetch(keys, s3, "mixed")
    assert outcome.reason == "UnsafeFile"
    assert "original/consolidated.pth" in outcome.message["message"]
    assert "exclude" in outcome.message["message"]
    assert fetch(keys, s3, "mixed", "--exclude", "original/*").code == 0
    assert keys.published() == MODEL


def test_another_model_than_the_digest_says(s3: S3Service, keys: Importer) -> None:
    s3.put(BUCKET, "other", MODEL)
    outcome = fetch(keys, s3, "other", "--digest", "sha256:" + "1" * 64)
    assert outcome.reason == "DigestMismatch"
    assert keys.published() is None


@pytest.mark.parametrize("key", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_a_wrong_key(key: str, s3: S3Service, keys: Importer) -> None:
    s3.put(BUCKET, "locked", MODEL)
    keys.secret[key] = "wrong-key-of-the-test"
    outcome = fetch(keys, s3, "locked")
    assert outcome.reason == "AccessDenied"
    assert outcome.code == 3


def test_no_key_is_an_anonymous_request(s3: S3Service, importer: Importer) -> None:
    s3.put(BUCKET, "private", MODEL)
    outcome = fetch(importer, s3, "private")
    assert outcome.reason == "AccessDenied"


def test_nothing_there(s3: S3Service, keys: Importer) -> None:
    s3.put(BUCKET, "something", MODEL)
    assert fetch(keys, s3, "nothing").reason == "SourceNotFound"
    outcome = keys.run("--source", "s3://no-such-bucket/x", "--endpoint", s3.endpoint, "--region", "eu-test-1")
    assert outcome.reason == "SourceNotFound"


def test_nobody_listens_or_nobody_vouches(s3: S3Service, keys: Importer) -> None:
    outcome = keys.run("--source", "s3://b/x", "--endpoint", "https://127.0.0.1:9")
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 1
    keys.secret["ca.crt"] = ""
    outcome = fetch(keys, s3, "something")
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 3


def test_an_endpoint_or_region_is_required(keys: Importer) -> None:
    assert keys.run("--source", "s3://b/x").reason == "EndpointRequired"
    assert keys.run("--source", "s3://b/x", "--endpoint", "http://127.0.0.1:9").reason == "SourceInvalid"
