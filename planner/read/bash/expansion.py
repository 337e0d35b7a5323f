"""Quoting, expansion and splitting: from the characters of a script to words, without running anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from planner.errors import PlannerError
from planner.read.bash import lexer
from planner.read.bash.builtin import output, own_folder
from planner.read.bash.expressions import arithmetic, changed, last_of
from planner.read.bash.lexer import CUT, HALVES, NAME, PARAMETER, SPECIAL, ansi, braces, closing, raw_words
from planner.read.bash.words import LONGEST_VALUE, At, Part, Piece, Scope, Value, Variable, known, names_of, text_of


def fields(scope: Scope, text: str, at: At) -> list[Value]:
    """The words that a piece of script becomes: expanded, split, quotes removed."""
    found: list[Value] = []
    for start, raw in raw_words(scope, text):
        written = braces(raw)
        scope.spend(20 * (len(written) - 1))
        for word in written:
            found += split(scope, Scan(scope, word, lambda i, start=start: at(start + i)).run())  # type: ignore[misc]
    scope.spend(10 * len(found))
    return found


def whole(scope: Scope, text: str, at: At, inside: str = "") -> Value:
    """A text expanded, not split. `inside` is '"' between double quotes and "<<" in a here-document."""
    value = tuple(piece or Part(" ", at(0)) for piece in Scan(scope, text, at, inside).run())
    if sum(len(part.text) for part in value) > LONGEST_VALUE:
        raise PlannerError(f"line {at(0)}: a word grows past {LONGEST_VALUE:,} characters")
    return tuple(part for part in value if part.text) or value[:1]


def split(scope: Scope, pieces: Sequence[Piece]) -> list[Value]:
    """Word splitting: only what is known and unquoted is cut."""
    found: list[list[Part]] = [[]]
    for piece in pieces:
        if piece is None:
            found.append([])
        elif piece.quoted or piece.name:
            found[-1].append(piece)
        else:
            cut(piece, found)
    scope.spend(sum(len(piece.text) for piece in pieces if piece))
    return [tuple(parts) for parts in found if parts]


def cut(piece: Part, found: list[list[Part]]) -> None:
    """One unquoted part, each of its words appended."""
    line = piece.line
    for run in re.findall(r"[ \t\n]+|[^ \t\n]+", piece.text):
        if run[0] in " \t\n":
            found.append([])
            line += run.count("\n")
        else:
            found[-1].append(replace(piece, text=run, line=line))


@dataclass(slots=True)
class Scan:
    """One walk over a text, collecting pieces."""

    scope: Scope
    text: str
    at: At
    inside: str = ""
    i: int = 0
    out: list[Piece] = field(default_factory=list)

    def run(self) -> list[Piece]:
        """All pieces."""
        self.scope.enter()
        while self.i < len(self.text):
            self.step()
        self.scope.leave()
        self.scope.spend(len(self.text) + 1)
        return self.out

    def add(self, text: str, name: str = "", quoted: bool = False, start: int | None = None) -> None:
        """One part, from the place the walk stands at."""
        line = self.at(self.i if start is None else start)
        self.out.append(Part(text, line, name, quoted or bool(self.inside)))

    def step(self) -> None:
        """The construct at `i`."""
        char = self.text[self.i]
        if run := SPECIAL[self.inside].match(self.text, self.i):
            self.add(run.group())
            self.i = run.end()
        elif char == "\\":
            self.backslash()
        elif char == "'":
            end = self.text.find("'", self.i + 1) % (len(self.text) + 1)
            self.add(self.text[self.i + 1 : end], quoted=True)
            self.i = end + 1
        elif char == '"':
            self.double(self.i + 1)
        elif char == "`":
            self.substitution(self.i + 1, "`")
        elif char == "$":
            self.dollar()
        else:
            self.process()

    def process(self) -> None:
        """<(...) and >(...), or a plain character."""
        end = closing(self.scope, self.text, self.i + 2, ")") if self.text[self.i + 1 : self.i + 2] == "(" else -1
        if end < 0:
            self.add(self.text[self.i])
            self.i += 1
        else:
            self.add(self.text[self.i : end + 1], self.text[self.i : end + 1])
            self.i = end + 1

    def backslash(self) -> None:
        """An escaped character."""
        char = self.text[self.i + 1 : self.i + 2]
        kept = self.inside and char not in ('$`\\"' if self.inside == '"' else "$`\\")
        if char != "\n":
            self.add("\\" + char if kept else char or "\\", quoted=True)
        self.i += 2

    def double(self, start: int) -> None:
        """Double quotes."""
        end = closing(self.scope, self.text, start, '"')
        end = len(self.text) if end < 0 else end
        inner = self.text[start:end]
        self.out += self.sub(inner, start, '"') if inner else [Part("", self.at(start), quoted=True)]
        self.i = end + 1

    def sub(self, text: str, start: int, inside: str) -> list[Piece]:
        """Pieces of a text within this one."""
        return Scan(self.scope, text, lambda i: self.at(start + i), inside).run()

    def dollar(self) -> None:
        """Everything that starts with a dollar sign."""
        after = self.text[self.i + 1 : self.i + 2]
        name = NAME.match(self.text, self.i + 1)
        if after == "(":
            self.substitution(self.i + 2, ")")
        elif after == "{":
            self.braced(self.i + 2)
        elif after == "'" and not self.inside:
            text, end = ansi(self.text, self.i + 2)
            self.add(text, quoted=True, start=self.i + 2)
            self.i = end
        elif after == '"' and not self.inside:
            self.double(self.i + 2)
        elif after == "[" and (end := self.text.find("]", self.i)) > 0:
            self.compute(self.text[self.i + 2 : end], end + 1)
        elif name:
            self.parameter(self.text[self.i : name.end()], name.group(), "")
            self.i = name.end()
        else:
            self.add("$")
            self.i += 1

    def substitution(self, start: int, close: str) -> None:
        """$(...), `...` and $((...))."""
        end = closing(self.scope, self.text, start, close)
        if end < 0:
            self.add(self.text[self.i :], self.text[self.i :])
            self.i = len(self.text)
            return
        inner = self.text[start:end]
        if close == ")" and inner.startswith("(") and inner.endswith(")"):
            self.compute(inner[1:-1], end + 1)
            return
        if close == ")" and (copied := lexer.document(inner)):
            self.out += [piece and replace(piece, quoted=bool(self.inside)) for piece in self.sub(copied, start, "<<")]
            self.i = end + 1
            return
        printed = self.printed(inner.replace("\\`", "`") if close == "`" else inner, start)
        raw = self.text[self.i : end + 1]
        self.add(raw if printed is None else printed, f"$({inner.strip()})" if printed is None else "")
        self.i = end + 1

    def printed(self, inner: str, start: int) -> str | None:
        """What a substitution gives, if its command needs nothing but its arguments."""
        if own_folder(inner):
            return "."
        if separated := lexer.SEPARATED.match(inner):
            return self.separated(separated, start)
        if re.search(r"[|;&<>\n]", inner):
            return None
        words = [known(value) for value in fields(self.scope, inner, lambda i: self.at(start + i))]
        texts = [word for word in words if word is not None]
        return output(texts) if len(texts) == len(words) else None

    def separated(self, found: re.Match[str], start: int) -> str | None:
        """The same behind IFS=..., which goes between the elements that [*] joins."""
        held = self.scope.variables.get("IFS")
        self.scope.write("IFS", whole(self.scope, found[1], self.at))
        try:
            return self.printed(found[2], start + found.start(2))
        finally:
            self.scope.variables |= {"IFS": held or Variable({})}

    def compute(self, inner: str, end: int) -> None:
        """Arithmetic, ending before `end`."""
        value = tuple(piece for piece in self.sub(inner, self.i, "<<") if piece)
        raw = self.text[self.i : end]
        result = None if names_of(value) else arithmetic(text_of(value), self.scope.number, self.scope.assign)
        names = names_of(value) or tuple(re.findall(r"[A-Za-z_]\w*", text_of(value))) or (raw,)
        self.add(raw if result is None else str(result), names[0] if result is None else "")
        self.i = end

    def braced(self, start: int) -> None:
        """${...}."""
        end = closing(self.scope, self.text, start, "}")
        end = len(self.text) if end < 0 else end
        self.parameter(self.text[self.i : end + 1], self.text[start:end], self.text[start:end])
        self.i = end + 1

    def parameter(self, raw: str, inner: str, full: str) -> None:
        """One parameter; `raw` is how it is written, `full` what the braces hold."""
        found = PARAMETER.fullmatch(inner)
        if not found or (full[:1] == "#" and len(full) == 1):
            self.add(raw, raw)
            return
        sign, name, index, rest = found.groups()
        index = self.index(name, index or "")
        if sign == "!":
            self.indirect(raw, name, index)
        elif sign == "#" or (name == "#" and not rest):
            self.size(raw, name if sign else "@", index if sign else "@")
        else:
            self.operated(raw, name, index, rest, self.i + len(raw) - 1 - len(rest))

    def index(self, name: str, text: str) -> str:
        """The element that [text] names."""
        if text in ("@", "*"):
            return text
        variable = self.scope.variables.get(name)
        key = text_of(whole(self.scope, text, self.at)).strip("'\"")
        if variable and variable.associative:
            return key
        number = arithmetic(key, self.scope.number, self.scope.assign) if key else 0
        if number is not None and number < 0 and variable:
            number += 1 + last_of(variable.items)
        return key if number is None else str(number)

    def indirect(self, raw: str, name: str, index: str) -> None:
        """${!name} and ${!name[@]}."""
        variable = self.scope.variables.get(name)
        target = known(variable.items.get("0", ())) if variable else None
        if index in ("@", "*") and variable:
            self.emit([(Part(key, self.at(self.i)),) for key in variable.items], index)
        elif target and re.fullmatch(r"[A-Za-z_]\w*", target):
            self.operated(raw, target, "0", "", self.i)
        else:
            self.add(raw, name)

    def size(self, raw: str, name: str, index: str) -> None:
        """${#name}, ${#name[@]}, $#."""
        values = self.scope.read(name, index)
        many = index in ("@", "*") or name in ("@", "*")
        if values is None or any(known(value) is None for value in values):
            self.add(raw, "#" if name == "@" else name)
        else:
            self.add(str(len(values) if many else len(text_of(values[0]))))

    def operated(self, raw: str, name: str, index: str, rest: str, start: int) -> None:
        """A parameter and what is to be done with it; `rest` stands at `start`."""
        values = self.scope.read(name, index)
        default = re.match(r"(:?)([-=+?])", rest)
        every = name if name in ("@", "*") else index
        if default:
            self.default(raw, name, values, default, start)
        elif values is None and index in ("@", "*") and not self.scope.partial and not self.scope.elsewhere(name):
            self.emit([], every)
        elif values is None:
            self.add(raw, name)
        elif not rest:
            self.emit(values, every)
        else:
            self.transformed(raw, name, values, rest, every)

    def absent(self, name: str, values: list[Value] | None, colon: bool) -> bool:
        """Whether the default stands in: not set, or to nothing but what is not set."""
        if values is None:
            return not self.scope.elsewhere(name)
        unset = all(self.unset(part) or (not part.text and not part.name) for value in values for part in value)
        return bool(unset and (colon or any(part.name for value in values for part in value)))

    def unset(self, part: Part) -> bool:
        """Whether a part names a variable that nobody sets."""
        return re.fullmatch(r"\w+", part.name) is not None and not self.scope.elsewhere(part.name)

    def default(self, raw: str, name: str, values: list[Value] | None, found: re.Match[str], start: int) -> None:
        """${name:-word} and its kin."""
        absent = self.absent(name, values, bool(found[1]))
        rest = raw[:-1].partition(found.group())[2]
        empty: list[Piece] = [Part("", self.at(self.i), quoted=True)] if self.inside else []
        if found[2] == "+":
            self.out += (not absent and self.sub(rest, start + found.end(), self.inside)) or empty
        elif not absent or found[2] == "?":
            self.emit(values, "") if values else self.add(raw, name)
        else:
            pieces = self.sub(rest, start + found.end(), self.inside)
            if found[2] == "=" and name.isidentifier():
                self.scope.write(name, tuple(piece for piece in pieces if piece))
            self.out += pieces or empty

    def transformed(self, raw: str, name: str, values: list[Value], rest: str, every: str) -> None:
        """${name%pattern}, ${name/pattern/text}, ${name:first:count}, ${name^^}."""
        part = CUT.fullmatch(rest) if every in ("@", "*") else None
        if part:
            first = int(part[1]) - (name == "@" and int(part[1]) > 0)
            self.emit(values[first:][: int(part[2]) if part[2] else None], every)
            return
        texts = [known(value) for value in values]
        results = [None if text is None else self.change(text, rest) for text in texts]
        if any(result is None for result in results):
            names = names_of(tuple(part for value in values for part in value))
            self.add(raw, names[0] if names else raw)
        else:
            self.emit([(Part(text or "", self.at(self.i)),) for text in results], every)

    def change(self, text: str, rest: str) -> str | None:
        """One text, changed; None when it cannot be told."""
        sign = re.match(r"##|#|%%|%|//|/#|/%|/|\^\^|,,", rest)
        if not sign:
            cut = CUT.fullmatch(rest)
            return text[int(cut[1]) :][: int(cut[2]) if cut[2] else None] if cut else None
        halves = HALVES.match(rest, sign.end()) if sign.group()[0] == "/" else None
        pattern, other = (halves[1], halves[2] or "") if halves else (rest[sign.end() :], "")
        line = self.at(self.i)
        glob = tuple(piece for piece in Scan(self.scope, pattern, lambda _: line).run() if piece)
        new = known(whole(self.scope, other, lambda _: line))
        return None if new is None else changed(text, sign.group(), glob, new)

    def emit(self, values: list[Value], every: str) -> None:
        """Values as pieces; between quotes [@] keeps its elements apart and [*] joins them."""
        quoted = bool(self.inside)
        self.scope.spend(12 * len(values))
        if not values and quoted and every == "*":
            self.add("")
        between = " " if (signs := self.scope.number("IFS")) is None else signs[:1]
        for place, value in enumerate(values):
            if place:
                self.out.append(Part(between, self.at(self.i), quoted=True) if quoted and every == "*" else None)
            empty = [Part("", self.at(self.i), quoted=True)] if quoted else []
            here = self.at(self.i)
            parts = [part for part in value if part.text or part.name]
            self.out += [replace(part, quoted=quoted, line=part.line or here) for part in parts] or empty
