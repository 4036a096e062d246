"""Row 24: what a user wrote becomes a literal of CEL that the real API server reads as what was written."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from sovereign.plan.cel import quote
from tests.fuzz.totals import Effort, tried
from tests.fuzz.values import HOSTILE
from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL
from tests.integration.enforcement import eventually

pytestmark = pytest.mark.integration

_API = "/apis/admissionregistration.k8s.io/v1"
_KINDS = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
_BATCH = 250
_RANGES = ((0x20, 0x7E), (0, 0x1F), (0x7F, 0xFF), (0x100, 0x2FFF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
"""All of Unicode but halves of surrogate pairs, the likely ones first."""
_PIECES = (
    "'",
    '"',
    "\\",
    "\\'",
    "\\u0027",
    "\n",
    "\r",
    "{{",
    "}}",
    "${",
    "$(VAR)",
    "'''",
    "//",
    "\u2028",
    "' + '",
    "b'",
)


@pytest.fixture
def names(api: Api, namespace: str) -> Iterator[list[str]]:
    """Names of admission policies that are removed afterwards."""
    made: list[str] = []
    yield made
    for name in made:
        for kind in _KINDS:
            api.request("DELETE", f"{_API}/{kind}/{name}")


def test_any_text_reads_back_as_itself(api: Api, namespace: str, names: list[str], effort: Effort) -> None:
    """Row 24: hundreds of strings, each compared by the API server with what a ConfigMap holds."""
    for batch in range(effort.of(1, 20)):
        texts = [*HOSTILE, *(_text(effort.random) for _ in range(_BATCH))][:_BATCH]
        names.append(f"{namespace}-{batch}")
        _guard(api, namespace, names[-1], texts)
        eventually(lambda texts=texts: _ask(api, namespace, [text + "'" for text in texts]), _refused_at(0))
        answer = _ask(api, namespace, texts)
        assert answer.ok, answer.message
        for index in (effort.random.randrange(_BATCH) for _ in range(5)):
            changed = [text + " " * (place == index) for place, text in enumerate(texts)]
            assert _refused_at(index)(_ask(api, namespace, changed))
        tried("quoted texts that the API server read", len(texts))
        for kind in _KINDS:
            api.request("DELETE", f"{_API}/{kind}/{names[-1]}")
        eventually(lambda texts=texts: _ask(api, namespace, [text + "'" for text in texts]), lambda answer: answer.ok)


def _text(random: Random) -> str:
    parts = []
    for _ in range(random.choice((0, 1, 2, 5, 10, 40))):
        if random.random() < 0.3:
            parts.append(random.choice(_PIECES))
        else:
            parts.append(chr(random.randint(*random.choice(_RANGES))))
    return "".join(parts)


def _guard(api: Api, namespace: str, name: str, texts: list[str]) -> None:
    """A policy that refuses ConfigMaps that hold anything but ``texts``; each of its messages is an index."""
    validations = [
        {"expression": f"object.data.k{index} == {quote(text).text}", "message": f"text {index}."}
        for index, text in enumerate(texts)
    ]
    resource = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    constraints = {"resourceRules": [resource], "namespaceSelector": {"matchLabels": {TEST_LABEL: namespace}}}
    condition = {"name": "texts", "expression": "object.metadata.name == 'texts'"}
    policy = {"matchConstraints": constraints, "matchConditions": [condition], "validations": validations}
    for kind, plural, spec in (
        ("ValidatingAdmissionPolicy", _KINDS[0], policy),
        ("ValidatingAdmissionPolicyBinding", _KINDS[1], {"policyName": name, "validationActions": ["Deny"]}),
    ):
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        answer = api.request("POST", f"{_API}/{plural}", body)
        assert answer.ok, answer.message


def _ask(api: Api, namespace: str, texts: list[str]) -> Answer:
    tried("requests to the API server")
    data: dict[str, Any] = {f"k{index}": text for index, text in enumerate(texts)}
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "texts", "namespace": namespace},
        "data": data,
    }
    return api.create(body, dry_run=True)


def _refused_at(index: int) -> Any:
    return lambda answer: f"text {index}." in answer.message
