"""Where a control plane comes from: processes on this machine, kind, or somebody else's cluster.

Each provider leaves a kubeconfig with full rights in the cluster's folder; all that follows (fake nodes,
volumes, identities) is the same for each.
"""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries, pki, services
from testbed.controlplane import PORT_NAMES, ControlPlane
from testbed.errors import TestbedError
from testbed.kubectl import Kubectl
from testbed.nodes import fleet
from testbed.ports import LOOPBACK
from testbed.services import Service
from testbed.state import State

NAMES = ("auto", "kubeconfig", "kind", "envtest", "binaries")
LOCAL = ("envtest", "binaries")  # the control plane's processes are ours


@dataclass(frozen=True)
class Provider(ABC):
    """The control plane of the cluster in `folder`, as `state` remembers it."""

    folder: Path
    state: State

    @abstractmethod
    def up(self) -> None:
        """Make it answer, and have ``kubeconfig`` in the folder. Does only what is missing.

        Raises:
            TestbedError: it cannot be done; the text says what to do.
        """

    @abstractmethod
    def healthy(self) -> bool:
        """Whether it answers now."""

    @property
    def services(self) -> Sequence[Service]:
        """The control plane's processes on this machine, where they are ours."""
        return ()

    def down(self) -> None:
        """Remove what is not a process with a pid file in the folder."""
        return

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl with full rights."""
        return Kubectl(Path(self.state.programs["kubectl"]), self.folder / "kubeconfig")


class Local(Provider):
    """Processes on loopback, from programs that were built here or that envtest brought."""

    def up(self) -> None:
        """Start what does not run, restart what does not answer."""
        self._plane.write_files()
        services.ensure_ready(self.folder, self._plane.storage_and_api())
        services.ensure_ready(self.folder, self._plane.controllers())

    def healthy(self) -> bool:
        """Whether all four processes run and answer."""
        return (self.folder / "kubeconfig").exists() and services.running(self.folder, self.services)

    @property
    def services(self) -> Sequence[Service]:
        """Etcd, API server, controller manager, scheduler."""
        return [*self._plane.storage_and_api(), *self._plane.controllers()]

    @property
    def _plane(self) -> ControlPlane:
        state = self.state
        address = state.layout.machine if state.layout else LOOPBACK
        return ControlPlane(self.folder, state.ports, state.programs, tuple(state.apiserver_args), address)


class Existing(Provider):
    """A cluster that is there already, through a copy of its kubeconfig's current context."""

    def up(self) -> None:
        """Check that it answers; nothing is changed in it here."""
        if not self.healthy():
            raise TestbedError("the API server of the given kubeconfig does not answer /readyz with its credentials")

    def healthy(self) -> bool:
        """Whether /readyz answers with the kubeconfig's credentials."""
        return self.kubectl.run("get", "--raw", "/readyz", "--request-timeout=10s").returncode == 0


class Kind(Existing):
    """A cluster in Docker, made and deleted by the kind command. It has no audit log here."""

    def up(self) -> None:
        """Make the cluster, or take up the one that is there."""
        if self._cluster in _output("kind", "get", "clusters").split():
            _output("kind", "export", "kubeconfig", *self._arguments)
        else:
            _output("kind", "create", "cluster", "--wait=120s", *self._arguments)
        super().up()

    def down(self) -> None:
        """Delete it; that it is gone already is no error to kind."""
        _output("kind", "delete", "cluster", *self._arguments)

    @property
    def _cluster(self) -> str:
        return f"sovereign-testbed-{self.folder.name}"

    @property
    def _arguments(self) -> list[str]:
        return ["--name", self._cluster, "--kubeconfig", str(self.folder / "kubeconfig")]


def open_provider(folder: Path, state: State) -> Provider:
    """The provider that `state` names."""
    kinds: dict[str, type[Provider]] = {"kubeconfig": Existing, "kind": Kind}
    return kinds.get(state.provider, Local)(folder, state)


def choose(requested: str, kubeconfig: Path | None) -> str:
    """Decide on a provider: the requested one, or for `auto` the first that this machine can do.

    Raises:
        TestbedError: the requested one is unknown or cannot be had here; the text says what is missing.
    """
    if requested not in NAMES:
        raise TestbedError(f"no provider {requested!r}; there are {', '.join(NAMES)}")
    missing = {
        "kubeconfig": None if kubeconfig else "give --kubeconfig or set TESTBED_KUBECONFIG",
        "kind": _kind_misses(),
        "envtest": _envtest_misses(),
        "binaries": None,
    }
    if requested == "auto":
        return next(name for name, reason in missing.items() if reason is None)
    if reason := missing[requested]:
        raise TestbedError(f"provider {requested}: {reason}")
    return requested


def programs(provider: str, *, fake_nodes: bool, plugin: str | None = None) -> dict[str, str]:
    """Paths of the programs that a cluster of this provider runs, by name; what is missing is built.

    With `plugin`, those of real nodes with this network plugin too.

    Envtest brings an API server and etcd; controller manager, scheduler and KWOK are built here for it too.

    Raises:
        TestbedError: a program cannot be built.
    """
    if provider in LOCAL:
        needed = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"]
        found = {name: _program(name, provider) for name in needed}
    else:
        ready = shutil.which("kubectl")
        found = {"kubectl": Path(ready) if ready else binaries.require("kubectl")}
    if fake_nodes:
        found["kwok"] = binaries.require("kwok")
    if plugin:
        found |= {name: binaries.require(name) for name in fleet.programs(plugin)}
    return {name: str(path) for name, path in found.items()}


def copy_kubeconfig(kubectl: str, source: Path, target: Path) -> None:
    """Write the current context of the kubeconfig `source`, with nothing left in other files, to `target`.

    Raises:
        TestbedError: it cannot be read.
    """
    view = Kubectl(Path(kubectl), source.expanduser())
    pki.write_private(target, view("config", "view", "--raw", "--flatten", "--minify").encode())


def ports_needed(provider: str, *, real_nodes: bool) -> Sequence[str]:
    """Names of the ports that a cluster of this provider takes on loopback, and on the bridge of its real nodes."""
    return (*PORT_NAMES, *(["registry"] if real_nodes else [])) if provider in LOCAL else ("kwok",)


def _program(name: str, provider: str) -> Path:
    brought = Path(os.environ.get("KUBEBUILDER_ASSETS", "")) / name
    return brought if provider == "envtest" and brought.is_file() else binaries.require(name)


def _kind_misses() -> str | None:
    if not shutil.which("kind"):
        return "there is no kind command (https://kind.sigs.k8s.io)"
    try:  # the client alone says nothing: ask the engine
        ask = ["docker", "version", "--format", "{{.Server.Version}}"]
        subprocess.run(ask, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "no Docker engine answers (`docker version` fails)"
    return None


def _envtest_misses() -> str | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return "set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
    absent = [name for name in ("etcd", "kube-apiserver", "kubectl") if not (Path(assets) / name).is_file()]
    return f"KUBEBUILDER_ASSETS has no {', '.join(absent)}" if absent else None


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TestbedError(f"{' '.join(argv[:3])} failed:\n{done.stderr.strip()}")
    return done.stdout
