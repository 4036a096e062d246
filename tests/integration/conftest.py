"""One control plane for all integration tests of a run, and namespaces of its own for each test.

Workers of one run share the control plane. It is taken down by the last of them, or stays when TESTBED_NAME names one that was
there before.
"""

import fcntl
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from sovereign.api.crd import definition
from sovereign.api.crd import text as crd_text
from sovereign.api.kinds import KINDS
from testbed import Cluster
from testbed.cluster import down as take_down
from tests.integration.api import Api

TEST_LABEL = "sovereignai.io/test"
"""On the namespace of each test, with the namespace's name as value: what a test's policy selects."""

_HERE = Path(__file__).parent
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)
_LEASE = pytest.StashKey[IO[str]]()
_STATE_HOME = os.environ.get("XDG_STATE_HOME")
"""Where this run's control plane lives. Fixtures of other folders point the variable elsewhere for as long as they last."""


def _lock_file() -> Path:
    return Path(tempfile.gettempdir()) / f"sovereign-tests-{_RUN}.lock"


def _name() -> str:
    return f"tests-{_RUN[:12]}"


@contextmanager
def _own_state() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if _STATE_HOME is None:
            patch.delenv("XDG_STATE_HOME", raising=False)
        else:
            patch.setenv("XDG_STATE_HOME", _STATE_HOME)
        yield


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take a share in the run's control plane, before any worker runs a test: whoever is last takes it down."""
    wanted = any(_HERE in item.path.parents for item in session.items)
    if wanted and not session.config.option.collectonly and "TESTBED_NAME" not in os.environ:
        lease = _lock_file().open("w")
        fcntl.flock(lease, fcntl.LOCK_SH)
        session.config.stash[_LEASE] = lease


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the share back; without other shares left, take the control plane down."""
    lease = session.config.stash.get(_LEASE, None)
    if lease is None:
        return
    with lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another worker still has its share
            return
        with _own_state():
            take_down(_name())
        _lock_file().unlink(missing_ok=True)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with full rights, or on behalf of another user."""

    cluster: Cluster

    def __call__(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - the name subprocess uses
        as_user: str | None = None,
        as_groups: Sequence[str] = (),
    ) -> str:
        """What it prints; fails the test when kubectl fails."""
        done = self.run(*args, input=input, as_user=as_user, as_groups=as_groups)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def run(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - the name subprocess uses
        as_user: str | None = None,
        as_groups: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """How it ended, for those who expect a refusal."""
        identity = [f"--as={as_user}"] if as_user else []
        identity += [f"--as-group={group}" for group in as_groups]
        return self.cluster.kubectl_as(self.cluster.kubeconfig).run(*args, *identity, input=input)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A control plane with the test bed's nodes and our CRDs."""
    given = os.environ.get("TESTBED_NAME")
    # Whichever worker is first brings it up; the others wait in here until it is.
    with _own_state():
        made = Cluster.load(given) if given else Cluster.up(_name())
    with (made.dir / "crds.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        applied = made.dir / f"crds-{_RUN}"
        if not applied.exists():
            documents = "---\n".join(crd_text(definition(kind)) for kind in KINDS)
            made.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=documents)
            made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
            applied.touch()
    return made


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Kubectl:
    """``kubectl(*args, input=..., as_user=...)``; ``kubectl.run`` returns refusals instead of failing."""
    return Kubectl(cluster)


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """The API server over HTTP, with full rights."""
    return Api.of(cluster.kubeconfig)


@pytest.fixture
def namespace(api: Api, kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace with its service account, labelled `TEST_LABEL` = its name."""
    name = f"t-{secrets.token_hex(4)}"
    yield make_namespace(api, kubectl, name, {TEST_LABEL: name})
    api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def free_namespace(api: Api, kubectl: Kubectl) -> Iterator[str]:
    """A fresh namespace that no policy selects."""
    name = f"f-{secrets.token_hex(4)}"
    yield make_namespace(api, kubectl, name, {})
    api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def tenant(api: Api, namespace: str) -> Api:
    """A user who has the role ``edit`` in `namespace`, and nothing else."""
    return make_tenant(api, namespace)


def make_namespace(api: Api, kubectl: Kubectl, name: str, labels: dict[str, str]) -> str:
    """Create a namespace and wait for what the cluster puts into it."""
    answer = api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    assert answer.ok, answer.message
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
    return name


def make_tenant(api: Api, namespace: str) -> Api:
    """A user with the role ``edit`` in ``namespace``."""
    user = f"tenant-{namespace}"
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    answer = api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "tenant", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [subject],
        }
    )
    assert answer.ok, answer.message
    tenant = api.as_user(user)
    # The API server's authorizer hears of the binding a moment later.
    deadline = time.monotonic() + 30
    while not tenant.request("GET", f"/api/v1/namespaces/{namespace}/configmaps").ok:
        assert time.monotonic() < deadline, "the tenant's role does not come into effect"
    return tenant
