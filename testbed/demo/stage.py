"""What every step works with: the cluster, the screen, and words for what steps do to one and show on the other."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from testbed import Cluster
from testbed.demo import claims, tables
from testbed.demo.api import Api
from testbed.demo.claims import StepFailed
from testbed.demo.daemons import Operator
from testbed.demo.screen import Screen
from testbed.demo.tables import Manifest
from testbed.objects import FACT_PREFIX

MANIFESTS = Path(__file__).parent / "manifests"
NAMESPACE = "assistants"
TENANT = "anna"
PATIENCE = 60.0
REPLICA = "app.kubernetes.io/component=serving"
"""The label of pods that serve."""

T = TypeVar("T")


@dataclass
class Stage:
    """The demonstration as it stands."""

    name: str
    screen: Screen
    policy_file: Path
    provider: str = "auto"
    policy: str = ""
    """Name of the policy, once it is applied."""
    _cluster: Cluster | None = None
    _api: Api | None = None
    _operator: Operator | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster, which the first step brings up."""
        if self._cluster is None:
            raise StepFailed("there is no cluster yet")
        return self._cluster

    @cluster.setter
    def cluster(self, made: Cluster) -> None:
        self._cluster, self._api = made, Api(made.kubeconfig)

    @property
    def api(self) -> Api:
        """The cluster's API server, looked at with full rights."""
        if self._api is None:
            raise StepFailed("there is no cluster yet")
        return self._api

    @property
    def operator(self) -> Operator:
        """The operator, which the first step starts."""
        if self._operator is None:
            raise StepFailed("the operator has not been started yet")
        return self._operator

    @operator.setter
    def operator(self, made: Operator) -> None:
        self._operator = made

    @property
    def has_operator(self) -> bool:
        """Whether there is an operator, whose log could be shown."""
        return self._operator is not None

    def operator_log(self) -> str:
        """What the operator has said so far; empty where that is not known."""
        if self._operator is None or not self._operator.log.exists():
            return ""
        return self._operator.log.read_text(errors="replace")

    def where_log(self) -> str:
        """Where somebody who looks around finds the operator's log: a path, or a command."""
        return str(self.operator.log)

    @property
    def home(self) -> Path:
        """The demonstration's own files; they go with the cluster."""
        return self.cluster.dir / "demo"

    # --- shown ----------------------------------------------------------------------------------------

    def do(self, *words: str | Path, quiet: bool = False) -> str:
        """Show a kubectl command, run it with full rights, and show what it prints unless ``quiet``.

        Raises:
            StepFailed: kubectl failed.
        """
        printed = self._succeeded(self.attempt(*words))
        if not quiet:
            self.screen.answer(printed)
        return printed

    def attempt(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Show a kubectl command and run it; for those who expect a refusal."""
        self.screen.command("kubectl", *words)
        return self._kubectl(*words)

    @contextmanager
    def meanwhile(self, *words: str | Path) -> Iterator[None]:
        """Show a kubectl command and run it while the body looks at what comes of it; then show what it printed.

        Raises:
            StepFailed: kubectl failed.
        """
        self.screen.command("kubectl", *words)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._kubectl, *words)
            yield
        self.screen.answer(self._succeeded(running.result()))

    def await_(self, what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
        """Show what is waited for, and wait until ``look`` sees something.

        Raises:
            StepFailed: it saw nothing in time, or the operator has ended although nobody stopped it.
        """
        if seen := look():
            return seen
        with self.screen.waiting(what):
            return claims.eventually(what, lambda: self._watchful(look), patience)

    # --- seen -----------------------------------------------------------------------------------------

    def items(self, resource: str, namespace: str = "", selector: str = "") -> list[Manifest]:
        """Objects of a resource."""
        return list(self.api.items(resource, namespace, selector))

    def get(self, resource: str, name: str, namespace: str = "") -> Manifest | None:
        """One object, or None."""
        return self.api.get(resource, name, namespace)

    def await_condition(self, resource: str, name: str, type_: str, status: str, reason: str = "") -> Manifest:
        """Wait for a condition of an object in the team's namespace (or of a policy), and return it.

        Raises:
            StepFailed: it did not come; the text has what it is instead.
        """
        namespace = "" if resource == "sovereigntypolicies" else NAMESPACE
        last: Manifest = {}

        def look() -> Manifest | None:
            nonlocal last
            last = tables.condition(self.get(resource, name, namespace), type_)
            return last if last.get("status") == status and reason in ("", last.get("reason")) else None

        try:
            return self.await_(f"{name} to be {type_}={status} {reason}".rstrip(), look)
        except StepFailed as error:
            found = f"{last.get('status', 'missing')} {last.get('reason', '')}: {last.get('message', '')}"
            raise StepFailed(f"{error}; it is {found}") from error

    def await_ready(self) -> list[Manifest]:
        """Wait until every pool of the team is Ready; the pools.

        Raises:
            StepFailed: one is not; the text has its reason.
        """
        for pool in (pools := self.items("inferencepools", NAMESPACE)):
            self.await_condition("inferencepools", pool["metadata"]["name"], "Ready", "True")
        return pools

    def pods(self, pool: str = "") -> list[Manifest]:
        """The replicas of a pool, or of all pools, that are not ending. Pods that probe the network are none."""
        of_pool = f"sovereignai.io/pool{f'={pool}' if pool else ''}"
        return tables.staying(self.items("pods", NAMESPACE, f"{of_pool},{REPLICA}"))

    def serving(self, pool: str) -> set[str]:
        """Names of the pods that the Service of a pool sends requests to."""
        return tables.serving(self.items("endpointslices", NAMESPACE, f"kubernetes.io/service-name={pool}"))

    def approved(self) -> set[str]:
        """Names of the nodes that carry the policy's label."""
        return {node["metadata"]["name"] for node in self.items("nodes", selector=f"{self.label}=true")}

    @property
    def label(self) -> str:
        """The label of the nodes that the policy approves."""
        return f"{self.policy}.{FACT_PREFIX}/approved"

    # --------------------------------------------------------------------------------------------------

    def _kubectl(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        return self.cluster.kubectl_as(self.cluster.kubeconfig).run(*map(str, words))

    def _succeeded(self, done: "subprocess.CompletedProcess[str]") -> str:
        if done.returncode != 0:
            raise StepFailed(f"kubectl says: {done.stderr.strip()}")
        return done.stdout

    def _watchful(self, look: Callable[[], T | None]) -> T | None:
        if self._operator is not None and not self._operator.runs:
            raise StepFailed("the operator has ended by itself")
        return look()
