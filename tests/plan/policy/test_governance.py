"""What the policies of a namespace say together."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.schema import LabelSelector
from sovereign.plan.governance import NAMESPACE_NAME, Governance, disjoint, govern
from sovereign.plan.inventory import Settings
from sovereign.plan.verdict import Verdict
from tests.plan.policy.build import DIGEST, TIER, placed, placements, policy

EU = "registry.example.eu/ai"


def both(first: dict, second: dict) -> Governance:
    return Governance((policy("a", **first), policy("b", **second)), "team")


def refused(verdict: Verdict, reason: Reason, *words: str) -> None:
    assert not verdict.ok
    assert verdict.reason is reason
    for word in words:
        assert word in verdict.message


def test_selected_namespaces_are_governed_by_policies_in_order_of_name() -> None:
    labels = {"tier": "restricted"}
    governance = govern("team", labels, [policy("b"), policy("a")], Settings())
    assert governance.names == ("a", "b")
    assert governance.governed
    assert not govern("team", {}, [policy("a")], Settings()).governed


@pytest.mark.parametrize("namespace", ["kube-system", "sovereign-system"])
def test_system_namespaces_are_never_governed(namespace: str) -> None:
    everything = policy(namespaceSelector={"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]})
    assert not govern(namespace, {}, [everything], Settings()).governed
    assert govern("team", {}, [everything], Settings()).governed


def test_a_namespace_may_be_selected_by_the_label_that_the_api_server_sets() -> None:
    named = policy(namespaceSelector={"matchLabels": {NAMESPACE_NAME: "team"}})
    assert govern("team", {}, [named], Settings()).governed
    assert not govern("other", {NAMESPACE_NAME: "team"}, [named], Settings()).governed


def test_one_policy_that_enforces_is_enough() -> None:
    assert both({"enforcement": "Audit"}, {}).enforced
    assert not both({"enforcement": "Audit"}, {"enforcement": "Audit"}).enforced


def test_images() -> None:
    governance = both({"images": {"registries": [EU]}}, {"images": {"registries": ["registry.example.eu"]}})
    assert governance.check_image(f"{EU}/vllm{DIGEST}").ok
    assert governance.check_image(f"{EU}/vllm:v1{DIGEST}").ok
    why = Reason.IMAGE_NOT_ALLOWED
    refused(governance.check_image(f"registry.example.eu/other/vllm{DIGEST}"), why, "policy a", f"copy it to {EU}")
    refused(governance.check_image(f"{EU}x/vllm{DIGEST}"), why, "not in an allowed registry")
    refused(governance.check_image(f"registry.example.eu.evil.org/ai/vllm{DIGEST}"), why, "not in an allowed registry")
    refused(governance.check_image(f"{EU}/vllm:v1"), why, "@sha256:")
    for half in (
        "vllm",
        f"ai/vllm{DIGEST}",
        f"{EU}/../x/vllm{DIGEST}",
        f"{EU}/vllm{DIGEST}\n",
        f"{EU.upper()}/vllm{DIGEST}",
        "",
    ):
        refused(governance.check_image(half), why, "not written in full")
    assert Governance((policy(images={"requireDigest": False}),)).check_image("docker.io/library/nginx:1").ok


def test_sources() -> None:
    governance = both({"models": {"sources": ["s3://weights-fr/", "hf://mistralai/"]}}, {})
    assert governance.check_source("s3://weights-fr/mistral").ok
    why = Reason.SOURCE_NOT_ALLOWED
    refused(governance.check_source("s3://weights-fr-evil/x"), why, "policy a", "s3://weights-fr/")
    refused(governance.check_source("s3://weights-fr/../other/x"), why, "'..'")
    refused(governance.check_source("s3://weights-fr/%2e%2e/other/x"), why, "'..'")
    refused(governance.check_source("s3://weights-fr/a%5c..%5cb"), why, "'..'")


def test_endpoints() -> None:
    hub, uri = "https://hub.example.eu", "hf://mistralai/x"
    governance = both({"models": {"hubEndpoint": hub}}, {})
    assert governance.check_endpoint(uri, None).ok
    assert governance.check_endpoint(uri, "https://HUB.example.eu/").ok
    assert governance.endpoint_for(uri, None) == hub
    refused(governance.check_endpoint(uri, "https://hub.example.us"), Reason.ENDPOINT_NOT_ALLOWED, "policy a", hub)
    open_to_any = Governance((policy(),))
    refused(
        open_to_any.check_endpoint(uri, None), Reason.ENDPOINT_REQUIRED, "spec.source.endpoint", "models.hubEndpoint"
    )
    assert open_to_any.check_endpoint(uri, hub).ok
    assert open_to_any.endpoint_for(uri, hub) == hub
    assert open_to_any.check_endpoint("oci://registry/x", None).ok
    assert open_to_any.endpoint_for("https://host/x", None) is None
    torn = both({"models": {"s3Endpoint": "https://s3.a.eu"}}, {"models": {"s3Endpoint": "https://s3.b.eu"}})
    refused(torn.check_endpoint("s3://b/x", None), Reason.ENDPOINT_NOT_ALLOWED, "policy b")


def test_formats_digests_licences_and_storage_classes() -> None:
    governance = both(
        {"models": {"formats": ["gguf"]}, "storage": {"storageClasses": ["fast-fr"]}},
        {"licenses": {"allow": ["Apache-2.0", "MIT"]}},
    )
    assert governance.check_format("gguf").ok
    refused(governance.check_format("safetensors"), Reason.FORMAT_NOT_ALLOWED, "policy a", "convert", "gguf")
    assert governance.check_digest("sha256:" + "a" * 64).ok
    refused(governance.check_digest(None), Reason.DIGEST_REQUIRED, "spec.digest")
    assert governance.check_license("apache-2.0").ok
    refused(governance.check_license("MRL-0.1"), Reason.LICENSE_DENIED, "policy b", "Apache-2.0, MIT")
    refused(governance.check_license(None), Reason.LICENSE_UNKNOWN, "spec.license")
    assert governance.check_storage_class("fast-fr").ok
    refused(governance.check_storage_class(None), Reason.STORAGE_CLASS_NOT_ALLOWED, "default", "fast-fr")
    lenient = Governance((policy(licenses={"allow": ["MIT"], "unknown": "Allow"}, models={"requireDigest": False}),))
    assert lenient.check_license(None).ok
    assert lenient.check_digest(None).ok


def test_egress_is_what_every_policy_grants() -> None:
    wide = {"network": {"importEgress": [{"cidr": "10.0.0.0/8", "ports": [80, 443]}]}}
    narrow = {"network": {"importEgress": [{"cidr": "10.1.0.0/16", "ports": [443, 8443]}]}}
    assert both(wide, narrow).import_egress() == ((ip_network("10.1.0.0/16"), (443,)),)
    assert both(wide, {}).import_egress() == ()
    assert Governance().import_egress() == ()


def test_resolvers() -> None:
    stated = {"network": {"dns": {"resolvers": ["10.0.0.0/24"]}}}
    narrower = {"network": {"dns": {"resolvers": ["10.0.0.53/32", "10.9.0.53/32"]}}}
    elsewhere = {"network": {"dns": {"resolvers": ["10.7.0.53/32"]}}}
    assert both({}, {}).resolvers() is None
    assert both(stated, {}).resolvers() == (ip_network("10.0.0.0/24"),)
    assert both(stated, narrower).resolvers() == (ip_network("10.0.0.53/32"),)
    assert both(narrower, elsewhere).resolvers() == ()


def test_callers_are_of_the_own_namespace_unless_every_policy_says_otherwise() -> None:
    apps = LabelSelector(match_labels={"role": "app"})
    stated = {"network": {"ingressNamespaces": {"matchLabels": {"role": "app"}}}}
    own = LabelSelector(match_labels={NAMESPACE_NAME: "team"})
    assert both({}, {}).ingress_namespaces() == ()
    assert both(stated, stated).ingress_namespaces() == (apps, apps)
    assert both(stated, {}).ingress_namespaces() == (apps, own)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        ({"jurisdictions": ["FR"]}, {"jurisdictions": ["DE", "NO"]}, "placement.jurisdictions"),
        ({"regions": ["fr-par"]}, {"regions": ["fr-mrs"]}, "placement.regions"),
        ({"providers": ["a"]}, {"providers": ["b"]}, "placement.providers"),
        ({"nodeSelector": {TIER: "gold"}}, {"nodeSelector": {TIER: "iron"}}, "placement.nodeSelector"),
    ],
)
def test_policies_with_nothing_in_common(first: dict, second: dict, rule: str) -> None:
    governance = Governance((placed("a", **first), placed("b", **second)))
    verdict = governance.conflict()
    assert verdict is not None
    refused(verdict, Reason.EMPTY_INTERSECTION, "policies a and b", rule, "change one of them")


@given(placements, placements)
def test_a_conflict_is_found_whichever_comes_first(first, second) -> None:
    one, other = placed("a", **first).spec.placement, placed("b", **second).spec.placement
    assert disjoint(one, other) == disjoint(other, one)
    assert disjoint(one, one) is None


def test_policies_that_agree_are_no_conflict() -> None:
    assert Governance((placed("a", jurisdictions=["EEA"]), placed("b", jurisdictions=["EU", "NO"]))).conflict() is None


@given(st.permutations(["a", "b", "c"]))
def test_the_first_policy_by_name_is_the_one_that_is_named(order) -> None:
    found = [policy(name, images={"registries": [f"{name}.example.eu"]}) for name in order]
    governance = govern("team", {"tier": "restricted"}, found, Settings())
    assert "policy a:" in governance.check_image(f"evil.org/x{DIGEST}").message
