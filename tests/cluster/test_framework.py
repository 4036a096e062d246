"""What the operator's process loads, and what it leaves out."""

import json
import os
import subprocess
import sys

UNUSED = {"cryptography", "httpx2", "huggingface_hub", "kubernetes", "obstore", "oras", "requests", "rich", "urllib3"}


def run(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_operator_loads_nothing_that_it_does_not_use() -> None:
    code = "import json, sys, sovereign.main; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    loaded = set(json.loads(run(code)))
    assert {"aiohttp", "kopf", "pydantic"} <= loaded
    assert loaded & UNUSED == set()


def test_what_kopf_does_not_get_is_there_for_others() -> None:
    assert (
        run("import sovereign.cluster.framework, kubernetes.client; print(kubernetes.client.V1Pod.__name__)")
        == "V1Pod\n"
    )


def test_what_is_loaded_already_stays() -> None:
    code = "import sys, kubernetes; from sovereign.cluster.framework import kopf; print(sys.modules['kubernetes'] is kubernetes)"
    assert run(code) == "True\n"


def test_no_certificates_are_read_that_no_connection_names() -> None:
    code = """
import gc, os, ssl, sovereign.main
contexts = [one for one in gc.get_objects() if isinstance(one, ssl.SSLContext)]
print(len(contexts) > 0, [one.cert_store_stats()["x509"] for one in contexts if one.cert_store_stats()["x509"]])
print(os.environ.get("SSL_CERT_FILE"))
"""
    assert run(code) == "True []\nNone\n"
