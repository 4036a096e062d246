"""What is printed: no secrets, no more than fits."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.importer import report
from sovereign.importer.credentials import Credentials, Login
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.redaction import Redactor
from sovereign.importer.retry import Backoff
from sovereign.importer.sources.http import failure_of


@given(st.text(max_size=6000))
def test_a_termination_message_always_fits_and_parses(message: str) -> None:
    failure = ImportFailure(Reason.SOURCE_INVALID, message.encode(errors="replace").decode())
    data = report.encode(report.failed(failure, 7))
    assert len(data) <= report.LIMIT
    document = json.loads(data)
    assert document["reason"] == "SourceInvalid"
    assert document["message"][:10] == failure.message[:10]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get s3cr3t/+key now", "get *** now"),
        ("get s3cr3t%2F%2Bkey now", "get *** now"),
        ("czNjcjN0Lytr", "czNjcjN0Lytr"),
        ("https://me:pass@host/x", "https://***@host/x"),
        ("GET https://host/x?X-Amz-Signature=1&b=2 failed", "GET https://host/x?*** failed"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("a bearer of news", "a bearer of news"),
        ("nothing to hide: is it?", "nothing to hide: is it?"),
    ],
)
def test_redaction(text: str, expected: str) -> None:
    assert Redactor(["s3cr3t/+key", "abc"])(text) == expected


def test_every_value_of_a_secret_is_secret(tmp_path: Path) -> None:
    docker = {"auths": {"registry.example:5000": {"auth": "dXNlcjpkb2NrZXItcGFzc3dvcmQ="}}}
    values = {
        "AWS_SECRET_ACCESS_KEY": "aws-secret",
        "HF_TOKEN": "hf-token",
        "username": "user",
        "password": "plain-password",
        ".dockerconfigjson": json.dumps(docker),
        "ca.crt": "PEM",
    }
    for key, value in values.items():
        (tmp_path / key).write_text(value + "\n")
    found = Credentials.load(tmp_path)
    assert {"aws-secret", "hf-token", "plain-password", "docker-password"} <= found.secrets()
    assert {"dXNlcjpkb2NrZXItcGFzc3dvcmQ=", "user:plain-password"} <= found.secrets()
    assert not {"PEM", "user"} & found.secrets()
    assert "secret" not in repr(found)
    assert "password" not in repr(Login("user", "password")).replace("password=", "")


def test_docker_logins_are_found_by_host(tmp_path: Path) -> None:
    auths = {"https://registry.example:5000/v2/": {"username": "u", "password": "p"}, "other": {"auth": "dTI6cDI="}}
    (tmp_path / ".dockerconfigjson").write_text(json.dumps({"auths": auths}))
    found = Credentials.load(tmp_path)
    assert found.login_for("registry.example:5000") == Login("u", "p")
    assert found.login_for("other") == Login("u2", "p2")
    assert found.login_for("registry.example") is None


@pytest.mark.parametrize("content", ["{", "{}", '{"auths": {"h": {"auth": "%"}}}', '{"auths": []}'])
def test_a_broken_docker_login(content: str, tmp_path: Path) -> None:
    (tmp_path / ".dockerconfigjson").write_text(content)
    with pytest.raises(ImportFailure) as failure:
        Credentials.load(tmp_path).login_for("h")
    assert failure.value.reason is Reason.ACCESS_DENIED
    assert Credentials.load(tmp_path).secrets()


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), (None, None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_the_wait_a_server_asks_for(header: str | None, seconds: float | None) -> None:
    assert failure_of(429, "x", retry_after=header).retry_after == seconds


@given(st.integers(1, 400), st.one_of(st.none(), st.floats(0, 1e6)))
def test_waits_are_bounded(failures: int, asked: float | None) -> None:
    backoff = Backoff(delay=0.5, ceiling=60)
    wait = backoff.wait(failures, asked)
    assert min(asked or 0, 60) <= wait <= 60
    assert wait >= 0.25
