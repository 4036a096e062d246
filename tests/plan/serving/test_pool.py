"""The plan of a pool: gates, children, and what each child says."""

from typing import Any

import pytest

from sovereign.api.conditions import Reason
from sovereign.api.meta import LABEL_COMPLIANT, LABEL_COMPONENT, LABEL_POOL, approved_label
from sovereign.plan.builtin import builtin
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Runtime, Settings, SovereignModel
from sovereign.plan.pool import plan_pool
from tests.plan.serving import samples

KINDS = ["ServiceAccount", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"]
VLLM = builtin()["vllm"]


def kinds(plan: Any) -> list[str]:
    return [manifest["kind"] for manifest in plan.children]


def test_children_in_the_order_in_which_they_are_applied() -> None:
    plan = samples.planned(samples.pool())
    assert kinds(plan) == KINDS
    assert plan.blocking is None
    assert plan.waiting is None
    assert all(verdict.ok for verdict in plan.verdicts)
    assert plan.endpoint == "http://chat.team-a.svc.cluster.local:8000"
    assert plan.replicas == 2
    assert all(manifest["metadata"]["ownerReferences"][0]["uid"] == "pool-uid" for manifest in plan.children)
    assert [manifest["metadata"]["name"] for manifest in plan.children] == [
        "chat-serving",
        "chat-serving",
        "chat",
        "chat",
        "chat",
    ]


# --- gates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "reason", "word"),
    [
        ({"runtime": {"image": None}}, Reason.IMAGE_REQUIRED, "spec.image of the InferenceRuntime"),
        ({"placement": {"jurisdictions": ["US"]}}, Reason.PLACEMENT_NOT_ALLOWED, "US"),
        ({"runtime": {"args": ["--trust-remote-code"]}}, Reason.OVERRIDE_NOT_ALLOWED, "--trust-remote-code"),
        ({"runtime": {"args": ["--host=0.0.0.0"]}}, Reason.OVERRIDE_NOT_ALLOWED, "--host"),
        ({"runtime": {"args": ["--seed", "/other/model"]}}, Reason.OVERRIDE_NOT_ALLOWED, "/other/model"),
        ({"runtime": {"args": ["--seed=1\n--host=x"]}}, Reason.INVALID_SPEC, "line break"),
        (
            {"runtime": {"env": [{"name": "HF_HUB_OFFLINE", "value": "0"}]}},
            Reason.OVERRIDE_NOT_ALLOWED,
            "HF_HUB_OFFLINE",
        ),
        (
            {"runtime": {"env": [{"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "1"}]}},
            Reason.OVERRIDE_NOT_ALLOWED,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        ),
        ({"runtime": {"env": [{"name": "VLLM_API_KEY", "value": "x"}]}}, Reason.OVERRIDE_NOT_ALLOWED, "KEY"),
        ({"runtime": {"env": [{"name": "NCCL_DEBUG", "value": "\x00"}]}}, Reason.INVALID_SPEC, "NUL"),
        ({"accelerator": {"count": 0}}, Reason.INVALID_SPEC, "needs a GPU"),
    ],
)
def test_what_blocks(spec: dict[str, Any], reason: Reason, word: str) -> None:
    plan = samples.planned(samples.pool(**spec))
    assert plan.blocking is not None
    assert plan.blocking.reason == reason
    assert word in plan.blocking.message
    assert plan.children == ()
    assert plan.blocking in plan.verdicts


@pytest.mark.parametrize(
    ("engine", "spec", "word"),
    [
        ("ollama", {"network": {"apiKeySecretRef": {"name": "chat-key"}}}, "apiKeySecretRef"),
        ("ollama", {"autoscaling": {"maxReplicas": 4}}, "RequestsWaiting"),
        ("tgi", {"parallelism": {"pipeline": 2}}, "parallelism.pipeline"),
        ("llama-cpp", {"parallelism": {"data": 2}}, "parallelism.data"),
    ],
)
def test_what_an_engine_cannot_do(engine: str, spec: dict[str, Any], word: str) -> None:
    plan = samples.planned(samples.pool(engine, **spec))
    assert plan.blocking is not None
    assert plan.blocking.reason == Reason.INVALID_SPEC
    assert word in plan.blocking.message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    one = samples.pool("nowhere", placement={"jurisdictions": ["US"]})
    plan = plan_pool(one, None, None, Governance((), samples.NAMESPACE), (), Settings())
    assert [verdict.reason for verdict in plan.verdicts if not verdict.ok] == [
        Reason.NO_POLICY,
        Reason.RUNTIME_NOT_FOUND,
        Reason.MODEL_NOT_FOUND,
    ]
    assert (plan.children, plan.sizing, plan.endpoint) == ((), None, "")
    assert plan.sized.reason == Reason.SIZE_UNKNOWN


def test_an_image_that_the_policy_does_not_list() -> None:
    plan = samples.planned(samples.pool(runtime={"image": f"docker.io/x/vllm@sha256:{'a' * 64}"}))
    listed = samples.policy()
    strict = type(listed)(
        listed.owner,
        listed.spec.model_copy(
            update={"images": listed.spec.images.model_copy(update={"registries": ["registry.example.eu"]})}
        ),
    )
    refused = samples.planned(
        samples.pool(runtime={"image": f"docker.io/x/vllm@sha256:{'a' * 64}"}), policies=samples.governance(strict)
    )
    assert plan.blocking is None
    assert refused.blocking is not None
    assert refused.blocking.reason == Reason.IMAGE_NOT_ALLOWED


def test_a_format_that_the_engine_does_not_load() -> None:
    plan = samples.planned(samples.pool("vllm"), samples.model("gguf"))
    assert plan.blocking is not None
    assert plan.blocking.reason == Reason.FORMAT_NOT_SUPPORTED


def test_no_approved_node_and_too_few_gpus_do_not_block() -> None:
    spec = {"accelerator": {"count": 4}}
    nowhere = samples.planned(samples.pool(**spec), nodes=())
    small = samples.planned(samples.pool(**spec), nodes=(samples.node("small", gpus=2),))
    elsewhere = samples.planned(samples.pool(**spec, placement={"regions": ["fr-mrs"]}))
    for plan, reason in (
        (nowhere, Reason.NO_APPROVED_NODE),
        (small, Reason.INSUFFICIENT_ACCELERATORS),
        (elsewhere, Reason.NO_APPROVED_NODE),
    ):
        assert kinds(plan) == KINDS
        assert plan.blocking is None
        assert reason in [verdict.reason for verdict in plan.verdicts if not verdict.ok]


def test_a_pool_waits_for_its_model_with_the_network_closed() -> None:
    plan = samples.planned(samples.pool(), samples.model(imported=False))
    assert plan.blocking is None
    assert plan.waiting is not None
    assert plan.waiting.reason == Reason.WAITING_FOR_MODEL
    assert kinds(plan) == KINDS[:-1]
    assert plan.sized.ok, "what the model states is enough to size it before it is imported"


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        (samples.model("gguf", entrypoint=""), "no single .gguf file"),
        (samples.model("gguf", path="../other"), "not a plain path"),
        (samples.model("gguf", path="/etc"), "not a plain path"),
        (samples.model("gguf", entrypoint="a/../../b.gguf"), "not a plain path"),
        (samples.model("gguf", entrypoint="a\nb.gguf"), "not a plain path"),
    ],
)
def test_weights_that_cannot_be_opened(weights: SovereignModel, word: str) -> None:
    plan = samples.planned(samples.pool("llama-cpp", accelerator={"count": 0}), weights)
    assert plan.blocking is not None
    assert word in plan.blocking.message
    assert plan.children == ()


@pytest.mark.parametrize(
    ("engine", "reason", "word"),
    [
        (samples.runtime(args=["{{ nothing }}"]), Reason.INVALID_TEMPLATE, "InferenceRuntime own: args[0]"),
        (samples.runtime(args=["--trust_remote_code"]), Reason.INVALID_TEMPLATE, "nobody may set"),
        (samples.runtime(env=[{"name": "X", "value": "{{ port | center(9) }}"}]), Reason.INVALID_TEMPLATE, "env[0]"),
        (samples.runtime(env=[{"name": "https_proxy", "value": "x"}]), Reason.OVERRIDE_NOT_ALLOWED, "https_proxy"),
    ],
)
def test_a_runtime_that_is_wrong(engine: Runtime, reason: Reason, word: str) -> None:
    plan = samples.planned(samples.pool(), engine=engine)
    assert plan.blocking is not None
    assert plan.blocking.reason == reason
    assert word in plan.blocking.message
    assert plan.children == ()


# --- children -------------------------------------------------------------------------------------------


def test_the_operators_environment_wins_over_the_runtimes() -> None:
    engine = samples.runtime(env=[{"name": "HF_HUB_OFFLINE", "value": "0"}, {"name": "HOME", "value": "/data"}])
    environment = samples.environment(samples.planned(samples.pool(), engine=engine))
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["HOME"] == "/data"


def test_the_api_key_comes_from_the_secret_alone() -> None:
    engine = samples.runtime(apiKeyEnv="KEY", env=[{"name": "KEY", "value": "none"}], overrides={"env": ["KEY"]})
    plan = samples.planned(samples.pool(network={"apiKeySecretRef": {"name": "secret"}}), engine=engine)
    keys = [entry for entry in samples.container(plan)["env"] if entry["name"] == "KEY"]
    assert keys == [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "api-key"}}}]


def test_a_pool_cannot_change_what_policies_approve() -> None:
    eu, fr = approved_label("eu"), approved_label("fr")
    one = samples.pool(accelerator={"count": 1, "nodeSelector": {eu: "false", "disk": "fast"}})
    both = samples.governance(samples.policy("fr", jurisdictions=["FR"]), samples.policy("eu"))
    selector = samples.template(samples.planned(one, policies=both))["spec"]["nodeSelector"]
    assert selector == {eu: "true", fr: "true", "disk": "fast"}


def test_service_leads_to_compliant_pods_only() -> None:
    plan = samples.planned(samples.pool())
    spec = samples.child(plan, "Service")["spec"]
    assert spec["selector"] == {LABEL_POOL: "chat", LABEL_COMPLIANT: "true"}
    assert spec["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in spec
    # A pod that loses the label leaves the Service, and stays a pod of the Deployment and of the budget.
    assert plan.selector == {LABEL_POOL: "chat"}
    assert samples.child(plan, "Deployment")["spec"]["selector"] == {"matchLabels": plan.selector}
    serving = plan.selector | {LABEL_COMPONENT: "serving"}
    assert samples.child(plan, "PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": serving}
    assert serving.items() <= samples.template(plan)["metadata"]["labels"].items()


def test_no_token_anywhere() -> None:
    plan = samples.planned(samples.pool())
    assert samples.child(plan, "ServiceAccount")["automountServiceAccountToken"] is False
    assert samples.template(plan)["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("engine", "spec", "surge"),
    [
        ("vllm", {}, 0),
        ("vllm", {"rollout": {"strategy": "Surge"}}, 1),
        ("llama-cpp", {"accelerator": {"count": 0}}, 1),
        ("llama-cpp", {"accelerator": {"count": 0}, "rollout": {"strategy": "NoSurge"}}, 0),
    ],
)
def test_rollout(engine: str, spec: dict[str, Any], surge: int) -> None:
    strategy = samples.child(samples.planned(samples.pool(engine, **spec)), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": 1 - surge}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("RequestsWaiting", "vllm_num_requests_waiting"),
        ("RequestsRunning", "vllm_num_requests_running"),
    ],
)
def test_autoscaler_owns_the_number_of_replicas(metric: str, expected: str) -> None:
    one = samples.pool(autoscaling={"minReplicas": 2, "maxReplicas": 8, "metric": metric, "target": 3})
    plan = samples.planned(one)
    assert plan.replicas is None
    assert "replicas" not in samples.child(plan, "Deployment")["spec"]
    spec = samples.child(plan, "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 8)
    assert spec["metrics"] == [
        {
            "type": "Pods",
            "pods": {"metric": {"name": expected}, "target": {"type": "AverageValue", "averageValue": "3"}},
        }
    ]


def test_autoscaler_by_cpu() -> None:
    one = samples.pool("ollama", autoscaling={"maxReplicas": 8, "metric": "CPU", "target": 70})
    spec = samples.child(samples.planned(one), "HorizontalPodAutoscaler")["spec"]
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}


@pytest.mark.parametrize("size", [{"replicas": 3}, {"autoscaling": {"maxReplicas": 4}}])
def test_suspend(size: dict[str, Any]) -> None:
    plan = samples.planned(samples.pool(suspend=True, **size))
    assert kinds(plan) == KINDS
    assert samples.child(plan, "Deployment")["spec"]["replicas"] == plan.replicas == 0


def test_startup_budget_grows_with_the_weights() -> None:
    heavy = samples.PARAMETERS.model_copy(update={"weights_bytes": 400 * 10**9})
    one = samples.pool(accelerator={"count": 8})
    light_plan, heavy_plan = samples.planned(one), samples.planned(one, samples.model(parameters=heavy))
    assert samples.container(light_plan)["startupProbe"]["failureThreshold"] == 60
    # 400 GB at 200 MB/s are 2000 s, in probes of 10 s.
    assert samples.container(heavy_plan)["startupProbe"]["failureThreshold"] == 200
    assert samples.child(heavy_plan, "Deployment")["spec"]["progressDeadlineSeconds"] == 2600


def test_pull_secrets_and_drain() -> None:
    plan = samples.planned(samples.pool(), settings=Settings(image_pull_secrets=("registry",)))
    pod = samples.template(plan)["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["terminationGracePeriodSeconds"] == VLLM.spec.drain.grace_period_seconds
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}


def test_nothing_is_written_that_the_api_server_drops() -> None:
    one = samples.pool(runtime={"env": [{"name": "EMPTY", "value": ""}]})
    engine = samples.runtime(overrides={"env": ["EMPTY"]}, env=[{"name": "OWN", "value": ""}])
    container = samples.container(samples.planned(one, engine=engine))
    assert {"name": "EMPTY"} in container["env"]
    assert {"name": "OWN"} in container["env"]
    assert "args" not in container
    assert "command" not in container


def test_a_runtimes_own_folders_are_writable_and_sorted() -> None:
    first = samples.runtime(writablePaths=["/b", "/a", "/tmp"])
    second = samples.runtime(writablePaths=["/a", "/tmp", "/b"])
    plans = [samples.planned(samples.pool(), engine=engine) for engine in (first, second)]
    assert samples.template(plans[0]) == samples.template(plans[1])
    paths = [mount["mountPath"] for mount in samples.container(plans[0])["volumeMounts"]]
    assert paths == ["/models/mistral-7b", "/dev/shm", "/tmp", "/home/sovereign", "/a", "/b"]
