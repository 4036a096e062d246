"""Row 24, row 25: whatever policy the API server takes compiles to rules that it takes too, up to the largest."""

import string
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.kinds import POLICY
from sovereign.api.meta import API_VERSION, FACT_JURISDICTION
from sovereign.plan.inventory import Manifest, Node, Policy, Settings
from sovereign.plan.jurisdictions import KNOWN
from sovereign.plan.policy import PolicyPlan, plan_policy
from tests.fuzz.planning import understood
from tests.fuzz.schemas import specs
from tests.fuzz.totals import costly, tried
from tests.integration.api import Answer, Api, address
from tests.integration.enforcement import settings as served

pytestmark = pytest.mark.integration

_LETTERS = string.ascii_lowercase + string.digits


def _ask(api: Api, manifest: Manifest) -> Answer:
    tried("requests to the API server")
    return api.create(manifest, dry_run=True)


def _manifest(name: str, spec: dict[str, Any]) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": "SovereigntyPolicy", "metadata": {"name": name}, "spec": spec}


def _plan(body: Manifest, using: Settings, nodes: int = 3) -> PolicyPlan:
    item = understood(body)
    assert item.spec is not None, item.problem
    country = next(iter({*item.spec.placement.jurisdictions} & KNOWN), "FR")
    known = [Node(f"node-{index}.example.eu", labels={FACT_JURISDICTION: country}) for index in range(nodes)]
    policy = Policy(item.owner, item.spec)
    return plan_policy(policy, known, {"team": {"tier": "restricted"}}, [policy], using)


def _compiles(api: Api, plan: PolicyPlan) -> None:
    """Every object of ``plan`` is taken by the API server, which compiles it."""
    for manifest in [*plan.admission, *plan.network]:
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = "default"
        tried("requests to the API server")
        answer = api.apply(manifest, dryRun="All")
        assert answer.ok, f"{manifest['metadata']['name']}: {answer.message[:2000]}"


@pytest.fixture(scope="module")
def using(api: Api) -> Settings:
    """What the API server serves."""
    return served(api)


@costly(15, 100)
@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True), specs(POLICY.kind))
def test_a_policy_that_is_taken_compiles(api: Api, using: Settings, name: str, spec: dict[str, Any]) -> None:
    """Row 24: every string of a policy that the CRD lets through is harmless in the rules."""
    answer = _ask(api, _manifest(name, spec))
    if not answer.ok:
        assert answer.code == 422, answer.message
        tried("policies: refused by the API server")
        return
    tried("policies: compiled")
    _compiles(api, _plan(answer.body, using))


# --- the largest --------------------------------------------------------------------------------------


def _long(index: int, length: int) -> str:
    """A name of lower-case letters and digits, of just this length, another for each index."""
    return (f"{index:03d}" + _LETTERS * 20)[:length]


def _domain(index: int, length: int) -> str:
    """A DNS name of just this length."""
    rest = ".".join([_long(index, 60)] * 5)[: length - 4].rstrip(".")
    return f"{rest}{'a' * (length - 4 - len(rest))}.eu0"[:length]


def _selector() -> dict[str, Any]:
    keys = [f"{_domain(index, 253)}/{_long(index, 63)}" for index in range(16)]
    values = [_long(index, 63) for index in range(64)]
    return {
        "matchLabels": {key: _long(7, 63) for key in keys},
        "matchExpressions": [{"key": key, "operator": "NotIn", "values": values} for key in keys],
    }


def _grants(*, together: bool) -> list[dict[str, Any]]:
    """32 networks with 32 ports each, the same ones or, so that no two share all theirs, others."""
    return [
        {
            "cidr": f"fd00:1234:5678:9abc:def0:1234:{4096 + 2 * index:x}:0/112",
            "ports": [60000 + place + (0 if together else 31 * index) for place in range(32)],
        }
        for index in range(32)
    ]


def _halves() -> list[dict[str, Any]]:
    """Networks that add up otherwise for each port, so that their normal form is as long as can be."""
    return [
        {
            "cidr": f"10.{index}.0.0/16",
            "ports": [1000 + place for place in range(32) if (index >> place % 5) & 1 or place == index],
        }
        for index in range(32)
    ]


def _largest(**network: Any) -> dict[str, Any]:
    codes = sorted(KNOWN)[:64]
    return {
        "namespaceSelector": _selector(),
        "onViolation": {"action": "ScaleToZero", "gracePeriod": "999999s", "maxConcurrent": 1000},
        "placement": {
            "jurisdictions": codes,
            "regions": [_long(index, 63) for index in range(64)],
            "providers": [_long(index, 63) for index in range(64)],
            "nodeSelector": {
                f"{_domain(index, 222)}.node-restriction.kubernetes.io/{_long(index, 63)}": _long(index, 63)
                for index in range(16)
            },
            "dedicated": True,
        },
        "network": {
            "egress": _grants(together=True),
            "importEgress": _grants(together=True),
            "dns": {"resolvers": [f"fd00:1234:5678:9abc:def0:1234:5678:{index:x}/128" for index in range(8)]},
            "ingressNamespaces": _selector(),
            "serviceTypes": ["NodePort", "LoadBalancer"],
        }
        | network,
        "storage": {
            "storageClasses": [_domain(index, 253) for index in range(32)],
            "snapshotClasses": [_domain(index, 253) for index in range(32)],
            "requireTopology": True,
        },
        "images": {"registries": [f"{_domain(index, 200)}/{_long(index, 52)}" for index in range(32)]},
        "models": {
            "sources": [f"oci://{_domain(index, 250)}/{_long(index, 250)}/" for index in range(32)],
            "hubEndpoint": f"https://{_domain(1, 250)}",
            "s3Endpoint": f"https://{_domain(2, 250)}",
        },
        "licenses": {"allow": [f"LicenseRef-{_long(index, 53)}" for index in range(64)]},
    }


@pytest.mark.parametrize(
    "network",
    [{}, {"egress": _grants(together=False)}, {"egress": _halves()}, {"egress": [], "dns": {}}],
    ids=["the same ports", "other ports", "other sums", "no grants"],
)
def test_the_largest_policy_compiles(api: Api, using: Settings, network: dict[str, Any]) -> None:
    """Row 25: every list as long, and every name as long, as the CRD lets them be."""
    answer = _ask(api, _manifest("l" * 50, _largest(**network)))
    assert answer.ok, answer.message[:2000]
    plan = _plan(answer.body, using, nodes=0)
    assert not [verdict for verdict in plan.verdicts if verdict.rule == "network.egress"]
    _compiles(api, plan)


@pytest.fixture
def stored(api: Api) -> Iterator[list[Manifest]]:
    """Objects that are removed afterwards."""
    made: list[Manifest] = []
    yield made
    for manifest in made:
        api.request("DELETE", address(manifest))


def test_the_largest_policy_has_no_type_errors(api: Api, using: Settings, stored: list[Manifest]) -> None:
    """What only the controller finds, which checks expressions against the kinds that they are about."""
    answer = api.create(_manifest("largest", _largest(egress=_halves())))
    assert answer.ok, answer.message[:2000]
    stored.append(answer.body)
    for manifest in _plan(answer.body, using).admission:
        if manifest["kind"] != "ValidatingAdmissionPolicy":
            continue
        applied = api.apply(manifest)
        assert applied.ok, applied.message[:2000]
        stored.append(manifest)
        warnings = _checked(api, manifest).get("expressionWarnings", [])
        assert not warnings, warnings[:3]


def _checked(api: Api, manifest: Manifest) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        status = api.get(address(manifest)).get("status", {})
        if "typeChecking" in status:
            found: dict[str, Any] = status["typeChecking"]
            return found
        assert time.monotonic() < deadline, f"{manifest['metadata']['name']} is not checked"
        time.sleep(0.1)
