"""The checks of ``kubectl sovereign doctor``, one function each. They only read."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from sovereign.api.conditions import ENFORCED, NETWORK_ENFORCED, Reason
from sovereign.api.crd import definition
from sovereign.api.kinds import KINDS, Kind
from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION, GROUP, LABEL_MANAGED_BY, MANAGED_BY
from sovereign.cli import live
from sovereign.cli.answers import Answer
from sovereign.cli.cluster import every
from sovereign.cli.failure import CommandFailed
from sovereign.cli.snapshot import Snapshot
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.lease import DURATION, Timing
from sovereign.cluster.resources import BY_KIND, LEASES, MUTATING
from sovereign.cluster.status import by_type
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.placement import contradiction
from sovereign.plan.policy import PolicyPlan, plan_policy

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
OLDEST: Final = (1, 31)
"""The API server that our CEL rules need (facts: quantity() and cidr() in CRDs)."""
_NAMES_SHOWN: Final = 5


class Check(Answer, frozen=True):
    """What a check found."""

    check: str
    state: str
    """ok, warn or fail."""
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Cluster:
    """What is examined."""

    client: Client
    operator_namespace: str
    lease: str


# --- before anything of ours ----------------------------------------------------------------------------


async def server_version(cluster: Cluster) -> Iterable[Check]:
    """Whether the API server is new enough."""
    version = await cluster.client.get("/version")
    found = tuple(int(re.sub(r"\D", "", version[part]) or 0) for part in ("major", "minor"))
    text = f"the API server is {version['gitVersion']}"
    if found >= OLDEST:
        return [Check("api server", OK, text)]
    oldest = ".".join(map(str, OLDEST))
    return [Check("api server", FAIL, text, f"upgrade the control plane to {oldest} or later")]


async def admission_kinds(cluster: Cluster) -> Iterable[Check]:
    """Whether policies can be enforced in the API server."""
    served = {resource["kind"] for resource in (await cluster.client.get(f"{_ADMISSION}"))["resources"]}
    name = "admission policies"
    if "ValidatingAdmissionPolicy" not in served:
        yes = "enable ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1): without it nothing is enforced"
        return [Check(name, FAIL, "ValidatingAdmissionPolicy is not served", yes)]
    if not served.issuperset(MUTATING):
        message = "ValidatingAdmissionPolicy is served, MutatingAdmissionPolicy (from 1.36) is not"
        advice = "pods that people make by hand must select approved nodes themselves, or are refused"
        return [Check(name, WARN, message, advice)]
    return [Check(name, OK, "ValidatingAdmissionPolicy and MutatingAdmissionPolicy are served")]


_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"


# --- the installation -----------------------------------------------------------------------------------


async def kinds(cluster: Cluster) -> Iterable[Check]:
    """Whether the CRDs are installed, and are those of this version."""
    return await asyncio.gather(*(_kind(cluster, kind) for kind in KINDS))


async def _kind(cluster: Cluster, kind: Kind) -> Check:
    name, crd = f"crd {kind.plural}", f"{kind.plural}.{GROUP}"
    try:
        found = await cluster.client.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}")
    except ApiError as error:
        if not error.not_found:
            raise
        return Check(name, FAIL, "is not installed", "install the chart, or kubectl apply -f crds/")
    established = any(
        entry["type"] == "Established" and entry["status"] == "True"
        for entry in found.get("status", {}).get("conditions", ())
    )
    if not established:
        return Check(name, FAIL, "is not established", f"kubectl describe crd {crd} says why")
    wanted = definition(kind)["spec"]["versions"][0]
    versions = {version["name"]: version for version in found["spec"]["versions"]}
    if versions.get(wanted["name"], {}).get("schema") != wanted["schema"]:
        advice = "fields may be dropped without a word; upgrade the chart, or use the kubectl-sovereign of its version"
        return Check(name, FAIL, "has another schema than this version's", advice)
    return Check(name, OK, "is installed, with this version's schema")


async def operator_lease(cluster: Cluster) -> Iterable[Check]:
    """Whether an operator is at work: its Lease is renewed."""
    where = f"Lease {cluster.lease} in namespace {cluster.operator_namespace}"
    start = "kubectl get pods -n " + cluster.operator_namespace + " shows whether it runs; what is enforced stays so"
    try:
        spec = await _lease(cluster)
    except ApiError as error:
        if not error.not_found:
            raise
        return [
            Check("operator", FAIL, f"there is no {where}", start + "; --operator-namespace and --lease name others")
        ]
    holder = spec.get("holderIdentity") or ""
    if not holder:
        return [Check("operator", FAIL, f"nobody holds {where}", start)]
    if _fresh(spec) or await _renewed(cluster, spec):
        return [Check("operator", OK, f"{holder} is at work")]
    return [Check("operator", FAIL, f"{holder} has not renewed {where} since {spec.get('renewTime')}", start)]


async def _lease(cluster: Cluster) -> dict[str, Any]:
    lease = await cluster.client.get(LEASES.path(cluster.operator_namespace, cluster.lease))
    return lease.get("spec") or {}


def _fresh(spec: dict[str, Any]) -> bool:
    renewed = datetime.fromisoformat(str(spec.get("renewTime") or "1970-01-01T00:00:00Z"))
    age = (datetime.now(UTC) - renewed).total_seconds()
    return abs(age) <= float(spec.get("leaseDurationSeconds") or DURATION)


async def _renewed(cluster: Cluster, before: dict[str, Any]) -> bool:
    """Whether the lease is renewed while we look: clocks may differ, and only the API server's says when."""
    for _ in range(3):
        await asyncio.sleep(Timing.of(DURATION).retry)
        if (await _lease(cluster)).get("renewTime") != before.get("renewTime"):
            return True
    return False


# --- nodes and policies ---------------------------------------------------------------------------------


def node_facts(snapshot: Snapshot) -> Iterator[Check]:
    """Whether it is known where nodes are, and nothing contradicts it."""
    nodes = snapshot.nodes or []
    without = [node.name for node in nodes if not node.jurisdiction]
    if without:
        message = (
            f"{len(without)} of {len(nodes)} nodes have no jurisdiction, so no policy approves them: {_some(without)}"
        )
        advice = f"where you vouch for it: kubectl label node NODE {FACT_JURISDICTION}=FR {FACT_REGION}=fr-par"
        yield Check("node facts", WARN, message, advice)
    else:
        yield Check("node facts", OK, f"all {len(nodes)} nodes have a jurisdiction")
    for node in nodes:
        if message := contradiction(node):
            yield Check("node facts", WARN, f"node {node.name}: {message}", f"reason {Reason.NODE_FACT_MISMATCH}")


def policies(snapshot: Snapshot) -> Iterator[Check]:
    """Whether there are policies, all understood and in force."""
    for (kind, _, name), problem in sorted(snapshot.invalid.items()):
        advice = "mend the object; until then what was understood last stays in force"
        yield Check(f"{kind} {name}", FAIL, f"cannot be understood: {problem}", advice)
    if not snapshot.policies:
        message = "there is no SovereigntyPolicy, so nothing is enforced and no pool may run"
        yield Check("policies", WARN, message, "write one; manifests/samples/policy-eu.yaml is an example")
    for policy in sorted(snapshot.policies, key=lambda policy: policy.name):
        yield _enforced(policy, snapshot.statuses.get(("SovereigntyPolicy", "", policy.name), {}))


def _enforced(policy: Policy, status: dict[str, Any]) -> Check:
    name = f"policy {policy.name}"
    condition = by_type(status).get(ENFORCED)
    if condition is None:
        return Check(name, FAIL, "the operator has not looked at it yet", "see the check of the operator")
    if condition["status"] == "True" and status.get("observedGeneration", 0) < policy.owner.generation:
        return Check(
            name, FAIL, "was changed, and what is in force is what it said before", "see the check of the operator"
        )
    if condition["status"] == "True":
        return Check(name, OK, "is in force")
    state = WARN if condition["reason"] == Reason.AUDIT_ONLY else FAIL
    return Check(
        name, state, f"Enforced={condition['status']}: {condition['message']}", f"reason {condition['reason']}"
    )


async def enforcement(cluster: Cluster, snapshot: Snapshot) -> Iterable[Check]:
    """Whether the labels on nodes and the admission objects are those that the policies come to."""
    served = {resource["kind"] for resource in (await cluster.client.get(_ADMISSION))["resources"]}
    settings = msgspec.structs.replace(
        snapshot.settings,
        operator_namespace=cluster.operator_namespace,
        mutating_admission=served.issuperset(MUTATING),
    )
    checks: list[Check] = []
    there = await _admission_objects(cluster, settings)
    for policy in sorted(snapshot.policies, key=lambda policy: policy.name):
        plan = plan_policy(policy, snapshot.nodes or (), snapshot.namespaces, snapshot.policies, settings)
        checks += [_labels(policy, plan), _objects(policy, plan, there)]
    return checks


def _labels(policy: Policy, plan: PolicyPlan) -> Check:
    name, key = f"labels of policy {policy.name}", plan.node_label
    wrong = [f"{node} lacks it" for node in plan.to_label] + [f"{node} has it unlawfully" for node in plan.to_unlabel]
    if not wrong:
        return Check(name, OK, f"{len(plan.approved)} approved nodes carry the label, the others do not")
    advice = "the operator puts this right within seconds; if it stays, its log says why"
    return Check(name, FAIL, f"label {key} is wrong: {_some(wrong)}", advice)


def _objects(policy: Policy, plan: PolicyPlan, there: set[tuple[str, str]]) -> Check:
    name = f"rules of policy {policy.name}"
    wanted = [(item["kind"], item["metadata"]["name"]) for item in plan.admission]
    missing = [" ".join(item) for item in wanted if item not in there]
    if missing:
        advice = "the operator puts this right within seconds; if it stays, its log says why"
        return Check(name, FAIL, f"not in the API server: {_some(missing)}", advice)
    counts = Counter(kind for kind, _ in wanted)
    return Check(name, OK, ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) + " are there")


async def _admission_objects(cluster: Cluster, settings: Settings) -> set[tuple[str, str]]:
    kinds = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    kinds += MUTATING if settings.mutating_admission else ()
    lists = await asyncio.gather(*(every(cluster.client, BY_KIND[kind]) for kind in kinds))
    return {
        (item["kind"], item["metadata"]["name"])
        for items in lists
        for item in items
        if (item["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGED_BY
    }


async def network(cluster: Cluster) -> Iterable[Check]:
    """Whether probes have seen that the network plugin obeys."""
    return [network_of(await every(cluster.client, BY_KIND["InferencePool"]))]


def network_of(pools: Iterable[dict[str, Any]]) -> Check:
    """What the pools' NetworkEnforced comes to: the worst of them, and what nobody has tried is not known."""
    found: dict[str, list[tuple[str, str]]] = {"False": [], "Unknown": [], "True": []}
    for pool in pools:
        for entry in (pool.get("status") or {}).get("conditions") or ():
            if entry["type"] == NETWORK_ENFORCED:
                name = f"{pool['metadata']['namespace']}/{pool['metadata']['name']}"
                found[entry["status"]].append((name, entry["message"]))
    for status, state in (("False", FAIL), ("Unknown", WARN)):
        if found[status]:
            names = _some([name for name, _ in found[status]])
            return Check("network", state, f"NetworkEnforced is {status} of pools {names}", found[status][0][1])
    if found["True"]:
        return Check("network", OK, f"egress of {len(found['True'])} pools was seen to be refused")
    message = "nothing has shown that the cluster's network plugin obeys NetworkPolicy: no pool has been probed"
    return Check("network", WARN, message, "use a plugin that does (Calico, Cilium, ...)")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


# --- all of them ----------------------------------------------------------------------------------------

OF_CLUSTER: Final[tuple[Callable[[Cluster], Awaitable[Iterable[Check]]], ...]] = (
    server_version,
    admission_kinds,
    kinds,
    operator_lease,
)
OF_SNAPSHOT: Final[tuple[Callable[[Snapshot], Iterator[Check]], ...]] = (node_facts, policies)


async def run(cluster: Cluster) -> list[Check]:
    """All checks, in an order in which the first that fails is the one to mend first."""
    results = [check for part in OF_CLUSTER for check in await _attempt(part.__name__, part(cluster))]
    try:
        snapshot = await live.read(cluster.client)
    except CommandFailed as failure:
        return [*results, Check("objects", FAIL, str(failure), "nodes and policies could not be checked")]
    results += [check for part in OF_SNAPSHOT for check in part(snapshot)]
    results += await _attempt("network", network(cluster))
    return results + list(await _attempt("rules", enforcement(cluster, snapshot)))


async def _attempt(name: str, part: Awaitable[Iterable[Check]]) -> Iterable[Check]:
    """The part's checks. What may not be read has failed: an unknown is never shown as a pass."""
    try:
        return await part
    except ApiError as error:
        advice = "ask with an identity that may read it"
        return [Check(name.replace("_", " "), FAIL, f"cannot be checked: {error.message or error}", advice)]
