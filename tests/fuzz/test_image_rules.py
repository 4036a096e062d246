"""Row 15: the API server and the planning core give one answer about an image."""

from collections.abc import Iterator

import pytest

from sovereign.plan import images
from sovereign.plan.pod_rules import pod_rules
from tests.fuzz.references import REGISTRIES, reference
from tests.fuzz.totals import Effort, tried
from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL
from tests.integration.enforcement import container, eventually, pod
from tests.plan.policy.build import policy

pytestmark = pytest.mark.integration

_API = "/apis/admissionregistration.k8s.io/v1"
_BATCH = 100
_EACH = "variables.images.all(i, "


@pytest.fixture
def judge(api: Api, namespace: str) -> Iterator[str]:
    """The rules about images, turned so that the answer tells what each says of each image: 1 for lawful, 0 for not."""
    rules = pod_rules(policy(images={"registries": [*REGISTRIES]}))
    conditions = [rule.expression.text for rule in rules.validations if rule.expression.text.startswith(_EACH)]
    assert len(conditions) == 3
    answers = [
        f"variables.images.map(i, ({text.removeprefix(_EACH)[:-1]}) ? '1' : '0').join('')" for text in conditions
    ]
    spec = {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
            "namespaceSelector": {"matchLabels": {TEST_LABEL: namespace}},
        },
        "variables": [{"name": name, "expression": expression.text} for name, expression in rules.variables],
        "validations": [
            {
                "expression": "false",
                "message": "not computed",
                "messageExpression": " + ' ' + ".join(["'judged:'", *answers]),
            }
        ],
    }
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    for kind, plural, content in (
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", spec),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding),
    ):
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": namespace},
            "spec": content,
        }
        answer = api.request("POST", f"{_API}/{plural}", body)
        assert answer.ok, answer.message
    eventually(lambda: _ask(api, namespace, ["x"]), lambda answer: "judged: " in answer.message)
    yield namespace
    api.request("DELETE", f"{_API}/validatingadmissionpolicybindings/{namespace}")
    api.request("DELETE", f"{_API}/validatingadmissionpolicies/{namespace}")


def test_rules_and_core_agree_about_every_image(api: Api, judge: str, effort: Effort) -> None:
    """Row 15: what RE2 and CEL say of a reference is what the planning core says."""
    for _ in range(effort.of(6, 300)):
        asked = [text for text in (reference(effort.random) for _ in range(_BATCH)) if text.strip() == text != ""]
        answer = _ask(api, judge, asked)
        assert "judged: " in answer.message, answer.message
        full, inside, pinned = answer.message.rpartition("judged: ")[2].split()
        for index, image in enumerate(asked):
            said = (full[index] == "1", full[index] == inside[index] == "1", full[index] == pinned[index] == "1")
            assert said == (images.well_formed(image), images.within(image, REGISTRIES), images.pinned(image)), image
        tried("references: judged by the API server", len(asked))


def _ask(api: Api, namespace: str, asked: list[str]) -> Answer:
    tried("requests to the API server")
    containers = [container(image, f"c{index}") for index, image in enumerate(asked)]
    return api.create(pod(namespace, containers=containers), dry_run=True)
