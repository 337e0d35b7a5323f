"""A configuration of any framework as one flat tree: dotted keys and plain values, whatever file it stands in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import PurePosixPath
from typing import Any

from planner.catalog.yamlfile import parse_yaml
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.read.bash.words import Word
from planner.read.options import ARGUMENTS, NUMBER
from planner.wording import NotRead, load_json, load_toml

LONGEST = 200_000
"""Characters of one configuration; longer ones are refused."""

MOST_DOTS = 1_000
"""On one line of a TOML, the time of which grows with the square of them."""

MOST_KEYS = 20_000
MOST_FILES = 16
DEEPEST = 8
"""Files that include one another, in all and in a chain; and references that lead to references."""

SUFFIXES = (".yaml", ".yml", ".json", ".toml")
CONFIGS = ("config", "config_file", "configs", "config_path", "c", "deepspeed_config_file", "cfg_path")
"""Options of launchers and training programs whose value is a configuration, beside those in tables."""

NOT_BESIDE = "this file is not beside the script"
BESIDE = "run planner check in its directory, or check the file itself"
"""What is said of a file that is named and not there, and what to do."""

Beside = Callable[[str], "str | None"]
"""The text of a file next to the one that is read, None if there is none."""


@frozen
class Leaf:
    """One value, as a number, text, truth, None or list; its line, 0 if it has none; its key as it was written."""

    value: Any
    line: int = 0
    key: str = ""


@frozen
class Tree:
    """Values by dotted key, in which "-" is "_" and leading dashes are gone.

    Attributes:
        where: what the values come from, for messages: "run.yaml" or "".
    """

    leaves: Mapping[str, Leaf] = field(default_factory=dict)
    where: str = ""

    def __contains__(self, key: str) -> bool:
        return key in self.leaves

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; null counts as absent."""
        leaf = self.leaves.get(key)
        return default if leaf is None or leaf.value is None else leaf.value

    def under(self, prefix: str) -> Tree:
        """The part below a key."""
        start = f"{prefix}."
        return Tree({k.removeprefix(start): v for k, v in self.leaves.items() if k.startswith(start)}, self.where)

    def over(self, below: Tree) -> Tree:
        """Both; what stands here wins."""
        return Tree({**below.leaves, **self.leaves}, self.where or below.where)

    def flat(self) -> Tree:
        """Keys without the sections they stand in; of two alike the later one."""
        return Tree({key.rpartition(".")[2]: leaf for key, leaf in self.leaves.items()}, self.where)


def plain(key: str) -> str:
    """A key as every framework's parser would take it: "--Tensor-Parallel" is "tensor_parallel"."""
    return key.strip().lstrip("-+~").replace("-", "_")


def tree_of(
    values: Mapping[str, Any], lines: Mapping[tuple[str | int, ...], int] | None = None, where: str = ""
) -> Tree:
    """A nested mapping, flattened; lists are values.

    Raises:
        PlannerError: more keys than any configuration.
    """
    leaves: dict[str, Leaf] = {}
    for path, value in _walk(values, ()):
        line = (lines or {}).get(path, 0)
        leaves[".".join(map(plain, path))] = Leaf(value, line, ".".join(path))
        if len(leaves) > MOST_KEYS:
            raise PlannerError(f"this configuration has more than {MOST_KEYS:,} keys", "give the training part alone")
    return Tree(leaves, where)


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, (*path, str(key)))
    else:
        yield path, value


def read_values(text: str, where: str) -> tuple[dict[str, Any], Mapping[tuple[str | int, ...], int]]:
    """The mapping of a JSON, TOML or YAML text, and the lines of its keys where the format keeps them.

    JSON with comments or a comma too many is read as the YAML that it is.

    Raises:
        PlannerError: none of them, or larger than any configuration.
    """
    check_size(text)
    start = without_comments(text)
    if start.startswith("{"):
        try:
            found = load_json(text)
        except NotRead as error:
            found = _relaxed(text, where, error)
        return (found, {}) if isinstance(found, dict) else ({}, {})
    if is_toml(start):
        return load_toml(text), {}
    return parse_yaml(text, where, shared=True)


def _relaxed(text: str, where: str, error: NotRead) -> dict[str, Any]:
    """GPT-NeoX's JSON, with # comments and a comma behind the last entry."""
    try:
        return parse_yaml(re.sub(r"(?m)^\t+", lambda tabs: "  " * len(tabs[0]), text), where)[0]
    except PlannerError:
        raise error from None


def check_size(text: str, what: str = "this") -> None:
    """Raises PlannerError for what is larger than any configuration."""
    if len(text) > LONGEST or any(line.count(".") > MOST_DOTS for line in text.split("\n")):
        said = f"more than {LONGEST:,} characters, or {MOST_DOTS:,} dots on one line"
        raise PlannerError(f"{what} is no configuration: {said}")


def without_comments(text: str) -> str:
    """The text from its first line that is no comment."""
    return re.sub(r"(?m)^[^\S\n]*#.*\n?", "", text).lstrip()


def is_toml(start: str) -> bool:
    """Whether a text without comments begins with a [section] alone on its line, or with `key = value`."""
    first = start.partition("\n")[0].split("#")[0].rstrip()
    return re.match(r"\[+\s*[\w.\"]+\s*\]+\s*$|[\w.-]+\s+=\s", f"{first} ") is not None


def is_yaml(start: str) -> bool:
    """Whether a text without comments begins with `key:` or `---`."""
    first = start.partition("\n")[0]
    return re.match(r"---\s*(#.*)?$|(\"[^\"]+\"|'[^']+'|[\w.+/-]+)\s*:(\s|$)", first) is not None


def read_tree(
    text: str, where: str, beside: Beside = lambda name: None, variables: Mapping[str, str] | None = None
) -> Tree:
    """A configuration with what it includes, its references resolved; `variables` are those of the user.

    Raises:
        PlannerError: no such text, includes outside its folder, or in circles.
    """
    tree = _with_includes(text, where, beside, [where])
    outside = Tree({plain(name): Leaf(scalar(value)) for name, value in (variables or {}).items()})
    whole = resolved(tree.over(outside))
    return replace(whole, leaves={key: leaf for key, leaf in whole.leaves.items() if key in tree})


def _with_includes(text: str, where: str, beside: Beside, seen: list[str]) -> Tree:
    values, lines = read_values(text, where)
    own, below = tree_of(values, lines, where), Tree()
    for name, section in _included(values, where):
        if len(seen) >= MOST_FILES or name in seen:
            raise PlannerError(f"{where}: includes {name[:80]!r} in a circle, or too many files")
        found = beside(f"{name}") or (beside(f"{name}.yaml") if not name.endswith(SUFFIXES) else None)
        if found is None:
            continue
        inner = _with_includes(found, name, beside, [*seen, name])
        prefixed = {f"{section}.{key}" if section else key: leaf for key, leaf in inner.leaves.items()}
        below = Tree(prefixed).over(below)
    return own.over(below)


def _included(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Files that Hydra's `defaults`, or Primus's `extends`, name, and the section they go to.

    Raises:
        PlannerError: a file of another directory.
    """
    named = [(entry, "") for key in ("extends", "includes") for entry in _list(values.get(key))]
    for entry in _list(values.get("defaults")):
        if isinstance(entry, Mapping):
            named += [(f"{group}/{name}", str(group)) for group, name in entry.items() if isinstance(name, str)]
        elif isinstance(entry, str) and entry != "_self_":
            named.append((entry, ""))
    for name, section in named:
        if not isinstance(name, str):
            continue
        if name.startswith(("/", "~")) or ".." in PurePosixPath(name).parts:
            raise PlannerError(
                f"{where}: {name[:80]!r} lies outside the folder of this file: it is not read",
                "copy it beside the file, or give the merged configuration",
            )
        yield name, section


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


REFERENCE = re.compile(r"\$\{([^${}]{1,200})\}")


def resolved(tree: Tree) -> Tree:
    """The tree with `${a.b}`, `${oc.env:NAME,value}` and `${NAME:value}` replaced where that can be told."""
    leaves = tree.leaves
    return replace(
        tree,
        leaves={k: replace(leaf, value=_resolve(_placed(leaf.value, k), tree, DEEPEST)) for k, leaf in leaves.items()},
    )


RELATIVE = re.compile(r"\$\{(\.+)(\w[\w.-]*)\}")


def _placed(value: Any, key: str) -> Any:
    """A text whose references from its own section, `${.a}` and `${..a}` of OmegaConf, count from the top."""
    if not isinstance(value, str) or "${." not in value:
        return value
    sections = key.split(".")
    return RELATIVE.sub(lambda one: "${" + ".".join([*sections[: -len(one[1])], one[2]]) + "}", value)


def _resolve(value: Any, tree: Tree, depth: int) -> Any:
    if not isinstance(value, str) or "${" not in value or depth == 0:
        return value
    whole = REFERENCE.fullmatch(value.strip())
    if whole:
        found = _referred(whole[1], tree)
        return value if found is None else _resolve(found, tree, depth - 1)
    text = REFERENCE.sub(lambda one: one[0] if (v := _referred(one[1], tree)) is None else str(v), value)
    return text if text == value or len(text) > LONGEST else _resolve(text, tree, depth - 1)


def _referred(name: str, tree: Tree) -> Any:
    """What a reference means; None where nobody can tell."""
    if (found := tree.get(plain(name))) is not None:
        return found
    default = re.fullmatch(r"oc\.env:\s*\w+\s*,\s*(.*)|[A-Za-z_]\w*:-?(.*)", name)
    return scalar(next(part for part in default.groups() if part is not None)) if default else None


def scalar(text: str) -> Any:
    """A value of a command line as YAML would take it: a number, truth, null or text; lists stay text."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("null", "none", "~", ""):
        return None
    return int(text) if NUMBER.fullmatch(text.strip()) and len(text) <= 15 else text


@frozen
class Given:
    """A command line as configuration.

    Attributes:
        tree: its options and `a.b=c` words. files: configurations that it names, by option or place, in order.
        stray: words that belong to nothing.
    """

    tree: Tree
    files: tuple[tuple[str, str], ...] = ()
    stray: tuple[str, ...] = ()


def _override(key: str, text: str, line: int) -> dict[str, Leaf]:
    """One value, or those of Hydra's `key={a: 1, b: {c: 2}}`, which may stand without blanks."""
    spaced = re.sub(r":(?=\S)", ": ", text)
    if not (text.startswith("{") and text.endswith("}")) or len(text) > LONGEST_OBJECT:
        return {plain(key): Leaf(scalar(text), line, key)}
    inner = tree_of(parse_yaml(spaced, key)[0]).leaves
    return {f"{plain(key)}.{name}": Leaf(leaf.value, line, f"{key}.{leaf.key}") for name, leaf in inner.items()}


LONGEST_OBJECT = 4_000

OVERRIDE = re.compile(r"[+~]{0,2}([A-Za-z_][\w.@/-]*)=(.*)", re.DOTALL)


def read_words(words: Iterable[Word]) -> Given:
    """Sort words as argparse, fire, OmegaConf and Hydra would: `--a b`, `--a=b`, `--a`, `a.b=c`, `+a.b=c`, `x.yaml`.

    Variables that nothing sets stay in the values as they are written; arguments from outside are none.
    """
    leaves: dict[str, Leaf] = {}
    files: list[tuple[str, str]] = []
    stray: list[str] = []
    option, taken = "", 0
    for word in (one for one in words if one.text not in ARGUMENTS):
        text, line = word.text, word.line
        if text in ("$@", "$*"):
            continue
        if re.match(r"--?[A-Za-z]", text):
            name, equals, value = text.partition("=")
            option, taken = plain(name), 1 if equals else 0
            leaves[option] = Leaf(scalar(value) if equals else True, line, name)
            if equals and value.endswith(SUFFIXES):
                files.append((option, value))
        elif (found := OVERRIDE.fullmatch(text)) and (taken or not option or "." in found[1]):
            option = ""
            leaves |= _override(found[1], found[2].strip("'\""), line)
        elif option and (not taken or not text.endswith(SUFFIXES)):
            old = leaves[option]
            more = scalar(text) if not taken else [*_list(old.value), scalar(text)]
            leaves[option] = replace(old, value=more)
            taken += 1
            if text.endswith(SUFFIXES):
                files.append((option, text))
        elif text.endswith(SUFFIXES):
            files.append(("", text))
        else:
            stray.append(text)
    return Given(Tree(leaves), tuple(files), tuple(stray))
