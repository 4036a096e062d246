"""How long an unlawful pod may take to end. All of it fits into the policy's grace period: eviction, retries, and the pod's own ending.

A NetworkPolicy does not cut connections that are open, so an answer that is being streamed ends with its pod and not before.
"""

from typing import Final

KUBELET_EXTRA: Final = 2
"""Seconds that a kubelet gives a container on top when its preStop hook took all there was (its minimumGracePeriodInSeconds)."""
SHORTEST: Final = 1
"""Seconds that a pod is given at least. 0 would be a forced deletion: the API server forgets the pod at once, without the kubelet's
word that its containers have ended, and an unlawful pod that still runs would be seen by nobody."""


def grace(own: int, left: float) -> int:
    """Seconds that a pod is given to end: its own, or what is left of the policy's grace period where that is less."""
    return max(SHORTEST, min(own, int(left - KUBELET_EXTRA)))


def refusable(grace_seconds: int) -> float:
    """Seconds for which an eviction may be refused before the pod is deleted.

    The deletion has to end within the policy's grace period too. A grace period too short for that is halved: a disruption budget
    gets its chance.
    """
    return max(float(grace_seconds - SHORTEST - KUBELET_EXTRA), grace_seconds / 2)


def shortened(given: int, remaining: float, left: float) -> int | None:
    """Seconds to which a pod is shortened that was told to end before; None when it ends in time, or cannot be shortened.

    Args:
        given: seconds that it was given.
        remaining: seconds until these are over.
        left: seconds until the policy's grace period is over.
    """
    if remaining <= max(left - KUBELET_EXTRA, 0.0):
        return None
    # The API server only ever shortens, and counts from the first deletion; the kubelet counts anew from when it hears of it. So a
    # pod that has been ending for longer than what is left gets 1 s from the API server: never more than what is left.
    shorter = grace(given, left)
    return shorter if shorter < given else None
