"""Conditions and loops of a script: followed where they are known, otherwise read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from planner.read.bash.builtin import Truth, alike
from planner.read.bash.commands import Leave
from planner.read.bash.expansion import Scan
from planner.read.bash.expressions import pattern_of
from planner.read.bash.statements import Statements
from planner.read.bash.words import Scope, Value, Variable, names_of, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

TURNS = 64
"""Rounds of a loop that are read."""
MOST_TURNS = 1024
"""Rounds of all loops; after that one of each is read."""
Arm = tuple[Callable[[], Truth], Callable[[], object]]


def shown(variable: Variable, name: str) -> str:
    """A variable in a note."""
    text = " ".join(" ".join(text_of(value) for value in variable.items.values()).split())
    return f"{name}={text[:30]}"


def still_unset(scope: Scope, variable: Variable | None) -> bool:
    """Whether a variable is not set, or only to another one that is not."""
    if variable is None:
        return True
    parts = [part for value in variable.items.values() for part in value if part.text]
    return (
        bool(parts)
        and all(part.name.isidentifier() or part.name.isdigit() for part in parts)
        and not any(scope.elsewhere(part.name) for part in parts)
    )


@dataclass(slots=True)
class Reader(Statements):
    """Follows the control flow."""

    turns: int = 0

    def most(self) -> int:
        """Rounds that the next loop may have."""
        return TURNS if self.turns < MOST_TURNS else 1

    def maybe(self, branches: Sequence[Callable[[], object]], line: int, what: str) -> None:
        """Each branch is read from the same start; of what they set, the first value for each unset name stays."""
        before, kept, lost = self.scope.variables, dict[str, Variable](), list[str]()
        self.doubt, self.conditional = self.doubt + 1, self.conditional + 1
        try:
            for block in branches:
                self.scope.variables = dict(before)
                self.scope.spend(len(before))
                block()
                self.merge(before, kept, lost)
        finally:
            self.doubt, self.conditional = self.doubt - 1, self.conditional - 1
            self.scope.variables = before | kept
        taken = ", ".join(shown(variable, name) for name, variable in kept.items())
        text = f"not known: {' '.join(what.split())[:60]}"
        text += f"; assumed {taken}" if taken else ""
        self.note(line, text + (f"; left out {', '.join(lost)}" if lost else ""))

    def merge(self, before: dict[str, Variable], kept: dict[str, Variable], lost: list[str]) -> None:
        """What one branch has set."""
        for name, variable in self.scope.variables.items():
            old = kept.get(name, before.get(name))
            if variable is old or (old and variable.items == old.items):
                continue
            if name not in kept and still_unset(self.scope, before.get(name)):
                kept[name] = variable
            else:
                lost.append(shown(variable, name))

    def choose(self, arms: Sequence[Arm], line: int, what: str) -> None:
        """The first arm whose condition holds; all that may, when that is not known."""
        open_arms: list[Callable[[], object]] = []
        for condition, block in arms:
            truth = condition()
            if truth and not open_arms:
                self.branches += 1
                block()
                self.branches -= 1
                return
            if truth is not False:
                open_arms.append(block)
            if truth:
                break
        if open_arms:
            self.maybe(open_arms, line, what)

    def branch(self, node: Node) -> Truth:
        """if, elif, else."""
        arms: list[Arm] = [self.arm(node)]
        for child in node.children:
            if child.type == "elif_clause":
                arms.append(self.arm(child))
            elif child.type == "else_clause":
                nodes = child.children[1:]
                arms.append((lambda: True, lambda nodes=nodes: self.block(nodes)))  # type: ignore[misc]
        head = self.source.text[node.children[0].end_byte : node.end_byte].partition("\n")[0].partition("; then")[0]
        self.choose(arms, self.line(node), head.partition(";then")[0])
        return None

    def arm(self, node: Node) -> Arm:
        """One condition and its statements."""
        then = next((i for i, child in enumerate(node.children) if child.type == "then"), len(node.children))
        test, body = node.children[1:then], node.children[then + 1 :]
        return lambda: self.block(test), lambda: self.block(body)

    def case(self, node: Node) -> Truth:
        """case word in pattern) ...;; esac."""
        target = node.child_by_field_name("value")
        if target is None:
            return None
        value = self.whole(target.start_byte, target.end_byte)
        arms: list[Arm] = [self.item(value, child) for child in node.children if child.type == "case_item"]
        self.choose(arms, self.line(node), f"case {self.raw(target)}")
        return None

    def item(self, value: Value, node: Node) -> Arm:
        """One arm of a case."""
        patterns = node.children_by_field_name("value")
        last = max((child.end_byte for child in patterns), default=node.start_byte)
        body = [child for child in node.children if child.start_byte >= last]
        return lambda: self.fits(value, patterns), lambda: self.block(body)

    def fits(self, value: Value, patterns: Sequence[Node]) -> Truth:
        """Whether a value fits one of the patterns."""
        truths: list[Truth] = []
        for node in patterns:
            pattern = tuple(piece for piece in Scan(self.scope, self.raw(node), lambda _: 0).run() if piece)
            anything = set(pattern_of(pattern) or "") == {"*"}
            truths.append(True if anything else alike(value, pattern, True))
        return True if True in truths else None if None in truths else False

    def each(self, node: Node) -> Truth:
        """for name in words."""
        name, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        values = node.children_by_field_name("value")
        if name is None or body is None:
            return None
        variable = self.raw(name)
        asked = any(child.type == "in" for child in node.children)
        words = (
            self.scope.arguments
            if not asked
            else self.fields(values[0].start_byte, values[-1].end_byte)
            if values
            else ()
        )
        if words is None or node.children[0].type == "select" or any(names_of(word) for word in words):
            self.scope.variables.pop(variable, None)
            self.maybe([lambda: self.turn(body)], self.line(node), f"what {variable} runs over")
            return None
        most = self.most()
        if len(words) > most:
            self.note(self.line(node), f"only the first {most} of {len(words)} rounds were read")
        for word in words[:most]:
            self.scope.write(variable, word)
            if not self.turn(body):
                break
        return None

    def turn(self, body: Node) -> bool:
        """One round of a loop; False after break."""
        held = self.doubt, self.branches
        self.turns += 1
        try:
            self.doubt = 0
            self.run(body)
        except Leave as left:
            if left.kind not in ("break", "continue") or held[0]:
                if left.kind not in ("break", "continue") and not held[0]:
                    raise
                return False
            return left.kind == "continue"
        finally:
            self.doubt, self.branches = held
        return True

    def count(self, node: Node) -> Truth:
        """for ((a; b; c))."""
        body = node.child_by_field_name("body")
        cuts = [c for c in node.children if c.type in ("((", "))", ";")][:4]
        if body is None or len(cuts) < 4:
            return self.broken(node)
        spans = [(a.end_byte, b.start_byte) for a, b in pairwise(cuts)]
        self.sum(*spans[0])
        self.rounds(lambda: self.counted(spans[1]), body, node, lambda: self.sum(*spans[2]))
        return None

    def counted(self, span: tuple[int, int]) -> Truth:
        """The condition of a counting loop."""
        result = self.sum(*span)
        return None if result is None else result != 0

    def repeat(self, node: Node) -> Truth:
        """while and until."""
        body = node.child_by_field_name("body")
        until = node.children[0].type == "until"
        tests = node.children_by_field_name("condition")

        def condition() -> Truth:
            status = self.block(tests)
            return status if not until or status is None else not status

        if body is not None:
            self.rounds(condition, body, node, lambda: None)
        return None

    def rounds(self, condition: Callable[[], Truth], body: Node, node: Node, after: Callable[[], object]) -> None:
        """A loop that ends by its condition."""
        most = self.most()
        for _ in range(most):
            truth = condition()
            if truth is None:
                self.maybe([lambda: self.turn(body)], self.line(node), f"how often {self.raw(node)[:40]} runs")
                return
            if not truth or not self.turn(body):
                return
            after()
        self.note(self.line(node), f"only the first {most} rounds were read")
