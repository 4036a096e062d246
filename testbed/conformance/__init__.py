"""The test bed checked itself: what its network plugins do to the upstream NetworkPolicy suite."""

from testbed.conformance.suite import Result, check

__all__ = ["Result", "check"]
