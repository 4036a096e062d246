"""A pool serves a real model: it answers whom it may, is measured, drained and scaled."""

import base64
import json
from collections.abc import Iterator
from functools import partial

import pytest

from e2e import manifests
from e2e.calls import Load
from e2e.world import CALLERS, NAMESPACE, POOL, PORT, STRANGERS, World, url
from testbed.models import QUESTION
from tests.operator.lab import Manifest, wait_for

KEY = "correct-horse-battery-staple"


def test_the_model_answers_whom_it_may(served: World) -> None:
    assert "Paris" in served.ask(QUESTION)
    refused = served.fetch(f"{url(POOL)}/health", namespace=STRANGERS)
    assert refused == "timed out"


def test_readiness_and_metrics(served: World) -> None:
    assert served.fetch(f"{url(POOL)}/health") == "200"
    ready = {pod["metadata"]["name"] for pod in served.ready(POOL)}
    assert served.endpoints(POOL) == ready
    assert len(ready) == 2
    (pod, *_) = served.ready(POOL)
    metrics = served.execute("caller", CALLERS, "wget", "-q", "-O-", f"http://{pod['status']['podIP']}:{PORT}/metrics")
    assert "llamacpp:requests_processing" in metrics
    assert "llamacpp:prompt_tokens_total" in metrics


@pytest.fixture
def keyed(served: World) -> Iterator[str]:
    """A second pool, of one replica, that wants a key."""
    name = "keyed"
    data = {"api-key": base64.b64encode(KEY.encode()).decode()}
    metadata = {"name": name, "namespace": NAMESPACE}
    served.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    network: Manifest = {"ingressFrom": [{"namespaceSelector": {"matchLabels": {"calls": "models"}}}]}
    network["apiKeySecretRef"] = {"name": name}
    served.apply(manifests.pool(served, name, network=network, replicas=1))
    served.wait_ready("sovpool", name)
    yield name
    served.cluster.kubectl("delete", "sovpool", name, "-n", NAMESPACE, "--wait=false")


def test_api_key_and_autoscaler(served: World, keyed: str) -> None:
    asked = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 1}
    target = f"{url(keyed)}/v1/chat/completions"
    assert served.fetch(target, asked) == "401"
    assert served.fetch(target, asked, key="wrong") == "401"
    assert served.fetch(target, asked, key=KEY) == "200"

    # No metrics server: the autoscaler holds the bounds by itself, and says that it knows no more.
    served.cluster.kubectl("patch", "sovpool", keyed, "-n", NAMESPACE, "--type=merge", "-p", _autoscaled(2, 3))
    wait_for("as many replicas as the autoscaler's lower bound", lambda: len(served.ready(keyed)) == 2)
    served.cluster.kubectl("patch", "sovpool", keyed, "-n", NAMESPACE, "--type=merge", "-p", _autoscaled(1, 1))
    wait_for("no more replicas than its upper bound", lambda: len(served.serving(keyed)) == 1)
    assert served.endpoints(keyed) <= {pod["metadata"]["name"] for pod in served.serving(keyed)}


def _autoscaled(least: int, most: int) -> str:
    bounds = {"minReplicas": least, "maxReplicas": most, "metric": "CPU", "target": 80}
    return json.dumps({"spec": {"replicas": None, "autoscaling": bounds}})


def test_rollout_drains_without_a_failed_request(served: World) -> None:
    before = {pod["metadata"]["uid"] for pod in served.ready(POOL)}
    with Load(served, url(POOL)) as load:
        wait_for("requests", lambda: load.answered() > 20)
        served.cluster.kubectl("patch", "sovpool", POOL, "-n", NAMESPACE, "--type=merge", "-p", _env(served))

        def replaced() -> bool:
            pods = served.all("pods", NAMESPACE, f"sovereignai.io/pool={POOL},app.kubernetes.io/component=serving")
            return len(pods) == 2 and before.isdisjoint(pod["metadata"]["uid"] for pod in pods)

        wait_for("both replicas to be replaced and the old ones gone", replaced, patience=120)
        at_the_end = load.answered()
        wait_for("requests to the new replicas", lambda: load.answered() > at_the_end + 20)
    assert load.failures() == []
    served.wait_ready("sovpool", POOL)


def _env(world: World) -> str:
    """A harmless change of the pod template: another value than there is."""
    pool = world.get("sovpool", POOL, NAMESPACE)
    assert pool is not None
    batch = "256" if pool["spec"]["runtime"].get("env", [{}])[0].get("value") == "128" else "128"
    return json.dumps({"spec": {"runtime": {"env": [{"name": "LLAMA_ARG_BATCH", "value": batch}]}}})


def test_scaled_by_kubectl(served: World) -> None:
    for replicas in (1, 2):
        served.cluster.kubectl("scale", "sovpool", POOL, "-n", NAMESPACE, f"--replicas={replicas}")
        wait_for(f"{replicas} endpoints", partial(_has_endpoints, served, replicas))
    assert served.get("sovpool", POOL, NAMESPACE)["spec"]["replicas"] == 2  # type: ignore[index]
    served.wait_ready("sovpool", POOL)


def _has_endpoints(world: World, count: int) -> bool:
    return len(world.endpoints(POOL)) == count


def test_pods_are_restricted(served: World) -> None:
    for pod in served.ready(POOL):
        _is_restricted(pod)


def _is_restricted(pod: Manifest) -> None:
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["status"]["containerStatuses"][0]["imageID"].endswith(container["image"].partition("@")[2])
