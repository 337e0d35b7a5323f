"""Commands of a script that can be answered from their arguments alone: tests, and a few that print."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from planner.read.bash.expressions import arithmetic, pattern_of
from planner.read.bash.words import Value, known, text_of

Truth = bool | None
"""None: not known."""

NUMBERS = {"-eq": "==", "-ne": "!=", "-gt": ">", "-ge": ">=", "-lt": "<", "-le": "<="}
COMPARISONS = {*NUMBERS, "=", "==", "!=", "<", ">", "=~", "-nt", "-ot"}
FILES = frozenset(f"-{letter}" for letter in "abcdefghkprstuwxGLNOSvR")


def negation(truth: Truth) -> Truth:
    """Not."""
    return None if truth is None else not truth


def either(a: Truth, b: Truth) -> Truth:
    """Or."""
    return True if a or b else None if a is None or b is None else False


def both(a: Truth, b: Truth) -> Truth:
    """And."""
    return negation(either(negation(a), negation(b)))


def filled(value: Value) -> Truth:
    """Whether it has characters."""
    if any(part.text for part in value if not part.name):
        return True
    return None if any(part.name for part in value) else False


def plain(value: Value) -> str:
    """The text of an operator; "" for anything quoted or unknown."""
    return "" if any(part.name or part.quoted for part in value) else text_of(value)


def integers(a: Value, sign: str, b: Value) -> Truth:
    """-eq and its kin."""
    texts = known(a), known(b)
    if texts[0] is None or texts[1] is None:
        return None
    result = arithmetic(f"({texts[0]}) {NUMBERS[sign]} ({texts[1]})", lambda _: None, lambda *_: None)
    return None if result is None else bool(result)


def alike(a: Value, b: Value, pattern: bool) -> Truth:
    """Equality, or with `pattern` the right side as one."""
    text, other = known(a), known(b)
    if text is None or other is None:
        return None
    if not pattern:
        return text == other
    glob = pattern_of(b)
    return None if glob is None or len(glob) * len(text) > 1_000_000 else fnmatchcase(text, glob)


@dataclass(slots=True)
class Test:
    """The words of one [ ] or [[ ]]."""

    words: Sequence[Value]
    double: bool
    i: int = 0
    depth: int = 0

    def sign(self, ahead: int = 0) -> str:
        """The word `ahead`, if it may be an operator."""
        return plain(self.words[self.i + ahead]) if self.i + ahead < len(self.words) else ""

    def any(self) -> Truth:
        """Terms with -o or || between."""
        truth = self.all()
        while self.sign() == ("||" if self.double else "-o"):
            self.i += 1
            truth = either(truth, self.all())
        return truth

    def all(self) -> Truth:
        """Terms with -a or && between."""
        truth = self.term()
        while self.sign() == ("&&" if self.double else "-a"):
            self.i += 1
            truth = both(truth, self.term())
        return truth

    def term(self) -> Truth:
        """One test, negated or in parentheses."""
        self.depth += 1
        if self.i >= len(self.words) or self.depth > 50:
            self.i = len(self.words)
            return None
        if self.sign() == "!" and self.i + 1 < len(self.words):
            self.i += 1
            return negation(self.term())
        if text_of(self.words[self.i]) == "(" and not self.compares():
            return self.group()
        return self.pair() if self.compares() else self.single()

    def compares(self) -> bool:
        """Whether a comparison starts here."""
        return self.i + 2 < len(self.words) and self.sign(1) in COMPARISONS

    def group(self) -> Truth:
        """Parentheses."""
        self.i += 1
        truth = self.any()
        self.i += 1
        return truth

    def pair(self) -> Truth:
        """left operator right."""
        left, sign, right = self.words[self.i], self.sign(1), self.words[self.i + 2]
        self.i += 3
        if sign in NUMBERS:
            return integers(left, sign, right)
        if sign in ("=", "==", "!="):
            same = alike(left, right, self.double)
            return same if sign != "!=" else negation(same)
        texts = known(left), known(right)
        if sign in ("-nt", "-ot") or texts[0] is None or texts[1] is None:
            return None
        if sign == "=~":
            literal = all(part.quoted or re.fullmatch(r"[\w ,:/=-]*", part.text) for part in right)
            return texts[1] in texts[0] if literal else None
        return texts[0] < texts[1] if sign == "<" else texts[0] > texts[1]

    def single(self) -> Truth:
        """-z x, -n x, -f x, x."""
        sign, has_more = self.sign(), self.i + 1 < len(self.words)
        if has_more and (sign in ("-z", "-n") or sign in FILES):
            value = self.words[self.i + 1]
            self.i += 2
            return None if sign in FILES else filled(value) if sign == "-n" else negation(filled(value))
        self.i += 1
        return filled(self.words[self.i - 1])


def holds(words: Sequence[Value], double: bool) -> Truth:
    """Whether a test is true; `double` is [[ ]]. Nothing on a disk is looked at."""
    if not words:
        return False
    test = Test(words, double)
    truth = test.any()
    return truth if test.i >= len(words) else None


FOLDER = {"cd", "dirname", "readlink", "realpath", "pwd", "f", "P", "L", "BASH_SOURCE", "0", "1", "/dev/null"}
FOLDER |= set("\"'$({})[]&>;-")


def own_folder(inner: str) -> bool:
    """Whether a substitution says the folder of the script itself, where files beside it are looked for."""
    words = re.findall(r"/dev/null|\w+|\S", inner[:200])
    itself = "BASH_SOURCE" in words or "$0" in inner or "${0}" in inner
    return len(inner) <= 200 and "dirname" in words and itself and set(words) <= FOLDER


def output(words: Sequence[str]) -> str | None:
    """What a harmless command prints, without the last line end; None for any other command."""
    name, rest = (words[0], list(words[1:])) if words else ("", [])
    if name == "echo":
        return echoed(rest)
    if name == "expr":
        result = (
            arithmetic(" ".join(rest), lambda _: None, lambda *_: None) if len(rest) % 2 and len(rest) > 1 else None
        )
        return None if result is None else str(result)
    if name == "basename" and 1 <= len(rest) <= 2 and not rest[0].startswith("-"):
        base = posixpath.basename(rest[0].rstrip("/")) or "/"
        return base.removesuffix(rest[1]) if len(rest) == 2 and base != rest[1] else base
    if name == "dirname" and len(rest) == 1 and not rest[0].startswith("-"):
        return posixpath.dirname(rest[0].rstrip("/")) or ("/" if rest[0].startswith("/") else ".")
    if name == "printf" and rest and not rest[0].startswith("-"):
        printed = formatted(rest[0], rest[1:])
        return None if printed is None else printed.rstrip("\n")
    return counted(rest) if name == "seq" else None


SPECIFIER = re.compile(r"%(%|[sdi])|\\([nt\\])|%|\\")
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}


def formatted(text: str, rest: Sequence[str]) -> str | None:
    """printf of strings and whole numbers, over and over until none is left; None for any other format."""
    places = [found for found in SPECIFIER.finditer(text) if found[1] != "%" and not found[2]]
    if any(found[1] is None for found in places) or len(rest) * len(text) > 100_000:
        return None
    left, out = list(rest), ""
    while True:
        out += SPECIFIER.sub(lambda f: ESCAPES[f[2]] if f[2] else "%" if f[1] == "%" else _next(left, f[1]), text)
        if not left or not places:
            return out


def _next(left: list[str], kind: str) -> str:
    """The next argument; where none is left the format prints nothing, or 0."""
    return left.pop(0) if left else "" if kind == "s" else "0"


def echoed(rest: list[str]) -> str | None:
    """echo; with -e escapes are left to the shell."""
    while rest and rest[0] in ("-n", "-E"):
        rest = rest[1:]
    return None if rest and rest[0].startswith("-e") and "\\" in "".join(rest) else " ".join(rest)


def counted(rest: list[str]) -> str | None:
    """seq last, seq first last, seq first step last."""
    if not 1 <= len(rest) <= 3 or not all(re.fullmatch("-?[0-9]{1,7}", text) for text in rest):
        return None
    first, last = (int(rest[0]), int(rest[-1])) if len(rest) > 1 else (1, int(rest[0]))
    step = int(rest[1]) if len(rest) == 3 else 1
    if step == 0 or abs(last - first) // abs(step) > 4096:
        return None
    return "\n".join(str(n) for n in range(first, last + (1 if step > 0 else -1), step))
