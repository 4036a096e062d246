"""A test cluster as its users see it: bring it up, get identities for it, ask it things, take it down."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed import audit, controlplane, fill, inventory, options, paths, pki, providers, services, state
from testbed.errors import TestbedError
from testbed.kubectl import Kubectl
from testbed.nodes.fleet import Fleet
from testbed.options import Options
from testbed.services import Service
from testbed.state import State

DEFAULT_NAME = "sovereign"


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up, or was when this was made. Make one with `Cluster.up` or `Cluster.load`."""

    name: str
    dir: Path

    @classmethod
    def up(
        cls,
        name: str = DEFAULT_NAME,
        *,
        provider: str = "auto",
        inventory_file: Path | None = None,
        kubeconfig: Path | None = None,
        fake_nodes: bool | None = None,
        apiserver_args: Sequence[str] = (),
        nodes: str | None = None,
        plugin: str | None = None,
        report: Callable[[str], None] = lambda step: None,
    ) -> "Cluster":
        """Have the cluster `name` running, filled from the inventory; return at once when it is already.

        Args:
            name: several clusters may be up side by side.
            provider: one of `providers.NAMES`; `auto` takes the first that this machine can do.
            inventory_file: nodes and volumes to fill it with (see `testbed.inventory`); by default the one of last
                time, or ``inventory.yaml``.
            kubeconfig: an existing cluster to use, by default TESTBED_KUBECONFIG; `auto` then takes the
                provider `kubeconfig`.
            fake_nodes: whether to add fake nodes and volumes; by default to all clusters but an existing one.
            apiserver_args: further flags of the API server, such as ``--feature-gates=...``.
            nodes: real nodes, as in ``fr:2,de:1,us:1``; needs root on Linux.
            plugin: their network plugin, one of `layout.PLUGINS`; by default calico, which enforces NetworkPolicy.
            report: told each step that takes time.

        Raises:
            TestbedError: it cannot be done; the text says what to do.
        """
        if kubeconfig is None and provider in ("auto", "kubeconfig") and os.environ.get("TESTBED_KUBECONFIG"):
            kubeconfig = Path(os.environ["TESTBED_KUBECONFIG"])
        folder = state.folder(name)
        state.sweep(folder.parent)
        with state.locked(folder, create=True):
            asked = Options(provider, inventory_file, kubeconfig, fake_nodes, tuple(apiserver_args), nodes, plugin)
            known = options.reconcile(folder, asked)
            cluster = cls(name, folder)
            cluster._ensure_up(known, report)
        return cluster

    @classmethod
    def load(cls, name: str = DEFAULT_NAME) -> "Cluster":
        """The cluster `name`, whose folder must exist.

        Raises:
            TestbedError: there is none.
        """
        cluster = cls(name, state.folder(name))
        if not (cluster.dir / "kubeconfig").exists():
            raise TestbedError(f"there is no cluster {name!r}; bring it up with `python -m testbed up --name {name}`")
        return cluster

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig with full rights."""
        return self.dir / "kubeconfig"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._cluster_entry["server"])

    @property
    def ca(self) -> Path:
        """PEM file of the CA that signed the API server's certificate."""
        path = self.dir / "ca.crt"
        if not path.exists():
            pki.write_private(path, self._ca_pem)
        return path

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log (see `testbed.audit`); None where the API server is not ours."""
        log = self.dir / "audit.log"
        return log if log.exists() else None

    @property
    def kubectl_program(self) -> Path:
        """Path of a kubectl that fits the cluster."""
        return Path(self._state.programs["kubectl"])

    def kubectl(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - the name subprocess uses
        """Run kubectl with full rights and return what it prints; raises TestbedError with what it said."""
        return self._kubectl(*args, input=input)

    def kubectl_as(self, kubeconfig: Path) -> Kubectl:
        """Kubectl with another identity; its `run` returns refusals instead of raising them."""
        return Kubectl(self.kubectl_program, kubeconfig)

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of `user`, a member of `groups`, such as ``system:node:NAME`` in ``system:nodes``.

        Where the cluster's CA key is not ours, it is a kubeconfig that impersonates them: authorization and
        admission see the same user.
        """
        stem = "user-" + hashlib.sha256(json.dumps([user, *groups]).encode()).hexdigest()[:12]
        path = self.dir / f"{stem}.kubeconfig"
        if path.exists():
            return path
        folder = self.dir / "pki"
        if folder.exists():
            pki.issue_client(folder, stem, user, groups)
            pki.write_kubeconfig(path, self.server, self._ca_pem, pki.client_entry(folder, stem))
        else:
            entry = self._current("user") | {"as": user, "as-groups": list(groups)}
            pki.write_kubeconfig(path, self.server, self._ca_pem, entry)
        return path

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a fresh token (24 h) of a service account.

        Raises:
            TestbedError: there is no such service account.
        """
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=24h").strip()
        path = self.dir / f"serviceaccount-{namespace}-{name}.kubeconfig"
        pki.write_kubeconfig(path, self.server, self._ca_pem, {"token": token})
        return path

    def add_volumes(self, region: str, count: int, size: str = "500Gi") -> list[str]:
        """Add volumes that claims of the class ``local-<region>`` can bind; their names."""
        return fill.add_volumes(self._kubectl, region, count, size)

    def refill(self) -> None:
        """Put nodes, facts and volumes back to what the inventory says, after a test or demonstration changed them."""
        known = self._state
        if known.fake_nodes:
            fill.fill(self._kubectl, _inventory(known))
        if fleet := self._fleet(known):
            fleet.settle(self._kubectl)

    @property
    def fleet(self) -> Fleet:
        """The real nodes.

        Raises:
            TestbedError: the cluster has none.
        """
        found = self._fleet(self._state)
        if found is None:
            raise TestbedError(
                f"cluster {self.name!r} has no real nodes; bring it up with --nodes, for example fr:2,de:1,us:1"
            )
        return found

    def finish_pod(self, namespace: str, name: str, message: str = "", exit_code: int = 0) -> None:
        """End a pod as its kubelet would: all containers terminated with `exit_code` and `message`.

        Fake nodes leave the pod of a Job that mounts a claim Running until this is called.
        """
        pod = json.loads(self.kubectl("get", "pod", name, "-n", namespace, "-o", "json"))
        reason = "Completed" if exit_code == 0 else "Error"
        terminated = {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}
        statuses = [
            {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
            | {"ready": False, "started": False, "state": terminated}
            for container in pod["spec"]["containers"]
        ]
        status = {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": statuses}
        patch = json.dumps({"status": status})
        self.kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)

    def requests(self, since: int = 0) -> list[audit.Request]:
        """Requests after the byte `since` of the audit log; has all that were answered before this call.

        Raises:
            TestbedError: the cluster has no audit log.
        """
        log = self.audit_log
        if log is None:
            raise TestbedError(f"cluster {self.name!r} has no audit log; use the provider binaries or envtest")
        audit.settle(log, self._kubectl)
        return audit.requests(log, since)

    def services(self) -> list[Service]:
        """The processes on this machine that belong to it."""
        known = self._state
        fleet = self._fleet(known)
        return [
            *providers.open_provider(self.dir, known).services,
            *([self._kwok(known)] if known.fake_nodes else []),
            *(fleet.services() if fleet else []),
        ]

    def healthy(self) -> bool:
        """Whether everything that belongs to it runs and answers now."""
        known = state.load(self.dir)
        return known is not None and self._healthy(known)

    def down(self) -> None:
        """Take it down; see `down`."""
        _take_down(self.dir)

    def _ensure_up(self, known: State, report: Callable[[str], None]) -> None:
        wanted = _inventory(known)
        if known.filled == (wanted.digest if known.fake_nodes else None) and self._healthy(known):
            return
        fleet = self._fleet(known)
        if fleet:
            fleet.connect()
        report(f"control plane ({known.provider})")
        providers.open_provider(self.dir, known).up()
        if known.fake_nodes:
            report(f"{len(wanted.nodes)} nodes in {len(wanted.regions)} regions, with volumes")
            services.ensure_ready(self.dir, [self._kwok(known)])
            fill.fill(self._kubectl, wanted)
            known.filled = wanted.digest
            state.save(self.dir, known)
        if fleet:
            fleet.up(self._kubectl, report)

    def _healthy(self, known: State) -> bool:
        kwok = [self._kwok(known)] if known.fake_nodes else []
        fleet = self._fleet(known)
        return (
            providers.open_provider(self.dir, known).healthy()
            and services.running(self.dir, kwok)
            and (fleet is None or fleet.healthy())
        )

    def _fleet(self, known: State) -> Fleet | None:
        return Fleet(self.dir, known.layout, known.programs, known.ports) if known.layout else None

    def _kwok(self, known: State) -> Service:
        own = self.dir / "kwok.kubeconfig"
        kubeconfig = own if own.exists() else self.kubeconfig
        return controlplane.kwok(self.dir, Path(known.programs["kwok"]), kubeconfig, known.ports["kwok"])

    @property
    def _kubectl(self) -> Kubectl:
        return Kubectl(self.kubectl_program, self.kubeconfig)

    @property
    def _state(self) -> State:
        known = state.load(self.dir)
        if known is None:
            raise TestbedError(f"cluster {self.name!r} was never fully made; run `up` again, or `down`")
        return known

    def _current(self, kind: str) -> dict[str, Any]:
        document = yaml.safe_load(self.kubeconfig.read_text())
        context = next(c["context"] for c in document["contexts"] if c["name"] == document["current-context"])
        return next(entry[kind] for entry in document[f"{kind}s"] if entry["name"] == context[kind])

    @property
    def _cluster_entry(self) -> dict[str, Any]:
        return self._current("cluster")

    @property
    def _ca_pem(self) -> bytes:
        return base64.b64decode(self._cluster_entry.get("certificate-authority-data", ""))


def _inventory(known: State) -> inventory.Inventory:
    return inventory.load(Path(known.inventory or paths.DEFAULT_INVENTORY))


def down(name: str = DEFAULT_NAME) -> bool:
    """End all processes of a cluster and delete its folder, in whatever state it is; whether there was one.

    Of a cluster that is not ours only what was added is removed.

    Raises:
        TestbedError: something cannot be removed; the text says what.
    """
    return _take_down(state.folder(name))


def _take_down(folder: Path) -> bool:
    state.sweep(folder.parent)
    with state.locked(folder, create=False) as there:
        if there:
            try:
                known = state.load(folder)
            except TestbedError:  # of another version: its processes have pid files all the same
                known = None
            if known:
                provider = providers.open_provider(folder, known)
                if known.provider == "kubeconfig" and known.fake_nodes:
                    fill.empty(provider.kubectl)
                provider.down()
            state.remove(folder)
    state.sweep(folder.parent)
    return there
