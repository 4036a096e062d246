"""What every step on real nodes works with, besides what every step does."""

import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from charts import sync
from testbed.demo.claims import StepFailed, hold
from testbed.demo.stage import NAMESPACE, Stage
from testbed.demo.tables import Manifest
from testbed.nodes.fleet import Fleet
from testbed.nodes.layout import Layout
from testbed.story import chat, pods

MANIFESTS = Path(__file__).parent / "manifests"
CALLERS, STRANGERS = "callers", "strangers"
FRENCH, GERMAN = "smollm2-fr", "smollm2-de"
"""Names of the models, of their pools, and so of their Services."""
OPERATOR = f"app.kubernetes.io/name={sync.RELEASE}"
_TIMEOUT = 20
_REFUSED = 4


@dataclass
class NodeStage(Stage):
    """The demonstration on real nodes as it stands."""

    policy_file: Path = MANIFESTS / "policy.yaml"
    images: dict[str, str] = field(default_factory=dict)
    """References by digest, as the nodes know them, by the name of the image."""
    installed: bool = False

    @property
    def fleet(self) -> Fleet:
        """The nodes."""
        return self.cluster.fleet

    @property
    def layout(self) -> Layout:
        """Names and addresses of the nodes."""
        return self.fleet.layout

    @property
    def has_operator(self) -> bool:
        """Whether the operator is installed."""
        return self.installed

    def operator_log(self) -> str:
        """What the operator's pods say; empty while the API server does not answer."""
        if not self.installed:
            return ""
        words = ("logs", "-n", sync.NAMESPACE, "-l", OPERATOR, "--tail=200", "--prefix", "--request-timeout=5s")
        return self._kubectl(*words).stdout

    def where_log(self) -> str:
        """The command that shows it."""
        return f"kubectl logs -n {sync.NAMESPACE} deployment/{sync.RELEASE}"

    # --- objects ------------------------------------------------------------------------------------

    def written(self, name: str) -> Path:
        """A manifest with the digests of the images as they were made on this machine; where it was written to."""
        documents = list(yaml.safe_load_all((MANIFESTS / name).read_text()))
        target = self.home / name
        target.write_text(yaml.safe_dump_all([pinned(document, self.images) for document in documents]))
        return target

    def pod(self, name: str, namespace: str) -> Manifest:
        """A pod, once it is ready.

        Raises:
            StepFailed: it does not get ready.
        """

        def look() -> Manifest | None:
            found = self.get("pods", name, namespace)
            return found if found and pods.is_ready(found) else None

        return self.await_(f"the pod {name} in {namespace}", look)

    def import_pods(self, model: str) -> list[Manifest]:
        """The pods that import a model, ended ones too."""
        return self.items("pods", NAMESPACE, f"sovereignai.io/model={model},app.kubernetes.io/component=import")

    # --- questions ----------------------------------------------------------------------------------

    def ask(self, question: str, pool: str = FRENCH) -> str:
        """Show a question that is asked from an allowed namespace, and return the answer.

        Raises:
            StepFailed: there is no answer.
        """
        done = self.attempt("exec", "caller", "-n", CALLERS, "--", *asking(question, chat.url(pool, NAMESPACE)))
        return heard(done)

    def ask_quietly(self, question: str, pool: str = FRENCH, turn: int = 0) -> str:
        """Ask a replica of a pool by its address, another one each turn; empty when there is no answer."""
        serving = self.serving(pool)
        addresses = [pod["status"]["podIP"] for pod in self.pods(pool) if pod["metadata"]["name"] in serving]
        if not addresses:
            return ""
        words = asking(question, f"http://{addresses[turn % len(addresses)]}:{chat.PORT}")
        done = self._kubectl("exec", "caller", "-n", CALLERS, "--", *words)
        return heard(done) if done.returncode == 0 else ""

    def ask_past_api_server(self, caller: Manifest, question: str, address: str, *, quiet: bool = False) -> str:
        """Ask from inside the caller's pod, which is entered from this machine; empty when there is no answer."""
        command = [*pods.enter(self.layout, caller, ("--net", "--mount")), *asking(question, address)]
        if not quiet:
            self.screen.shell(shlex.join(command))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return heard(done) if done.returncode == 0 else ""

    def refused_to_strangers(self, pool: str = FRENCH) -> None:
        """Try to reach a pool from a namespace that may not.

        Raises:
            StepFailed: it was reached.
        """
        target = f"{chat.url(pool, NAMESPACE)}/health"
        done = self.attempt("exec", "caller", "-n", STRANGERS, "--", "wget", "-q", "-O-", "-T", str(_REFUSED), target)
        hold(done.returncode != 0, f"{pool} answered a pod in {STRANGERS}: {done.stdout.strip()}")
        self.screen.refusal(done.stderr.splitlines()[0])


def asking(question: str, address: str) -> list[str]:
    """The command that asks a model, as it is typed in the caller's pod."""
    return [
        *("wget", "-q", "-O-", "-T", str(_TIMEOUT), "--header=Content-Type: application/json"),
        f"--post-data={chat.body(question)}",
        f"{address}/v1/chat/completions",
    ]


def heard(done: "subprocess.CompletedProcess[str]") -> str:
    """What the model said to `asking`.

    Raises:
        StepFailed: nothing.
    """
    if done.returncode != 0:
        raise StepFailed(f"the model does not answer: {done.stderr.strip()}")
    return chat.said(done.stdout)


def pinned(document: Any, images: dict[str, str]) -> Any:
    """A manifest in which each ``image`` that ends with one of these names is the reference by digest."""
    if isinstance(document, dict):
        return {
            key: images.get(str(value).rpartition("/")[2], value) if key == "image" else pinned(value, images)
            for key, value in document.items()
        }
    return [pinned(entry, images) for entry in document] if isinstance(document, list) else document
