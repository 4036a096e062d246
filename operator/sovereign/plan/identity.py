"""Which machine a node is. Facts hold for the machine that they were set for, and not for the next one that has its name.

The operator keeps what it saw when it first approved a node in the label `FACT_IDENTITY`: a hash of each of UID,
``spec.providerID`` and ``status.nodeInfo.systemUUID``, ``0`` for what is empty. What a kubelet says of its machine
is its own word: this notices a machine that was replaced, and no machine that pretends to be another.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from sovereign.api.meta import FACT_IDENTITY, FACT_JURISDICTION, FACT_PROVIDER, FACT_REGION
from sovereign.plan.inventory import Node

COMPONENTS: Final = ("UID", "providerID", "systemUUID")
FACTS: Final = (FACT_JURISDICTION, FACT_REGION, FACT_PROVIDER)
"""The facts that go when a node turns out to be another machine."""

_DIGITS: Final = 16
"""Of each hash, so that three of them are a label's value (63 characters at most)."""
_EMPTY: Final = "0"


@lru_cache(maxsize=65_536)
def _identity(uid: str, provider_id: str, system_uuid: str) -> str:
    parts = (uid, provider_id, system_uuid)
    return ".".join(sha256(part.encode()).hexdigest()[:_DIGITS] if part else _EMPTY for part in parts)


def identity(node: Node) -> str:
    """The value of `FACT_IDENTITY` for the machine that ``node`` is."""
    return _identity(node.uid, node.provider_id, node.system_uuid)


def bound(node: Node) -> bool:
    """Whether the node's facts are bound to the machine that it is, with all that is known of it.

    A node without a UID was read from a file, and is no machine.
    """
    return not node.uid or node.labels.get(FACT_IDENTITY) == identity(node)


def rebound(node: Node) -> Node:
    """The node as it would be if its facts had been set for the machine that it is."""
    return msgspec.structs.replace(node, labels={**node.labels, FACT_IDENTITY: identity(node)})


def other_machine(node: Node) -> bool:
    """Whether the node is another machine than the one that its facts were bound to."""
    stated = node.labels.get(FACT_IDENTITY)
    return stated is not None and bool(node.uid) and stated != identity(node) and bool(differences(node))


def differences(node: Node) -> tuple[str, ...]:
    """Those of `COMPONENTS` that are not what the facts were bound to. What was empty and is known now is learned, and no change."""
    stated = node.labels.get(FACT_IDENTITY, "").split(".")
    if len(stated) != len(COMPONENTS):
        return COMPONENTS
    found = identity(node).split(".")
    pairs = zip(COMPONENTS, stated, found, strict=True)
    return tuple(name for name, before, now in pairs if before not in (now, _EMPTY))


def facts(node: Node) -> dict[str, str]:
    """The facts of a node by label, in the order of `FACTS`."""
    return {key: node.labels[key] for key in FACTS if key in node.labels}


def command(name: str, wanted: dict[str, str]) -> str:
    """What sets facts of a node."""
    return " ".join(["kubectl label node", name, "--overwrite", *(f"{key}={value}" for key, value in wanted.items())])
