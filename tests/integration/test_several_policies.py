"""Row 25: policies only tighten. A second one that would widen is tried by a tenant, who cannot make one either."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sovereign.api.meta import API_VERSION
from sovereign.plan.inventory import Manifest
from tests.integration.api import Answer, Api, address
from tests.integration.enforcement import (
    DIGEST,
    IMAGE,
    Enforcement,
    claim,
    container,
    enforce,
    eventually,
    ingress,
    make_policy,
    names,
    network_policy,
    pod,
    service,
    settings,
)

pytestmark = pytest.mark.integration

WIDE = {
    "placement": {"jurisdictions": ["FR", "US"]},
    "images": {"registries": []},
    "storage": {"storageClasses": []},
    "network": {
        "egress": [{"cidr": "10.9.0.0/16", "ports": [443]}],
        "serviceTypes": ["NodePort", "LoadBalancer"],
        "routes": "Allow",
    },
}
ELSEWHERE = f"docker.io/library/nginx{DIGEST}"


@dataclass(frozen=True)
class Both:
    """A namespace with a strict policy and a wide one."""

    strict: Enforcement
    wide: Enforcement
    tenant: Api
    namespace: str


@pytest.fixture
def both(api: Api, namespace: str, tenant: Api) -> Iterator[Both]:
    """The wide one first: what it allows is accepted until the strict one is there."""
    using = settings(api)
    wide = enforce(api, make_policy(api, namespace, f"wide-{namespace}", **WIDE), namespace, using)
    for _, manifest in _widening(namespace):
        answer = tenant.create(manifest, dry_run=True)
        assert answer.ok, answer.message
    strict = enforce(api, make_policy(api, namespace), namespace, using, wait=False)
    yield Both(strict, wide, tenant, namespace)
    strict.remove()
    wide.remove()


def _widening(namespace: str) -> list[tuple[str, Manifest]]:
    """What the wide policy allows and the strict one does not, each with the rules that say so."""
    far = {"to": [{"ipBlock": {"cidr": "10.9.1.0/24"}}], "ports": [{"port": 443}]}
    return [
        ("-nodename", pod(namespace, nodeName="gpu-us-1", containers=[container(IMAGE)])),
        ("-pods", pod(namespace, containers=[container(ELSEWHERE)])),
        ("-storage", claim(namespace, storageClassName="local-us-east")),
        ("-network", network_policy(namespace, egress=[far])),
        ("-services", service(namespace, type="NodePort", selector={"app": "front"})),
        ("-routes", ingress(namespace)),
    ]


def test_row_25_a_second_policy_that_would_widen_widens_nothing(both: Both) -> None:
    for suffix, manifest in _widening(both.namespace):

        def attempt(manifest: Manifest = manifest) -> Answer:
            return both.tenant.create(manifest, dry_run=True)

        answer = eventually(attempt, names(both.strict, suffix))
        assert answer.code == 403, suffix


def test_row_25_a_tenant_makes_changes_and_removes_no_policy(both: Both, api: Api) -> None:
    own = {
        "apiVersion": API_VERSION,
        "kind": "SovereigntyPolicy",
        "metadata": {"name": "own"},
        "spec": {"namespaceSelector": {"matchLabels": {"a": "b"}}, "placement": {"jurisdictions": ["US"]}},
    }
    theirs = f"/apis/{API_VERSION}/sovereigntypolicies/{both.strict.policy.name}"
    for answer in (
        both.tenant.create(own),
        both.tenant.request("PATCH", theirs, {"spec": {"enforcement": "Audit"}}),
        both.tenant.request("DELETE", theirs),
        *(both.tenant.request("DELETE", address(one)) for one in both.strict.plan.admission),
    ):
        assert answer.code == 403, answer.body
        assert "cannot" in answer.message  # by its role
