"""Statements of a script, followed one by one; what depends on something unknown is read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.read.bash.builtin import Truth, holds, negation
from planner.read.bash.commands import Leave, Simple
from planner.read.bash.expansion import Scan, whole
from planner.read.bash.lexer import raw_words
from planner.read.bash.source import Source
from planner.read.bash.words import Part, Value, known, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

ENDS = {"then", "do", "done", "fi", ";", "in", "esac", ";;", "comment", "\n", "&", "elif_clause", "else_clause"}
REDIRECTS = {"file_redirect", "heredoc_redirect", "herestring_redirect"}
METHODS = {
    "program": "children", "pipeline": "children", "variable_assignments": "children", "do_group": "children",
    "compound_statement": "compound", "ERROR": "broken", "command": "invoke", "variable_assignment": "assign",
    "declaration_command": "declare", "unset_command": "unset", "test_command": "test", "list": "listed",
    "redirected_statement": "redirect", "negated_command": "negated", "subshell": "subshell",
    "function_definition": "function", "if_statement": "branch", "case_statement": "case", "for_statement": "each",
    "c_style_for_statement": "count", "while_statement": "repeat",
}  # fmt: skip


@dataclass(slots=True)
class Statements(Simple):
    """Follows statements in a row."""

    tested: bool = False
    """Whether the last status came from a test; that of a command is not known but mostly success."""

    def script(self, source: Source) -> None:
        """A whole text, to its end or to the `exit` that nothing stands around."""
        self.source = source
        outermost = not self.scope.depth
        try:
            self.run(source.tree())
        except Leave as left:
            if not outermost:
                raise
            self.note(self.commands[-1].line if self.commands else 1, f"{left.kind}: nothing after it was read")
        if outermost:
            for name, (home, body) in self.functions.items():
                if name not in self.called:
                    self.note(home.line(body.start_byte), f"function {name} is never called")

    def run(self, node: Node) -> Truth:
        """One statement."""
        self.scope.enter()
        self.scope.spend(10)
        self.tested = False
        try:
            method: Callable[[Node], Truth] | None = getattr(self, METHODS.get(node.type, ""), None)
            return method(node) if method else None
        finally:
            self.scope.leave()

    def block(self, nodes: Sequence[Node]) -> Truth:
        """Statements in a row."""
        status: Truth = None
        for node in nodes:
            if node.type not in ENDS and node.is_named:
                status = self.run(node)
        return status

    def children(self, node: Node) -> Truth:
        """Everything within a node."""
        return self.block(node.children)

    def compound(self, node: Node) -> Truth:
        """{ ...; } and (( ... ))."""
        if node.children and node.children[0].type == "((":
            result = self.sum(node.children[0].end_byte, node.children[-1].start_byte)
            self.tested = True
            return None if result is None else result != 0
        return self.block(node.children)

    def broken(self, node: Node) -> Truth:
        """What the grammar could not read; whole statements in it are read."""
        self.note(self.line(node), f"not understood: {' '.join(self.raw(node).split())[:60]}")
        return self.block(node.children)

    def invoke(self, node: Node, more: Sequence[Node] = ()) -> Truth:
        """A simple command; `more` are words that stand behind a redirection."""
        own: dict[str, str] = {}
        name = next((child for child in node.children if child.type == "command_name"), None)
        for child in node.children:
            if child.type == "variable_assignment":
                if name is None or self.apart(child.end_byte, name.start_byte):
                    self.assignment(child.start_byte, child.end_byte)
                else:
                    own |= self.prefixed(child)
        words = self.words(node, more) if name else []
        if not words:
            return True
        if known(words[0]) == "read" and (said := self.herestring(node)) is not None:
            return self.take(words[1:], own, said, self.line(node))
        status = self.simple(words, own, self.line(name or node))
        self.tested = text_of(words[0]) in ("[", "test", "let", "false", "true")
        return status

    def herestring(self, node: Node) -> Value | None:
        """What `<<< word` gives to a command, None where there is none or the command knows of more."""
        beside = node.parent.children if node.parent and node.parent.type == "redirected_statement" else []
        found = [child for child in (*node.children, *beside) if child.type == "herestring_redirect"]
        return self.whole(found[0].children[-1].start_byte, found[0].children[-1].end_byte) if found else None

    def apart(self, end: int, start: int) -> bool:
        """Whether a line ends between two places: `A=1 B=2` on a line of its own belongs to no command."""
        return "\n" in self.source.text[end:start].replace("\\\n", "")

    def prefixed(self, node: Node) -> dict[str, str]:
        """FOO=1 before a command."""
        name, _, value = self.raw(node).partition("=")
        return {name: text_of(self.whole(node.end_byte - len(value), node.end_byte))}

    def words(self, node: Node, more: Sequence[Node]) -> list[Value]:
        """All words of a command, expanded."""
        found: list[Value] = []
        parts = [c for c in node.children if c.type not in (*REDIRECTS, "variable_assignment", "comment")]
        start = end = -1
        for part in [*parts, *more]:
            gap = self.source.text[end : part.start_byte] if end >= 0 else "x"
            if gap.strip("\\ \t\n"):
                found += self.fields(start, end) if end >= 0 else []
                start = part.start_byte
            end = part.end_byte
        return found + (self.fields(start, end) if end >= 0 else [])

    def assign(self, node: Node) -> Truth:
        """NAME=value."""
        self.assignment(node.start_byte, node.end_byte)
        return True

    def unset(self, node: Node) -> Truth:
        """unset NAME."""
        for value in self.fields(node.children[0].end_byte, node.end_byte):
            self.scope.variables.pop(text_of(value), None)
        return True

    def test(self, node: Node) -> Truth:
        """[ ... ] and [[ ... ]]."""
        double = node.children[0].type == "[["
        start, end = node.children[0].end_byte, node.children[-1].start_byte
        if double:
            words = [
                tuple(p for p in Scan(self.scope, raw, lambda _: 0).run() if p)
                for _, raw in raw_words(self.scope, self.source.text[start:end], apart=True)
            ]
        else:
            words = self.fields(start, end)
        self.tested = True
        return holds([word or (Part("", 0, quoted=True),) for word in words], double)

    def redirect(self, node: Node) -> Truth:
        """A statement with its input or output elsewhere."""
        body = node.child_by_field_name("body")
        redirects = [child for child in node.children if child.type in REDIRECTS]
        heredocs = [child for child in redirects if child.type == "heredoc_redirect"]
        files = [c for r in (node, *heredocs) for c in r.children if c.type == "file_redirect"]
        more = [d for f in files for d in f.children_by_field_name("destination")[1:]]
        text = self.document(heredocs[0]) if heredocs else None
        if body is None:
            return None
        if body.type != "command":
            status = self.run(body)
            self.targets([], files, None, self.line(node))
            return status
        words = self.words(body, more)
        if text is not None and words and known(words[0]) == "read":
            self.scope.write(text_of(words[-1]), text)
            return True
        status = self.invoke(body, more)
        self.targets(words, files, text, self.line(node))
        if text is not None:
            self.fed(words, text, heredocs[0])
        return status

    def targets(self, words: Sequence[Value], files: Sequence[Node], text: Value | None, line: int) -> None:
        """Files that the output of a command goes to."""
        for file in files:
            sign = next((c.type for c in file.children if c.type in (">", ">>", "&>", ">|")), "")
            target = file.child_by_field_name("destination")
            if sign and target and not any(c.type == "file_descriptor" for c in file.children):
                self.redirected(words, self.whole(target.start_byte, target.end_byte), sign == ">>", text, line)

    def document(self, node: Node) -> Value:
        """The text of a here-document, expanded unless its delimiter is quoted."""
        opening = next(c for c in node.children if c.type == "heredoc_start")
        ending = next((c for c in node.children if c.type == "heredoc_end"), node)
        start = self.source.text.find("\n", opening.end_byte) + 1 or opening.end_byte
        end = max(start, ending.start_byte if ending is not node else node.end_byte)
        tabs = node.children[0].type == "<<-"
        text = self.source.text[start:end]
        if tabs:
            text = "\n".join(line.lstrip("\t") for line in text.split("\n"))
        if any(char in self.raw(opening) for char in "'\"\\"):
            return (Part(text, self.source.line(start)),)
        return whole(self.scope, text, lambda _: self.source.line(start), "<<")

    def fed(self, words: Sequence[Value], text: Value, node: Node) -> None:
        """What reads a here-document: tee, a shell, or the commands that follow on its line."""
        name = known(words[0]) if words else None
        if name == "tee":
            self.teed(words, text, node)
        elif name in ("bash", "sh", "ssh", "sbatch") and all(
            text_of(word) in ("-s", "-e", "-x") for word in words[1:] if name in ("bash", "sh")
        ):
            self.nested(text, self.line(node))
        for child in node.children:
            if child.type == "pipeline":
                self.piped(child, text, name == "cat")
            elif node.field_name_for_child(node.children.index(child)) == "right":
                self.run(child)

    def piped(self, node: Node, text: Value, copied: bool) -> None:
        """cat <<EOF | tee file."""
        for child in node.children:
            if child.type == "command":
                words = self.words(child, ())
                if copied and words and known(words[0]) == "tee":
                    self.teed(words, text, child)
                elif copied and words and known(words[0]) in ("sbatch", "bash", "sh") and len(text):
                    self.nested(text, self.line(child))
                else:
                    self.run(child)

    def teed(self, words: Sequence[Value], text: Value, node: Node) -> None:
        """tee [-a] file..."""
        more = any(text_of(word) in ("-a", "--append") for word in words)
        for word in words[1:]:
            if not text_of(word).startswith("-"):
                self.write(word, text_of(text), more, self.line(node))

    def listed(self, node: Node) -> Truth:
        """a && b || c."""
        parts: list[Node] = []
        while node.type == "list" and len(node.children) == 3:
            parts += [node.children[2], node.children[1]]
            node = node.children[0]
        status = self.run(node)
        for right, sign in zip(parts[-2::-2], parts[::-2], strict=True):
            status = self.joined(status, sign.type, right)
        return status

    def joined(self, status: Truth, sign: str, right: Node) -> Truth:
        """The right side of && or ||, run if the left one asks for it."""
        likely = True if status is None and not self.tested else status
        wanted = likely if sign == "&&" else negation(likely)
        if wanted is False and status is not None:
            return status
        if wanted and status is None:
            return self.run(right)
        if wanted:
            self.branches += 1
            status = self.run(right)
            self.branches -= 1
            return status
        self.maybe([lambda: self.run(right)], self.line(right), self.raw(right))
        self.tested = False
        return None

    def maybe(self, branches: Sequence[Callable[[], object]], line: int, what: str) -> None:
        """Branches of which at most one runs, nobody knows which."""
        raise NotImplementedError

    def negated(self, node: Node) -> Truth:
        """! command."""
        status = negation(self.children(node))
        self.tested = True
        return status

    def subshell(self, node: Node) -> Truth:
        """( ... ): what it sets is forgotten."""
        held = dict(self.scope.variables)
        self.scope.spend(len(held))
        try:
            return self.block(node.children)
        finally:
            self.scope.variables = held

    def function(self, node: Node) -> Truth:
        """A definition; the body is read where it is called."""
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name and body:
            self.functions[self.raw(name)] = (self.source, body)
        return True
