"""The cluster cut off from everything but itself: no API server, no source of weights, no registry. Nodes and pods run on."""

from testbed import services
from testbed.cluster import Cluster

PROCESSES = ("kube-", "etcd", "outside-", "registry")
"""What the names of the processes that are ended begin with: API server, controllers and scheduler; the outside world."""


def off(cluster: Cluster) -> None:
    """End them all.

    Raises:
        TestbedError: one does not end.
    """
    for name in PROCESSES:
        services.stop(cluster.dir, name)


def back(cluster: Cluster) -> Cluster:
    """Start what does not run; the cluster, whose old connections are gone.

    Raises:
        TestbedError: it does not get ready; the text says what.
    """
    return Cluster.up(cluster.name, provider="binaries")
