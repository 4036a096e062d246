"""Imports from an HTTPS file server."""

import hashlib
import json

from tests.importer import models
from tests.importer.harness import Importer
from tests.importer.webserver import Fault, FileServer

MODEL = models.model()
SHARD = "model-00001-of-00002.safetensors"


def put(server: FileServer, files: dict[str, bytes], folder: str = "m") -> str:
    """Store a model with its manifest; the URI to import it from."""
    server.files |= {f"{folder}/{path}": data for path, data in files.items()}
    server.files[f"{folder}/sovereign.manifest.json"] = models.manifest(files)
    return f"{server.url}/{folder}"


def test_a_directory_with_a_manifest(web: FileServer, importer: Importer) -> None:
    outcome = importer.run("--source", put(web, MODEL), "--digest", models.digest(MODEL))
    assert outcome.code == 0
    assert importer.published() == MODEL
    assert importer.leftovers() == []
    message = outcome.message
    assert message["seconds"] > 0
    assert message["bytesPerSecond"] > 0
    assert {key: message[key] for key in ("result", "digest", "bytes", "files")} == {
        "result": "Imported",
        "digest": models.digest(MODEL),
        "bytes": sum(map(len, MODEL.values())),
        "files": len(MODEL),
    }
    assert message["architecture"] == {
        "architecture": "MistralForCausalLM",
        "layers": 2,
        "hiddenSize": 64,
        "attentionHeads": 4,
        "kvHeads": 2,
        "headDim": 16,
        "dtype": "bfloat16",
        "vocabSize": 320,
        "maxPositionEmbeddings": 4096,
        "weightsBytes": 304_000,
    }


def test_large_files_come_in_parts_and_small_ones_in_one_request(web: FileServer, importer: Importer) -> None:
    assert importer.run("--source", put(web, MODEL)).code == 0
    size, part = len(MODEL[SHARD]), 64 << 10
    expected = [(start, min(start + part, size)) for start in range(0, size, part)]
    assert set(web.ranges(f"m/{SHARD}")) == set(expected)
    assert len(web.ranges(f"m/{SHARD}")) == len(expected)
    assert web.ranges("m/config.json") == [None]


def test_configuration_comes_before_weights(web: FileServer, importer: Importer) -> None:
    assert importer.run("--source", put(web, MODEL)).code == 0
    order = [request.path.endswith(".safetensors") for request in web.seen]
    assert order == sorted(order)


def test_published_already_needs_no_network(web: FileServer, importer: Importer) -> None:
    source, digest = put(web, MODEL), models.digest(MODEL)
    first = importer.run("--source", source, "--digest", digest)
    web.seen.clear()
    for flags in ([], ["--verify"]):
        again = importer.run("--source", source, "--digest", digest, *flags)
        assert again.code == 0
        assert again.message["architecture"] == first.message["architecture"]
    assert web.seen == []


def test_a_damaged_published_model_is_imported_again(web: FileServer, importer: Importer) -> None:
    source, digest = put(web, MODEL), models.digest(MODEL)
    assert importer.run("--source", source, "--digest", digest).code == 0
    shard = importer.volume / digest.replace(":", "-") / SHARD
    shard.chmod(0o644)
    shard.write_bytes(models.noise(len(MODEL[SHARD]), 99))
    assert importer.run("--source", source, "--digest", digest, "--verify").code == 0
    assert importer.published() == MODEL
    assert importer.leftovers() == []


def test_a_manifest_may_be_formatted_in_any_way(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    document = json.loads(models.manifest(MODEL))
    document["files"].reverse()
    web.files["m/sovereign.manifest.json"] = json.dumps(document, indent=2).encode()
    assert importer.run("--source", f"{source}/sovereign.manifest.json", "--digest", models.digest(MODEL)).code == 0


def test_a_single_file(web: FileServer, importer: Importer) -> None:
    web.files["x/tiny%20one.gguf"] = models.gguf()
    web.files["x/tiny one.gguf"] = models.gguf()
    expected = {"tiny one.gguf": models.gguf()}
    outcome = importer.run("--source", f"{web.url}/x/tiny%20one.gguf", "--format", "gguf")
    assert outcome.code == 0
    assert importer.published() == expected
    assert outcome.message["digest"] == models.digest(expected)
    assert outcome.message["architecture"] == {
        "architecture": "llama",
        "layers": 22,
        "hiddenSize": 2048,
        "attentionHeads": 32,
        "kvHeads": 4,
        "headDim": 64,
        "dtype": "Q4_K_M",
        "quantization": "Q4_K_M",
        "vocabSize": 3,
        "maxPositionEmbeddings": 2048,
        "weightsBytes": 2000,
    }


def test_a_directory_without_a_manifest(web: FileServer, importer: Importer) -> None:
    outcome = importer.run("--source", f"{web.url}/nothing")
    assert outcome.reason == "ManifestRequired"
    assert not outcome.message["retryable"]


def test_another_manifest_than_the_digest_says(web: FileServer, importer: Importer) -> None:
    outcome = importer.run("--source", put(web, MODEL), "--digest", "sha256:" + "0" * 64)
    assert outcome.reason == "DigestMismatch"
    assert models.digest(MODEL) in outcome.message["message"]
    assert [request.path for request in web.seen] == ["m/sovereign.manifest.json"]


def test_bearer_token(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.authorization = "Bearer a-token-of-some-length"
    importer.secret["token"] = "a-token-of-some-length"
    assert importer.run("--source", source).code == 0
    importer.secret["token"] = "another-token-of-some-length"
    outcome = importer.run("--source", source)
    assert outcome.reason == "AccessDenied"
    assert outcome.code == 3


def test_user_name_and_password(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.authorization = "Basic cHVsbGVyOnBhc3N3b3JkLTEyMw=="
    assert importer.run("--source", source).reason == "AccessDenied"
    importer.secret |= {"username": "puller", "password": "password-123"}
    importer.private.add("cHVsbGVyOnBhc3N3b3JkLTEyMw==")
    assert importer.run("--source", source).code == 0


def test_credentials_in_the_uri_are_refused_and_not_repeated(web: FileServer, importer: Importer) -> None:
    importer.private.add("hunter2-hunter2")
    outcome = importer.run("--source", f"https://user:hunter2-hunter2@127.0.0.1:{web.port}/m")
    assert outcome.reason == "SourceInvalid"


def test_a_server_that_nobody_vouches_for(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    importer.secret["ca.crt"] = ""
    outcome = importer.run("--source", source)
    assert outcome.reason == "SourceUnreachable"
    assert not outcome.message["retryable"]
    assert "ca.crt" in outcome.message["message"]


def test_plain_http_only_when_allowed(importer: Importer) -> None:
    with FileServer(None) as server:
        source = put(server, MODEL)
        assert importer.run("--source", source).reason == "SourceInvalid"
        assert server.seen == []
        assert importer.run("--source", source, "--allow-insecure").code == 0


def test_redirects_keep_to_tls_and_credentials_at_home(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    importer.secret["token"] = "a-token-of-some-length"
    web.files["elsewhere"] = MODEL["config.json"]
    web.faults["m/config.json"] = Fault(location=f"https://localhost:{web.port}/elsewhere")
    assert importer.run("--source", source).code == 0
    assert {request.path: request.authorization for request in web.seen}["elsewhere"] is None
    web.faults["m/config.json"].location = f"http://127.0.0.1:{web.port}/elsewhere"
    outcome = importer.run("--source", put(web, MODEL | {"LICENSE": b"other"}))
    assert outcome.reason == "SourceInvalid"
    assert "TLS" in outcome.message["message"]


def test_settings_come_from_the_environment_too(web: FileServer, importer: Importer) -> None:
    digest = "sha256:" + hashlib.sha256(models.manifest(MODEL)).hexdigest()
    environment = {"SOURCE": put(web, MODEL), "DIGEST": digest, "PART_SIZE": "128Ki", "CLEAN": "true"}
    assert importer.run(env={f"SOVEREIGN_IMPORT_{key}": value for key, value in environment.items()}).code == 0
    assert (0, 128 << 10) in web.ranges(f"m/{SHARD}")
