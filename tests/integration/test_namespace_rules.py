"""A governed namespace stays governed: administrators try to take it out, and to lower its level of Pod Security."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL
from tests.integration.enforcement import (
    Enforcement,
    assert_no_type_warnings,
    enforce,
    make_policy,
    names,
    settings,
)

pytestmark = pytest.mark.integration

LEVEL = "pod-security.kubernetes.io/enforce"
VERSION = f"{LEVEL}-version"


@pytest.fixture
def enforcement(api: Api, namespace: str) -> Iterator[Enforcement]:
    """A policy in force on the namespace, which has Pod Security's level baseline of a release."""
    assert changed(api, namespace, {LEVEL: "baseline", VERSION: "v1.30"}, really=True).ok
    made = enforce(api, make_policy(api, namespace), namespace, settings(api))
    yield made
    made.remove()


def changed(api: Api, name: str, labels: dict[str, str | None], *, really: bool = False) -> Answer:
    """Try to change labels of a namespace, dry unless told otherwise."""
    query = {} if really else {"dryRun": "All"}
    return api.request("PATCH", f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}}, **query)


def refused(answer: Answer, enforcement: Enforcement, words: str) -> None:
    assert answer.code == 403, answer.body
    assert f"policy {enforcement.policy.name}: " in answer.message
    assert words in answer.message


@pytest.mark.parametrize("value", [None, "", "other"])
def test_the_labels_that_a_policy_selects_by_stay(api: Api, enforcement: Enforcement, value: str | None) -> None:
    """Row 12: an administrator takes the label off, empties it, or changes it."""
    refused(
        changed(api, enforcement.namespace, {TEST_LABEL: value}),
        enforcement,
        "would release the namespace from the policy; change the policy's namespaceSelector instead",
    )


@pytest.mark.parametrize("part", ["status", "finalize"])
def test_no_subresource_gets_round_it(api: Api, enforcement: Enforcement, part: str) -> None:
    path = f"/api/v1/namespaces/{enforcement.namespace}"
    whole = api.get(path)
    del whole["metadata"]["labels"][TEST_LABEL]
    refused(api.request("PUT", f"{path}/{part}", whole, dryRun="All"), enforcement, "would release the namespace")


def test_a_replacement_and_an_apply_do_not_get_round_it(api: Api, enforcement: Enforcement) -> None:
    path = f"/api/v1/namespaces/{enforcement.namespace}"
    whole: dict[str, Any] = api.get(path)
    del whole["metadata"]["labels"]
    refused(api.request("PUT", path, whole, dryRun="All"), enforcement, "would release the namespace")
    applied = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": enforcement.namespace, "labels": {TEST_LABEL: "x"}},
    }
    refused(api.request("APPLY", path, applied, dryRun="All"), enforcement, "would release the namespace")


@pytest.mark.parametrize("level", [None, "privileged"])
def test_pod_security_is_not_lowered(api: Api, enforcement: Enforcement, level: str | None) -> None:
    """Row 14: the level by which the API server itself refuses pods that reach the host."""
    refused(changed(api, enforcement.namespace, {LEVEL: level}), enforcement, "may only be raised")


@pytest.mark.parametrize("version", ["v1.0", "v1.29"])
def test_pod_security_does_not_grow_older(api: Api, enforcement: Enforcement, version: str) -> None:
    refused(changed(api, enforcement.namespace, {VERSION: version}), enforcement, "may only become latest")


@pytest.mark.parametrize(
    "labels", [{LEVEL: "restricted"}, {VERSION: "latest"}, {VERSION: None}, {"team": "a"}], ids=str
)
def test_what_lowers_nothing_is_free(api: Api, enforcement: Enforcement, labels: dict[str, str | None]) -> None:
    answer = changed(api, enforcement.namespace, labels)
    assert answer.ok, answer.message


def test_other_namespaces_are_free(api: Api, enforcement: Enforcement, free_namespace: str) -> None:
    for labels in ({LEVEL: "privileged"}, {LEVEL: None}, {TEST_LABEL: "x"}):
        answer = changed(api, free_namespace, labels, really=True)
        assert answer.ok, answer.message


def test_a_namespace_is_deleted_freely(api: Api, enforcement: Enforcement) -> None:
    answer = api.request("DELETE", f"/api/v1/namespaces/{enforcement.namespace}", dryRun="All")
    assert answer.ok, answer.message


def test_a_level_that_was_not_stated_is_not_made_privileged(api: Api, namespace: str) -> None:
    made = enforce(api, make_policy(api, namespace), namespace, settings(api))
    refused(changed(api, namespace, {LEVEL: "privileged"}), made, "may only be raised")
    assert changed(api, namespace, {LEVEL: "baseline"}).ok
    made.remove()


def test_in_audit_a_namespace_may_leave(api: Api, namespace: str) -> None:
    made = enforce(api, make_policy(api, namespace, enforcement="Audit"), namespace, settings(api))
    answer = changed(api, namespace, {TEST_LABEL: None})
    assert answer.ok, answer.message
    assert names(made, "-namespaces")(answer)
    made.remove()


def test_the_longest_selector_is_within_the_limits_of_cel(api: Api, namespace: str) -> None:
    """As long as the kind allows: 16 labels, and 16 expressions of 64 values each."""
    prefix = ".".join(["k" * 63] * 3) + "." + "k" * 61
    keys = [f"{prefix}/{index:063}" for index in range(15)]
    values = [f"{index:063}" for index in range(64)]
    selector = {
        "matchLabels": {TEST_LABEL: namespace},
        "matchExpressions": [{"key": key, "operator": "NotIn", "values": values} for key in [*keys, f"{prefix}/last"]],
    }
    more = {f"{prefix}/label{index:058}": "x" * 63 for index in range(15)}
    assert changed(api, namespace, more, really=True).ok
    selector["matchLabels"] |= more  # type: ignore[operator]
    placement = {"jurisdictions": ["FR"], "nodeSelector": {f"{namespace}.node-restriction.kubernetes.io/tier": "gold"}}
    made = enforce(
        api, make_policy(api, namespace, namespaceSelector=selector, placement=placement), namespace, settings(api)
    )
    assert_no_type_warnings(made)
    refused(changed(api, namespace, {next(iter(more)): None}), made, "would release the namespace")
    refused(changed(api, namespace, {keys[3]: values[-1]}), made, "would release the namespace")
    made.remove()
