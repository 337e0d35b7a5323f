"""What a shell computes from text alone: integer arithmetic, patterns, conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape

from planner.read.bash.words import Part, Value, known
from planner.units import whole_number

TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+#\w+|\d+)|(?P<name>[A-Za-z_]\w*(?:\[\w+\])?)"
    r"|(?P<sign><<=|>>=|\*\*|\+\+|--|&&|\|\||<<|>>|[-+*/%&|^<>=!]=|[-+*/%<>=!~&|^?:(),]))"
)
BINARY = {
    "||": 2, "&&": 3, "|": 4, "^": 5, "&": 6, "==": 7, "!=": 7, "<": 8, ">": 8, "<=": 8, ">=": 8,
    "<<": 9, ">>": 9, "+": 10, "-": 10, "*": 11, "/": 11, "%": 11, "**": 12,
}  # fmt: skip
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%="}
DEEPEST = 40


class Unreadable(Exception):
    """An expression of which a part is unknown or wrong."""


def wrapped(number: int) -> int:
    """In 64 bits, as the shell counts."""
    return (number + 2**63) % 2**64 - 2**63


def binary(sign: str, a: int, b: int) -> int:
    """Two numbers and what stands between them."""
    if sign in ("/", "%"):
        if b == 0:
            raise Unreadable
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if sign == "/" else a - b * quotient
    if sign in ("**", "<<", ">>"):
        if not 0 <= b < 64:
            raise Unreadable
        return wrapped(a**b if sign == "**" else a << b if sign == "<<" else a >> b)
    simple: dict[str, Callable[[], int]] = {
        "||": lambda: int(bool(a or b)), "&&": lambda: int(bool(a and b)), "|": lambda: a | b, "^": lambda: a ^ b,
        "&": lambda: a & b, "==": lambda: int(a == b), "!=": lambda: int(a != b), "<": lambda: int(a < b),
        ">": lambda: int(a > b), "<=": lambda: int(a <= b), ">=": lambda: int(a >= b), "+": lambda: a + b,
        "-": lambda: a - b, "*": lambda: a * b,
    }  # fmt: skip
    return wrapped(simple[sign]())


def literal(text: str) -> int:
    """A number as a shell writes it."""
    base, _, digits = text.rpartition("#")
    if base:
        return wrapped(int(digits, int(base)))
    octal = len(text) > 1 and text[0] == "0" and text.isdigit()
    return wrapped(int(text, 8) if octal else int(text, 0))


@dataclass(slots=True)
class Sum:
    """One expression under evaluation."""

    number: Callable[[str], str | None]
    assign: Callable[[str, int], None]
    tokens: list[tuple[str, str]] = field(default_factory=list)
    i: int = 0
    depth: int = 0

    def read(self, text: str) -> int:
        """The value of a whole text; an empty one is 0."""
        at, end = 0, len(text.rstrip())
        while at < end:
            if not (found := TOKEN.match(text, at)) or len(self.tokens) > 1000:
                raise Unreadable
            self.tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            at = found.end()
        value = self.several() if self.tokens else 0
        if self.i < len(self.tokens):
            raise Unreadable
        return value

    def peek(self) -> str:
        """The next sign, "" when a number or nothing follows."""
        kind, text = self.tokens[self.i] if self.i < len(self.tokens) else ("", "")
        return text if kind == "sign" else ""

    def take(self, *signs: str) -> str:
        """The next token if it is one of these signs."""
        sign = self.peek()
        self.i += sign in signs
        return sign if sign in signs else ""

    def several(self) -> int:
        """Expressions with commas between."""
        value = self.choice()
        while self.take(","):
            value = self.choice()
        return value

    def choice(self) -> int:
        """a ? b : c."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        value = self.chain(2)
        if self.take("?"):
            first = self.choice()
            if not self.take(":"):
                raise Unreadable
            second = self.choice()
            value = first if value else second
        self.depth -= 1
        return value

    def chain(self, floor: int) -> int:
        """Binary operators that bind at least as tightly as `floor`."""
        value = self.unary()
        while BINARY.get(self.peek(), 0) >= floor:
            sign = self.peek()
            self.i += 1
            value = binary(sign, value, self.chain(BINARY[sign] + (sign != "**")))
        return value

    def unary(self) -> int:
        """Signs before an operand."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        sign = self.take("-", "+", "!", "~", "++", "--")
        value = self.signed(sign) if sign else self.operand()
        self.depth -= 1
        return value

    def signed(self, sign: str) -> int:
        """The operand behind a sign."""
        if sign in ("++", "--"):
            name = self.tokens[self.i][1] if self.i < len(self.tokens) else ""
            return self.stored(name, self.operand() + (1 if sign == "++" else -1))
        value = self.unary()
        return {"-": -value, "+": value, "!": int(not value), "~": ~value}[sign]

    def operand(self) -> int:
        """A number, a variable, a group, an assignment."""
        if self.take("("):
            value = self.several()
            if not self.take(")"):
                raise Unreadable
            return value
        kind, text = self.tokens[self.i] if self.i < len(self.tokens) else ("", "")
        self.i += 1
        if kind == "number":
            return literal(text)
        if kind != "name":
            raise Unreadable
        return self.variable(text)

    def variable(self, name: str) -> int:
        """A name, read or written."""
        if self.peek() in ASSIGN:
            sign = self.take(*ASSIGN)[:-1]
            right = self.choice()
            return self.stored(name, binary(sign, self.value(name), right) if sign else right)
        value = self.value(name)
        if sign := self.take("++", "--"):
            self.stored(name, value + (1 if sign == "++" else -1))
        return value

    def stored(self, name: str, value: int) -> int:
        """An assignment."""
        self.assign(name, value)
        return value

    def value(self, name: str) -> int:
        """What a variable holds, itself an expression."""
        text = self.number(name)
        if text is None or self.depth > DEEPEST - 5:
            raise Unreadable
        inner = Sum(self.number, self.assign, depth=self.depth + 10)
        return literal(text) if text.isdigit() else inner.read(text)


def arithmetic(text: str, number: Callable[[str], str | None], assign: Callable[[str, int], None]) -> int | None:
    """The value of an integer expression, None when something in it is unknown or wrong."""
    try:
        return Sum(number, assign).read(text)
    except (Unreadable, ValueError, OverflowError):
        return None


def pattern_of(value: Sequence[Part]) -> str | None:
    """A pattern as fnmatch takes it, whose quoted parts stand for themselves; None when unknown or of another kind."""
    globs = []
    for part in value:
        if part.name or (not part.quoted and re.search(r"[@+!?*]\(|\[\[[:.=]", part.text)):
            return None
        globs.append(escape(part.text) if part.quoted else part.text.replace("[^", "[!"))
    return "".join(globs)


def exchanged(text: str, sign: str, old: str, new: str) -> str:
    """${text/old/new}, all of them with //, at the start with /#, at the end with /%."""
    if sign == "/#":
        return new + text[len(old) :] if text.startswith(old) else text
    if sign == "/%":
        return text[: -len(old)] + new if text.endswith(old) else text
    return text.replace(old, new, -1 if sign == "//" else 1)


def changed(text: str, sign: str, pattern: Value, other: str = "") -> str | None:
    """${text#pattern}, ${text%pattern}, ${text/pattern/other} and their doubles; None when it cannot be told."""
    if sign in ("^^", ",,"):
        return text.upper() if sign == "^^" else text.lower()
    plain = known(pattern)
    if sign[0] == "/":
        simple = plain and not any(re.search(r"[*?\[]", part.text) for part in pattern if not part.quoted)
        return exchanged(text, sign, plain, other) if plain and simple else None
    glob = pattern_of(pattern)
    if glob is None or len(text) * len(text) * len(glob) > 1_000_000:
        return None
    cuts = range(len(text) + 1) if sign in ("#", "%%") else range(len(text), -1, -1)
    front = sign[0] == "#"
    cut = next((n for n in cuts if fnmatchcase(text[:n] if front else text[n:], glob)), None)
    if cut is None:
        return text
    return text[cut:] if front else text[:cut]


def last_of(keys: Iterable[str]) -> int:
    """The highest place among the keys of an array; -1 where none is a place."""
    return max((place for key in keys if (place := whole_number(key)) is not None), default=-1)
