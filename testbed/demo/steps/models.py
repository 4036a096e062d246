"""Models are imported and verified, pools are placed; one model is not what its digest says."""

from testbed.demo import daemons, kubelet, tables, weights
from testbed.demo.claims import hold
from testbed.demo.kubelet import Ended, Machine
from testbed.demo.stage import MANIFESTS, NAMESPACE, Stage
from testbed.demo.tables import Manifest

_MODELS = ("mistral-7b", "mistral-small", "ministral-3b")
_TAMPERED = "mistral-7b-copy"
_BUCKET = "weights-eu"
_SERVER = "https://s3.example.eu"
"""The S3 server in the policy, which the one on loopback stands for."""


def show(stage: Stage) -> None:
    """Import three models, see a fourth refused, and show where the replicas are."""
    machine = _machine(stage)
    screen = stage.screen
    stage.do("apply", "-f", MANIFESTS / "models.yaml")
    stage.do("apply", "-f", MANIFESTS / "pools.yaml")
    stage.await_condition("inferencepools", "mistral-7b", "Ready", "False", "WaitingForModel")
    screen.holds("no pool starts before its weights are imported and verified")
    screen.say(
        "Import jobs have no kubelet here. So this program plays it: for each import pod it runs the real importer with the pod's "
        f"own arguments, {_SERVER} being played by the server on loopback and the claim by a folder, and hands its termination "
        "message to the pod. What the operator concludes from that is its own."
    )
    for model in _MODELS:
        _imported(stage, model, machine)
    _refused(stage, machine)
    _placed(stage)


def _machine(stage: Stage) -> Machine:
    """An S3 server with the weights, and the Secret that opens it."""
    screen = stage.screen
    screen.say(
        "The weights are made up, a few megabytes each, and lie on a real S3 server (versitygw, TLS) on loopback."
    )
    store = daemons.store(stage.cluster, stage.home)
    weights.write(store.buckets / _BUCKET)
    store.start()
    secret = stage.home / "weights-reader"
    secret.mkdir(mode=0o700)
    (secret / "AWS_ACCESS_KEY_ID").write_text(daemons.ACCESS_KEY)
    (secret / "AWS_SECRET_ACCESS_KEY").write_text(daemons.SECRET_KEY)
    (secret / "ca.crt").write_bytes(store.authority.read_bytes())
    stage.do("create", "secret", "generic", "weights-reader", "-n", NAMESPACE, f"--from-file={secret}")
    return Machine(stage.home / "volumes", secret, {_SERVER: store.endpoint})


def _run(stage: Stage, model: str, machine: Machine) -> Ended:
    """Play the kubelet for the import pod of a model, from its start to its end."""

    def running() -> Manifest | None:
        pods = stage.items("pods", NAMESPACE, f"sovereignai.io/model={model},app.kubernetes.io/component=import")
        return next((pod for pod in pods if pod.get("status", {}).get("phase") == "Running"), None)

    pod = stage.await_(f"the import pod of {model}", running)
    node = tables.node_of(pod)
    hold(node in stage.approved(), f"the import of {model} runs on {node}, which is not approved")
    command = kubelet.command_of(pod, machine)
    source = next(word for word in command if word.startswith("--source="))
    stage.screen.say(f"{model}: the pod is on {node}")
    stage.screen.command("python", *command[1:3], source, "--digest=sha256:...", "--endpoint=...", "--dest=...")
    for claim in pod["spec"]["volumes"]:
        if "persistentVolumeClaim" in claim:
            (machine.volumes / claim["persistentVolumeClaim"]["claimName"]).mkdir(parents=True, exist_ok=True)
    ended = kubelet.run(command, stage.home, stage.screen.answer)
    stage.cluster.finish_pod(NAMESPACE, pod["metadata"]["name"], ended.message, ended.code)
    return ended


def _imported(stage: Stage, model: str, machine: Machine) -> None:
    ended = _run(stage, model, machine)
    hold(ended.code == 0, f"the import of {model} ended with {ended.code}: {ended.result.get('message', '')}")
    stage.await_condition("sovereignmodels", model, "Imported", "True")
    verified = stage.await_condition("sovereignmodels", model, "Verified", "True")
    stage.screen.holds(f"{model} is imported; {verified['message']}")


def _refused(stage: Stage, machine: Machine) -> None:
    screen = stage.screen
    screen.say(f"{_TAMPERED} claims to be mistral-7b, and one byte of its 33.6 million has been changed:")
    ended = _run(stage, _TAMPERED, machine)
    hold(ended.code != 0, f"{_TAMPERED} was imported, and is not what its digest says")
    found = stage.await_condition("sovereignmodels", _TAMPERED, "Imported", "False", "DigestMismatch")
    screen.command("kubectl", "get", "smodel", _TAMPERED, "-n", NAMESPACE, "-o", "yaml")
    screen.refusal(f"Imported=False, {found['reason']}: {found['message']}")
    left = [path.name for path in (machine.volumes / f"{_TAMPERED}-weights").glob("sha256-*")]
    hold(not left, f"the import failed and has published {', '.join(left)} all the same")
    screen.holds("nothing of it was published")


def _placed(stage: Stage) -> None:
    screen = stage.screen
    screen.say("With their weights there, the pools start:")
    pools = stage.await_ready()
    stage.do("get", "sovpool", "-n", NAMESPACE)
    pods, nodes = stage.pods(), stage.items("nodes")
    screen.table(tables.REPLICAS, tables.replicas(pools, pods, nodes))
    wanted = sum(pool["spec"]["replicas"] for pool in pools)
    astray = {tables.node_of(pod) for pod in pods} - stage.approved()
    hold(len(pods) == wanted, f"there are {len(pods)} replicas, not {wanted}")
    hold(not astray, f"replicas are on {', '.join(astray)}, not approved")
    screen.holds(f"all {wanted} replicas are on approved nodes")
