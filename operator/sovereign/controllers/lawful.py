"""The nodes that all policies of a namespace approve, and which of their changes matter to pools.

What a pool's plan reads of nodes is which sorts of them there are, and never how many of each (`plan.gpus`: least and most memory, the most
GPUs of one node, whether there is any). So a node that comes, goes or changes concerns pools only where the last of a sort goes, or the
first comes. Where a pool's own pods stand is another question, which their events answer.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.plan.gpus import MEMORY_LABEL
from sovereign.plan.inventory import Node

Names = tuple[str, ...]
"""The policies of a namespace."""
_LABELS: Final = (FACT_JURISDICTION, FACT_REGION, MEMORY_LABEL)
_Sort = tuple[tuple[str | None, ...], tuple[str | None, ...]]
"""The values of a node's labels and resources that pools look at."""


class _Lawful:
    """The lawful nodes of some policies."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.sorts: Counter[_Sort] = Counter()
        self.ordered: Sequence[Node] | None = None

    def take(self, name: str, node: Node | None) -> None:
        """Know a node anew; None: it is not lawful."""
        self.ordered = None
        if node is None:
            self.nodes.pop(name, None)
        else:
            self.nodes[name] = node


class LawfulNodes:
    """Kept up to date node by node, for each set of policies that was asked for."""

    def __init__(self, nodes: Mapping[str, Node], approved: Mapping[str, Collection[str]]) -> None:
        self._nodes = nodes
        self._approved = approved
        """Names of approved nodes by policy."""
        self._labels: tuple[str, ...] = _LABELS
        self._resources: tuple[str, ...] = ()
        self._by_policies: dict[Names, _Lawful] = {}
        self._changed: set[Names] = set()

    def of(self, policies: Names) -> Sequence[Node]:
        """The nodes that all of ``policies`` approve, by name; none without a policy."""
        if not policies:
            return ()
        found = self._by_policies.get(policies)
        if found is None:
            found = _Lawful(self._nodes[name] for name in self._approved_by_all(policies) if name in self._nodes)
            self._by_policies[policies] = found
            self._count(found)
        if found.ordered is None:
            found.ordered = [found.nodes[name] for name in sorted(found.nodes)]
        return found.ordered

    def _approved_by_all(self, policies: Names) -> Collection[str]:
        return frozenset.intersection(*(frozenset(self._approved.get(name, ())) for name in policies))

    def look_at(self, labels: Iterable[str], resource: str) -> None:
        """A pool looks at these labels of nodes, and at how much they have of this resource."""
        labels = {*labels} - {*self._labels}
        if not labels and resource in self._resources:
            return
        self._labels += tuple(sorted(labels))
        self._resources = tuple(dict.fromkeys((*self._resources, resource)))
        for found in self._by_policies.values():
            self._count(found)

    def regard(self, policy: str) -> None:
        """A policy changed or went: whoever it governs asks anew."""
        for policies in [policies for policies in self._by_policies if policy in policies]:
            del self._by_policies[policies]

    def judged(self, name: str) -> None:
        """A node came, went or changed, and policies have judged it."""
        node = self._nodes.get(name)
        for policies, found in self._by_policies.items():
            before = found.nodes.get(name)
            lawful = node is not None and all(name in self._approved.get(policy, ()) for policy in policies)
            after = node if lawful else None
            if self._matters(found, before, after):
                self._changed.add(policies)
            if before != after:
                found.take(name, after)

    def take_changed(self) -> set[Names]:
        """The sets of policies whose pools have to look again, since this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    def _matters(self, found: _Lawful, before: Node | None, after: Node | None) -> bool:
        """Whether the sorts of lawful nodes are others than before. Without any, every node is a reason why there is none."""
        matters = not found.nodes
        old = self._sort(before) if before is not None else None
        new = self._sort(after) if after is not None else None
        if old == new:
            return matters
        if new is not None:
            found.sorts[new] += 1
            matters |= found.sorts[new] == 1
        if old is not None:
            found.sorts[old] -= 1
            matters |= found.sorts[old] == 0
        return matters

    def _count(self, found: _Lawful) -> None:
        found.sorts = Counter(map(self._sort, found.nodes.values()))

    def _sort(self, node: Node) -> _Sort:
        labels, allocatable = node.labels, node.allocatable
        return tuple(map(labels.get, self._labels)), tuple(map(allocatable.get, self._resources))
