"""How a name finds its facts: folders of YAML profiles, searched in order.

A name is matched, in this order, as canonical name (the file's stem), as alias or Hugging Face id, and as an ambiguous
name that one profile claims with `default_for`. Nothing else matches: a near miss is suggested, never taken.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from planner.catalog.yamlfile import parse_yaml, read_profile, read_text
from planner.errors import AmbiguousName, ProfileError, UnknownName, suggest
from planner.schema.base import Profile
from planner.schema.engine import Engine
from planner.schema.framework import Framework
from planner.schema.hardware import Accelerator, Link, Node
from planner.schema.model import Model

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

T = TypeVar("T")
Files = dict[str, "Traversable"]

KINDS: dict[str, tuple[str, type[Profile]]] = {
    "model": ("models", Model),
    "accelerator": ("accelerators", Accelerator),
    "node": ("nodes", Node),
    "link": ("links", Link),
    "framework": ("frameworks", Framework),
    "engine": ("engines", Engine),
}
ENVIRONMENT = "PLANNER_PROFILES"
YAML = (".yaml", ".yml")
_SPELLINGS = ("aliases", "default_for", "hf_id")
_ONE_LINE = {key: re.compile(rf"^{key}:[ \t]+(\S.*)$", re.MULTILINE) for key in _SPELLINGS}
_PUBLISHED = re.compile(r"^[ \t]+(?:- )?names:[ \t]*\[([^\]]*)\]", re.MULTILINE)
_ITEM = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s,\[\]][^,\[\]]*)")
_LISTED = 6


@dataclass(frozen=True, slots=True)
class Resolved(Generic[T]):
    """What a name stands for, and what was assumed on the way: sentences for stderr."""

    value: T
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Spellings:
    """The names under which one profile can be asked for, as written in its file."""

    aliases: tuple[str, ...] = ()
    default_for: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.aliases + self.default_for


@dataclass(frozen=True, slots=True)
class Library:
    """Profile folders in order of precedence; a file hides those of the same name in later roots.

    Attributes:
        roots: each may hold models/, accelerators/, nodes/, links/, frameworks/ and engines/.
        strict: an ambiguous name is an error even where a profile claims it.
    """

    roots: tuple[Traversable, ...]
    strict: bool = False

    def names(self, kind: str) -> list[str]:
        """Canonical names of a kind, sorted; reads no file."""
        return sorted(self._files(kind))

    def model(self, name: str) -> Resolved[Model]:
        """A model by name, Hugging Face id, YAML file, config.json or folder that holds one."""
        return self.find("model", name)

    def accelerator(self, name: str) -> Resolved[Accelerator]:
        """An accelerator by name or YAML file."""
        return self.find("accelerator", name)

    def node(self, name: str) -> Resolved[Node]:
        """A node by name or YAML file."""
        return self.find("node", name)

    def link(self, name: str) -> Resolved[Link]:
        """A link by name or YAML file."""
        return self.find("link", name)

    def framework(self, name: str) -> Resolved[Framework]:
        """A framework preset by name or YAML file."""
        return self.find("framework", name)

    def engine(self, name: str) -> Resolved[Engine]:
        """A serving engine's preset by name or YAML file."""
        return self.find("engine", name)

    def find(self, kind: str, name: str) -> Resolved[Any]:
        """The profile of a kind that `name` stands for.

        Raises:
            UnknownName: nothing answers to it; the hint suggests what comes near.
            AmbiguousName: several profiles claim it, or one does by default under `strict`.
            ProfileError: the file that answers cannot be used.
        """
        found = self.lookup(kind, name)
        if found is None:
            raise unknown(self, (kind,), name)
        return found

    def lookup(self, kind: str, name: str) -> Resolved[Any] | None:
        """Like `find`, but None when nothing answers to the name."""
        path = _given_path(kind, name)
        if path is not None:
            return Resolved(_read_path(kind, path))
        return self._by_name(kind, name) or _from_folder(kind, name)

    def _by_name(self, kind: str, name: str) -> Resolved[Any] | None:
        """Canonical name, then other spelling, then default; each in the order of the roots."""
        wanted, lower, folders = normalise(name), name.lower(), self._folders(kind)
        if not wanted:
            return None
        path = _only(name, folders, lambda stem, _: stem == lower) or _only(
            name, folders, lambda stem, _: normalise(stem) == wanted
        )
        if path is not None:
            return Resolved(_read_named(kind, path))
        spelled = {stem: spellings(path) for folder in folders for stem, path in folder.items()}
        path = _only(name, folders, lambda stem, _: wanted in map(normalise, spelled[stem].aliases))
        if path is not None:
            found = _read_named(kind, path)
            return Resolved(found.published(lambda n: normalise(n) == wanted) if isinstance(found, Model) else found)
        path = _only(name, folders, lambda stem, _: wanted in map(normalise, spelled[stem].default_for))
        return None if path is None else self._default(kind, name, path)

    def _default(self, kind: str, name: str, path: Traversable) -> Resolved[Any]:
        stem = _stem(path)
        others = [other for other in candidates(name, self._files(kind)) if other != stem]
        if self.strict:
            raise AmbiguousName(f"{quote(name)} is ambiguous", _write_one_of([stem, *others]))
        return Resolved(_read_named(kind, path), (_means(name, stem, others),))

    def _folders(self, kind: str) -> list[Files]:
        """Stem -> file of each root, without those that an earlier root hides."""
        folders: list[Files] = []
        hidden: set[str] = set()
        for root in self.roots:
            paths = sorted(_listing(root / KINDS[kind][0]), key=lambda path: path.name)
            folders.append({_stem(p): p for p in paths if p.name.endswith(YAML) and _stem(p) not in hidden})
            hidden |= folders[-1].keys()
        return folders

    def _files(self, kind: str) -> Files:
        return {stem: path for folder in self._folders(kind) for stem, path in folder.items()}


def open_library(directory: str | Path | None = None, strict: bool = False) -> Library:
    """The library that commands use: `directory`, then each entry of PLANNER_PROFILES, then the packaged profiles.

    Raises:
        ProfileError: a folder that was asked for does not exist or cannot be read.
    """
    given = [] if directory is None else [Path(directory)]
    named = [Path(entry) for entry in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if entry]
    for path in given:
        _check_folder(path, "")
    for path in named:
        _check_folder(path, f"{ENVIRONMENT}: ")
    return Library((*given, *named, packaged()), strict)


def packaged() -> Traversable:
    """The profiles inside the wheel; in a checkout the folder `profiles` beside the package."""
    inside = files("planner") / "_profiles"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "profiles"


def _check_folder(path: Path, who: str) -> None:
    try:
        next(path.iterdir(), None)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        hint = "name a folder that holds models/, accelerators/, nodes/ ... with one YAML file per profile"
        raise ProfileError(f"{who}{str(path)[:200]}: {reason.lower()}", hint) from None


def _listing(folder: Traversable) -> list[Traversable]:
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ProfileError(f"{folder}: {(error.strerror or 'cannot be read').lower()}") from None


def normalise(name: str) -> str:
    """Letters and digits in lower case, and a dot between two numbers: "qwen2-57b" is not "qwen2.5-7b"."""
    return re.sub(r"[\W_]+", lambda gap: "." if _between_digits(gap) else "", name.lower())


def _between_digits(gap: re.Match[str]) -> bool:
    return gap.start() > 0 and gap.string[gap.start() - 1].isdigit() and gap.string[gap.end() :][:1].isdigit()


def _stem(path: Traversable) -> str:
    return path.name.rpartition(".")[0]


def _only(name: str, folders: list[Files], answers: Callable[[str, Traversable], bool]) -> Traversable | None:
    """The one profile that answers in the first root where any does.

    Raises:
        AmbiguousName: two files of one root claim the same spelling.
    """
    found = ({stem: path for stem, path in folder.items() if answers(stem, path)} for folder in folders)
    first = next(filter(None, found), {})
    if len(first) > 1:
        raise AmbiguousName(f"{quote(name)} is claimed by several profiles", _write_one_of(first))
    return next(iter(first.values()), None)


def _write_one_of(stems: Iterable[str]) -> str:
    return f"write one of: {', '.join(list(stems)[:_LISTED])}"


def candidates(name: str, stems: Iterable[str]) -> list[str]:
    """Names that spell out `name`: its words and numbers, in order, perhaps with others between."""
    words = _words(name)
    return [stem for stem in stems if words and _in_order(words, iter(_words(stem)))]


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", name.lower()[:200])


def _in_order(words: list[str], among: Iterator[str]) -> bool:
    return all(word in among for word in words)


def _means(name: str, stem: str, others: list[str]) -> str:
    shown = ", ".join(others[:_LISTED]) + (" ..." if len(others) > _LISTED else "")
    return f"{quote(name)} means {stem} here" + (f"; also: {shown}" if others else "")


def quote(name: str) -> str:
    """A name as it is printed: in double quotes, control characters escaped, at most 60 characters."""
    text = name if name.isprintable() else repr(name)[1:-1]
    return f'"{text[:60]}..."' if len(text) > 60 else f'"{text}"'


def spellings(path: Traversable) -> _Spellings:
    """The other names of a profile, taken from its raw text: parsing the YAML of a whole folder takes a hundred times
    as long. A file whose keys are not on one line each is parsed; one that cannot be read has no other names."""
    try:
        text = read_text(path)
        found = {key: _one_line(key, text) for key in _SPELLINGS if key in text}
        if None in found.values():
            found = {key: _listed(parse_yaml(text, "")[0].get(key)) for key in _SPELLINGS}
    except ProfileError:
        return _Spellings()
    repository = found.get("hf_id") or ()
    published = tuple("".join(item).strip() for names in _PUBLISHED.findall(text) for item in _ITEM.findall(names))
    last = tuple(name.rpartition("/")[2] for name in (*repository, *published) if "/" in name)
    aliases = (*(found.get("aliases") or ()), *repository, *published, *last)
    return _Spellings(aliases, tuple(found.get("default_for") or ()))


def _one_line(key: str, text: str) -> tuple[str, ...] | None:
    """The names behind a key that is written on one line; None when it is not."""
    lines = _ONE_LINE[key].findall(text)
    rest = re.sub(r"\s#.*", "", lines[0]).strip() if len(lines) == 1 else ""
    is_list = rest.startswith("[") and rest.endswith("]") and key != "hf_id"
    is_word = key == "hf_id" and rest[:1] not in ("", "|", ">", "&", "*", "!", "[", "{", "#")
    return tuple("".join(item).strip() for item in _ITEM.findall(rest)) if is_list or is_word else None


def _listed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (value,) if isinstance(value, str) else ()


def _given_path(kind: str, name: str) -> Path | None:
    """The file or folder that the user named, if `name` is one rather than the name of a profile."""
    if name.lower().endswith((*YAML, ".json")):
        return Path(name)
    separators = (os.sep, os.altsep or os.sep)
    return Path(name) if any(s in name for s in separators) and _is(Path.exists, Path(name)) else None


def _from_folder(kind: str, name: str) -> Resolved[Any] | None:
    """A folder of the working directory that holds a config.json; a profile of that name goes before it."""
    is_model = kind == "model" and bool(name) and _is(Path.is_file, Path(name) / "config.json")
    return Resolved(_read_path(kind, Path(name))) if is_model else None


def _is(question: Callable[[Path], bool], path: Path) -> bool:
    try:
        return question(path)
    except (OSError, ValueError):  # too long, no permission, a null byte
        return False


def _read_path(kind: str, path: Path) -> Profile:
    if kind == "model" and (path.suffix.lower() == ".json" or _is(Path.is_dir, path)):
        from planner.catalog.huggingface import read_config

        return read_config(path)
    return read_profile(path, KINDS[kind][1])


def _read_named(kind: str, path: Traversable) -> Profile:
    profile = read_profile(path, KINDS[kind][1])
    if profile.name != _stem(path):
        raise ProfileError(f"{path}: name: {quote(profile.name)}, but the file is called {quote(_stem(path))}")
    return profile


def unknown(library: Library, kinds: tuple[str, ...], name: str) -> UnknownName:
    """The error for a name that no profile of these kinds answers to, with what comes near."""
    near = [hit for kind in kinds for hit in _near(library, kind, name)]
    lists = [f"planner show {KINDS[k][0]}   lists all {len(library.names(k))}" for k in kinds]
    own = "a path to a YAML file" + (" or to a config.json" if "model" in kinds else "")
    guess = [f"did you mean: {', '.join(dict.fromkeys(near))} ?"] if near else []
    return UnknownName(f"no {' or '.join(kinds)} is called {quote(name)}", [*guess, *lists, f"your own: {own}"])


def _near(library: Library, kind: str, name: str) -> list[str]:
    known = library._files(kind)
    owner = {s.lower(): stem for stem, path in known.items() for s in (*spellings(path).all, stem)}
    close = [owner[spelling] for spelling in suggest(name.lower()[:80], list(owner), 6)]
    return list(dict.fromkeys([*candidates(name, known)[:3], *close]))[:3]
