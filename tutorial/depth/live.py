"""Which of the traced operations are written: those that something reads, each under one name."""

from typing import Any

from torch import fx

from tutorial.depth.graph import (
    base_of,
    changes_state,
    given_out,
    inputs_of,
    is_same,
    operation,
    writes,
)
from tutorial.depth.trace import Traced


class Live:
    """The operations that are written.

    Attributes:
        nodes: all operations, in order.
        uses: of each, how many read it; a result counts twice, so that it has a line of its own.
        changes: of what is changed in place, the operations that do it.
    """

    def __init__(self, traced: Traced) -> None:
        self.nodes = [*traced.graph.nodes]
        self.aliases: dict[fx.Node, fx.Node] = {}
        self.find_aliases()
        self.changes: dict[fx.Node, list[fx.Node]] = {}
        for node in filter(writes, self.nodes):
            self.changes.setdefault(self.real(base_of(node)), []).append(node)
        results = [self.real(node) for node in traced.results.values()]
        self.uses = dict.fromkeys(results, 2)
        kept = [*results, *map(self.real, traced.checks), *filter(changes_state, self.nodes)]
        self.live = self.read_by(kept)

    def __contains__(self, node: fx.Node) -> bool:
        return node in self.live and node not in self.aliases

    def real(self, node: Any) -> Any:
        """The operation behind another name."""
        while node in self.aliases:
            node = self.aliases[node]
        return node

    def readers(self, node: fx.Node) -> list[fx.Node]:
        """The operations that read its result."""
        return [user for user in self.live if node in map(self.real, inputs_of(user))]

    def find_aliases(self) -> None:
        """Other names for the same tensor: what is detached, transposed twice, or taken twice."""
        taken: dict[Any, fx.Node] = {}
        transposes: dict[fx.Node, fx.Node] = {}
        for node in self.nodes:
            if is_same(node):
                self.aliases[node] = self.real(node.args[0])
            elif (given := given_out(node)) is not None:
                self.aliases[given] = node  # it is what is computed into it
            elif operation(node) == "getitem":
                first = taken.setdefault(node.args, node)
                if first is not node:
                    self.aliases[node] = first
            elif operation(node) == "t.default":
                of = self.real(node.args[0])
                if of in transposes:
                    self.aliases[node] = transposes[of]
                else:
                    transposes[node] = of

    def read_by(self, waiting: list[fx.Node]) -> set[fx.Node]:
        """These operations, all that they read, and what changes it in place."""
        found: set[fx.Node] = set()
        while waiting:
            node = waiting.pop()
            if node in found:
                continue
            found.add(node)
            waiting += self.changes.get(node, [])
            for earlier in map(self.real, inputs_of(node)):
                self.uses[earlier] = self.uses.get(earlier, 0) + 1
                waiting.append(earlier)
        return found
