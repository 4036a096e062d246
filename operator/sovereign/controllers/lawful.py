"""The nodes that all policies of a namespace approve, and which of their changes matter to pools.

What a pool's plan reads of nodes is which sorts of them there are, and never how many of each (`plan.gpus`: least and most memory, the most
GPUs of one node, whether there is any). So one node of each sort is enough to plan with, and a node that comes, goes or changes concerns
pools only where the last of a sort goes, or the first comes. Where a pool's own pods stand is another question, which their events answer.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.api.pool import Accelerator
from sovereign.plan.gpus import MEMORY_LABEL
from sovereign.plan.inventory import Node

Names = tuple[str, ...]
"""The policies of a namespace."""
_LABELS: Final = (FACT_JURISDICTION, FACT_REGION, MEMORY_LABEL)
_Sort = tuple[tuple[str | None, ...], tuple[str | None, ...]]
"""The values of a node's labels and resources that pools look at."""


class _Lawful:
    """The lawful nodes of some policies, by name and by sort."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.by_sort: defaultdict[_Sort, dict[str, Node]] = defaultdict(dict)

    def add(self, node: Node, sort: _Sort) -> bool:
        """Take in a node; whether it is the first of its sort."""
        self.nodes[node.name] = node
        alike = self.by_sort[sort]
        alike[node.name] = node
        return len(alike) == 1

    def remove(self, node: Node, sort: _Sort) -> bool:
        """Let a node go; whether it was the last of its sort."""
        del self.nodes[node.name]
        alike = self.by_sort[sort]
        del alike[node.name]
        if not alike:
            del self.by_sort[sort]
        return not alike


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

    def of(self, policies: Names) -> Mapping[str, Node]:
        """The nodes that all of ``policies`` approve, by name; none without a policy."""
        return self._of(policies).nodes

    def examples(self, policies: Names, accelerator: Accelerator) -> list[Node]:
        """One of these nodes of each sort: a pool that asks for this accelerator is planned with them as with all."""
        self._look_at(accelerator.node_selector, accelerator.resource_name)
        return [next(iter(alike.values())) for alike in self._of(policies).by_sort.values()]

    def _of(self, policies: Names) -> _Lawful:
        if not policies:
            return _Lawful()
        found = self._by_policies.get(policies)
        if found is None:
            names = frozenset.intersection(*(frozenset(self._approved.get(name, ())) for name in policies))
            found = self._by_policies[policies] = self._made(self._nodes[name] for name in names if name in self._nodes)
        return found

    def _made(self, nodes: Iterable[Node]) -> _Lawful:
        made = _Lawful()
        for node in nodes:
            made.add(node, self._sort(node))
        return made

    def _look_at(self, labels: Iterable[str], resource: str) -> None:
        """From now on a sort is told by these labels, and by how much there is of this resource, too."""
        new = {*labels} - {*self._labels}
        if not new and resource in self._resources:
            return
        self._labels += tuple(sorted(new))
        self._resources = tuple(dict.fromkeys((*self._resources, resource)))
        for policies, found in self._by_policies.items():
            self._by_policies[policies] = self._made(found.nodes.values())

    def regard(self, policy: str) -> None:
        """A policy changed or went: whoever it governs asks anew."""
        for policies in [policies for policies in self._by_policies if policy in policies]:
            del self._by_policies[policies]

    def judged(self, name: str) -> None:
        """A node came, went or changed, and policies have judged it."""
        node = self._nodes.get(name)
        for policies, found in self._by_policies.items():
            lawful = node is not None and all(name in self._approved.get(policy, ()) for policy in policies)
            if self._replace(found, found.nodes.get(name), node if lawful else None):
                self._changed.add(policies)

    def take_changed(self) -> set[Names]:
        """The sets of policies whose pools have to look again, since this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    def _replace(self, found: _Lawful, old: Node | None, new: Node | None) -> bool:
        """Whether the sorts of lawful nodes are others than before. Without any, every node is a reason why there is none."""
        none = not found.nodes
        sorts = [self._sort(node) if node is not None else None for node in (old, new)]
        last = old is not None and sorts[0] is not None and found.remove(old, sorts[0])
        first = new is not None and sorts[1] is not None and found.add(new, sorts[1])
        return none or (sorts[0] != sorts[1] and (last or first))

    def _sort(self, node: Node) -> _Sort:
        labels, allocatable = node.labels, node.allocatable
        return tuple(map(labels.get, self._labels)), tuple(map(allocatable.get, self._resources))
