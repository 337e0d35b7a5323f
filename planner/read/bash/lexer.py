"""Where words, quotes and groups of a script begin and end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product

from planner.read.bash.words import Scope

CLOSERS = re.compile(r"[\\'\"$`(){}]")


def closing(scope: Scope, text: str, start: int, close: str) -> int:
    """Where a quote or group that opened before `start` ends, -1 if nowhere."""
    stack, at = [close], start
    while found := CLOSERS.search(text, at):
        at, char, top = found.end(), found.group(), stack[-1]
        if char == "\\":
            at += 1
        elif char == top:
            stack.pop()
            if not stack:
                scope.spend(at - start)
                return at - 1
        elif char == "$" and text[at : at + 1] in ("(", "{") and top != "`":
            stack.append(")" if text[at] == "(" else "}")
            at += 1
        elif char == "'" and '"' not in stack and top != "`":
            at = text.find("'", at) + 1 or len(text)
        elif (char in '"`' and top not in "`") or (char == "(" and top == ")"):
            stack.append(")" if char == "(" else char)
    scope.spend(len(text) - start)
    return -1


RAW = re.compile(r"[^\\'\"$`\s(]+")
RAW_APART = re.compile(r"[^\\'\"$`\s()]+")


def raw_word(scope: Scope, text: str, at: int, apart: bool = False) -> int:
    """Where the word ends that starts at `at`; with `apart` parentheses are words of their own."""
    start = at
    while at < len(text) and text[at] not in " \t\n":
        char = text[at]
        if apart and char in "()":
            return max(at, start + 1)
        if run := (RAW_APART if apart else RAW).match(text, at):
            at = run.end()
        elif char == "\\":
            at += 2
        elif char == "'":
            at = text.find("'", at + 1) + 1 or len(text)
        elif char in '"`(' or text[at : at + 2] in ("$(", "${"):
            at += 1 + (char == "$")
            end = closing(scope, text, at, {"(": ")", "{": "}"}.get(text[at - 1], text[at - 1]))
            at = len(text) if end < 0 else end + 1
        else:
            at += 1
    return min(at, len(text))


def raw_words(scope: Scope, text: str, apart: bool = False) -> Iterator[tuple[int, str]]:
    """Words as written, each with where it starts; comments and continued lines are blanks."""
    at = 0
    while at < len(text):
        if text[at] in " \t\n" or text.startswith("\\\n", at):
            at += 1 + (text[at] == "\\")
        elif text[at] == "#":
            at = text.find("\n", at) + 1 or len(text)
        else:
            end = raw_word(scope, text, at, apart)
            scope.spend(8)
            yield at, text[at:end]
            at = end


BRACES = re.compile(r"\{(?:(-?\d{1,6})\.\.(-?\d{1,6})|([^{},\s]*(?:,[^{},\s]*)+))\}")
MOST_BRACES = 4096


MOST_WRITTEN = 400_000


def braces(word: str) -> list[str]:
    """{1..4} and {a,b} written out, in words without quotes and expansions: MOST_BRACES words, MOST_WRITTEN characters
    at most."""
    if "{" not in word or re.search(r"['\"$`\\]", word):
        return [word]
    parts, at = list[list[str]](), 0
    for found in BRACES.finditer(word):
        parts += [[word[at : found.start()]], _written(found)]
        at = found.end()
    most = min(MOST_BRACES, MOST_WRITTEN // (len(word) + 1) + 1)
    return ["".join(chosen) for chosen in islice(product(*parts, [word[at:]]), most)]


def _written(found: re.Match[str]) -> list[str]:
    """What one pair of braces stands for."""
    if not found[1]:
        return found[3].split(",")
    first, last = int(found[1]), int(found[2])
    step = 1 if last >= first else -1
    return [str(n) for n in range(first, last + step, step)[:MOST_BRACES]]


SPECIAL = {'"': re.compile(r'[^\\"$`]+'), "<<": re.compile(r"[^\\$`]+"), "": re.compile(r"[^\\'\"$`<>]+")}
NAME = re.compile(r"[A-Za-z_]\w*|\d|[@*#?$!-]")
PARAMETER = re.compile(r"([#!]?)([A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[([^\]]*)\])?(.*)", re.DOTALL)
CUT = re.compile(r":\s*((?<=\s)-[0-9]{1,9}|[0-9]{1,9})(?::([0-9]{1,9}))?")
HALVES = re.compile(r"((?:\\.|[^/\\])*)(?:/(.*))?", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b"}
ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL)


def unescaped(found: re.Match[str]) -> str:
    """One escape of $'...'."""
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else found[0]
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return ESCAPES.get(code, code if code in "\\'\"?" else found[0])


def ansi(text: str, start: int) -> tuple[str, int]:
    """The text of $'...' from behind its first quote, and where it ends."""
    found = re.compile(r"(?:[^\\']|\\.)*", re.DOTALL).match(text, start)
    end = found.end() if found else start
    return ANSI.sub(unescaped, text[start:end]), end + 1


SEPARATED = re.compile(r"\s*IFS=('[^']*'|\"[^\"]*\"|[^\s;]*)\s*;\s*(.*)", re.DOTALL)
"""IFS=', '; echo "${names[*]}" within a substitution."""
COPIED = re.compile(r"\s*cat\s*<<(-?)\s*(['\"\\\\]?)(\w+)['\"]?[ \t]*\n(.*?)\n*[ \t]*\3\s*", re.DOTALL)


def document(inner: str) -> str | None:
    """The here-document that `cat` copies within a substitution; one that is not to be expanded is escaped."""
    found = COPIED.fullmatch(inner)
    if not found:
        return None
    text = re.sub(r"(?m)^\t+", "", found[4]) if found[1] else found[4]
    return re.sub(r"([\\\\$`])", r"\\\1", text) if found[2] else text
