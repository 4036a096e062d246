"""Nothing that is in the tree twice differs from its source."""

from charts import sync
from testbed import binaries
from testbed.helm import Helm


def test_copies_and_manifests_are_current(helm: Helm) -> None:
    stale = sync.stale(sync.copies() | sync.manifests(binaries.require("helm")))
    assert stale == [], "run `make chart`"


def test_manifests_are_the_same_at_every_rendering(helm: Helm) -> None:
    assert sync.manifests(binaries.require("helm")) == sync.manifests(binaries.require("helm"))
