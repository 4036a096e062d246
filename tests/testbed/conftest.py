"""Clusters for the tests of the test bed itself, in a state directory of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import Cluster
from tests.testbed.machine import processes_of, run_testbed


@pytest.fixture(scope="package")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory in which only these tests have clusters; what they leave there is taken down."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        patch.delenv("TESTBED_KUBECONFIG", raising=False)
        yield home
        run_testbed("down", "--all")
    assert processes_of(home) == []
    assert list(home.iterdir()) == []


@pytest.fixture(scope="package")
def cluster(state_home: Path) -> Cluster:
    """A cluster filled from the default inventory."""
    return Cluster.up("first", provider="binaries")
