"""The test bed: real Kubernetes control planes on one machine, with fake GPU nodes in several jurisdictions.

The public interface is small: :class:`Cluster` (bring one up, get identities for it, take it down),
:func:`testbed.binaries.require` (a tool built from its committed Go module) and :mod:`testbed.audit`
(which requests did the API server receive, and from whom).
"""

from testbed.cluster import Cluster
from testbed.errors import TestbedError

__all__ = ["Cluster", "TestbedError"]
