"""How a name finds its facts: folders of YAML profiles, searched in order.

A name is matched, in this order, as canonical name (the file's stem), as alias or Hugging Face id, and as an ambiguous
name that one profile claims with `default_for`. A model is found by the last part of a path or of another owner's
repository too, or without an ending that says a format of weights, and that is said. Nothing else matches: a near miss
is suggested, never taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from planner.catalog.inherit import written
from planner.catalog.names import YAML, Index, normalise, stem
from planner.catalog.quantized import RETOLD, unquantized
from planner.catalog.yamlfile import validate
from planner.errors import AmbiguousName, ProfileError, UnknownName, suggest
from planner.frozen import frozen
from planner.schema.base import Profile
from planner.schema.model import Checkpoint, Model
from planner.wording import os_reason

if TYPE_CHECKING:
    from planner.catalog.textfile import Traversable
    from planner.schema.engine import Engine
    from planner.schema.framework import Framework
    from planner.schema.hardware import Accelerator, Link, Node
    from planner.schema.recipe import Recipe

T = TypeVar("T")
R = TypeVar("R", bound=BaseModel)

KINDS = {
    "model": ("models", "model", "Model"),
    "accelerator": ("accelerators", "hardware", "Accelerator"),
    "node": ("nodes", "hardware", "Node"),
    "link": ("links", "hardware", "Link"),
    "framework": ("frameworks", "framework", "Framework"),
    "engine": ("engines", "engine", "Engine"),
    "recipe": ("recipes", "recipe", "Recipe"),
}
"""Kind -> its folder, and the module of `planner.schema` and the class in it that describe it."""

ENVIRONMENT = "PLANNER_PROFILES"
_LISTED = 6


@frozen
class Resolved(Generic[T]):
    """What a name stands for, and what was assumed on the way: sentences for stderr."""

    value: T
    assumptions: tuple[str, ...] = ()


@frozen
class Library:
    """Profile folders in order of precedence; a file hides those of the same name in later roots.

    A library is a snapshot: it reads each folder and file once. Files that change afterwards need another one.

    Attributes:
        roots: each may hold models/, accelerators/, nodes/, links/, frameworks/, engines/ and recipes/.
        strict: an ambiguous name is an error even where a profile claims it.
    """

    roots: tuple[Traversable, ...]
    strict: bool = False
    _seen: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def names(self, kind: str) -> list[str]:
        """Canonical names of a kind, sorted; reads no file."""
        return sorted(self._index(kind).files)

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

    def recipe(self, name: str) -> Resolved[Recipe]:
        """A recipe of number formats by name or YAML file."""
        return self.find("recipe", name)

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
        found = self._once((kind, name), lambda: self._by_name(kind, name)) if path is None else None
        path = path or (_folder(kind, name) if found is None else None)
        if path is None and found is None and kind == "model" and not self.strict:
            found = self._copy(name) or self._quantized(name)
        return Resolved(self._written(kind, path)) if path is not None else found

    def _copy(self, name: str) -> Resolved[Any] | None:
        """The model of which a repository of another owner, or a folder that is not here, is a copy by its name."""
        last = RETOLD.sub("", re.split(r"[/\\]", name.rstrip("/\\"))[-1])
        found = self._by_name("model", last) if last != name else None
        exact = found is not None and not found.assumptions
        return Resolved(found.value, (f"{quote(name)} is taken for {last}",)) if found and exact else None

    def _quantized(self, name: str) -> Resolved[Any] | None:
        """The model of which a repository holds the weights in the format that its name ends with."""
        split = unquantized(name)
        base = (self._by_name("model", split[0]) or self._copy(split[0])) if split else None
        if split is None or base is None or any(" means " in note for note in base.assumptions):
            return None
        said = f"{quote(name)} is taken for {base.value.name}, the weights of all linear layers in {split[1]}"
        changes = {"name": f"{base.value.name}-{split[1]}", "checkpoints": ()}
        changes |= {"hf_id": name} if "/" in name else {}
        stored = Checkpoint(weights=split[1], source="the name of its repository")
        return Resolved(base.value.model_copy(update=changes | {"checkpoint": stored}), (said,))

    def _by_name(self, kind: str, name: str) -> Resolved[Any] | None:
        """Canonical name, then other spelling, then default; each in the order of the roots."""
        wanted, index = normalise(name), self._index(kind)
        if not wanted:
            return None
        path = index.files.get(name.lower()) or _only(name, index.canonical(wanted))
        path = path or _only(name, index.aliases(wanted))
        if path is not None:
            found = self._named(kind, path)
            return Resolved(found.published(lambda n: normalise(n) == wanted) if isinstance(found, Model) else found)
        path = _only(name, index.defaults(wanted))
        return None if path is None else self._default(kind, name, path)

    def _default(self, kind: str, name: str, path: Traversable) -> Resolved[Any]:
        others = [other for other in candidates(name, self._index(kind).files) if other != stem(path)]
        if self.strict:
            raise AmbiguousName(f"{quote(name)} is ambiguous", _write_one_of([stem(path), *others]))
        return Resolved(self._named(kind, path), (_means(name, stem(path), others),))

    def _named(self, kind: str, path: Traversable) -> Profile:
        profile = self.read(path, record_of(kind))
        if profile.name != stem(path):
            raise ProfileError(f"{path}: name: {quote(profile.name)}, but the file is called {quote(stem(path))}")
        return profile

    def _written(self, kind: str, path: Path) -> Profile:
        """The profile in a file or folder that the user named."""
        if kind != "model" or not (path.suffix.lower() == ".json" or on_disk(Path.is_dir, path)):
            return self.read(path, record_of(kind))
        from planner.catalog.huggingface import read_config

        return self._once((path, Model), lambda: read_config(path))

    def read(self, path: Traversable, record: type[R]) -> R:
        """The record in a YAML file, read once.

        Raises:
            ProfileError: the file cannot be used.
        """
        return self._once((path, record), lambda: _checked(path, self._read(path, record)))

    def _read(self, path: Traversable, record: type[R]) -> R:
        kind = next((kind for kind, (_, _, name) in KINDS.items() if name == record.__name__), None)
        value, lines = written(path, lambda name: None if kind is None else self._index(kind).files.get(name))
        return validate(value, record, str(path), lines)

    def _index(self, kind: str) -> Index:
        return self._once(kind, lambda: Index(root / KINDS[kind][0] for root in self.roots))

    def _once(self, key: object, read: Callable[[], T]) -> T:
        if key not in self._seen:
            self._seen[key] = read()
        found: T = self._seen[key]
        return found


def record_of(kind: str) -> type[Profile]:
    """The class that describes a kind, imported when it is asked for."""
    _, module, name = KINDS[kind]
    record: type[Profile] = getattr(import_module(f"planner.schema.{module}"), name)
    return record


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
        hint = "name a folder that holds models/, accelerators/, nodes/ ... with one YAML file per profile"
        raise ProfileError(f"{who}{str(path)[:200]}: {os_reason(error)}", hint) from None


def _checked(path: Traversable, profile: R) -> R:
    """The profile, whose stated parameters its shape must have."""
    if isinstance(profile, Model) and profile.parameters is not None:
        from planner.catalog.count import check_count

        check_count(profile, path)
    return profile


def _only(name: str, found: list[Traversable]) -> Traversable | None:
    """The one profile that answers."""
    if len(found) > 1:
        raise AmbiguousName(f"{quote(name)} is claimed by several profiles", _write_one_of(map(stem, found)))
    return found[0] if found else None


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


def _given_path(kind: str, name: str) -> Path | None:
    """The file or folder that the user named, if `name` is one rather than the name of a profile."""
    if name.lower().endswith((*YAML, ".json")):
        return Path(name)
    separators = (os.sep, os.altsep or os.sep)
    return Path(name) if any(s in name for s in separators) and on_disk(Path.exists, Path(name)) else None


def _folder(kind: str, name: str) -> Path | None:
    """A folder of the working directory that holds a config.json; a profile of that name goes before it."""
    is_model = kind == "model" and bool(name) and on_disk(Path.is_file, Path(name) / "config.json")
    return Path(name) if is_model else None


def on_disk(question: Callable[[Path], bool], path: Path) -> bool:
    """What the disk says of a path; False where it cannot be asked."""
    try:
        return question(path)
    except (OSError, ValueError):  # too long, no permission, a null byte
        return False


def unknown(library: Library, kinds: tuple[str, ...], name: str) -> UnknownName:
    """The error for a name that no profile of these kinds answers to, with what comes near."""
    near = [hit for kind in kinds for hit in _near(library, kind, name)]
    lists = [f"planner show {KINDS[k][0]}   lists all {len(library.names(k))}" for k in kinds]
    own = "a path to a YAML file" + (" or to a config.json" if "model" in kinds else "")
    guess = [f"did you mean: {', '.join(dict.fromkeys(near))} ?"] if near else []
    guess = [*_refused(name), *guess] if "model" in kinds else guess
    return UnknownName(f"no {' or '.join(kinds)} is called {quote(name)}", [*guess, *lists, f"your own: {own}"])


def _refused(name: str) -> list[str]:
    """Why a model that people know by this name is not here."""
    from planner.catalog.huggingface_known import named

    why = named(name)
    return [f"it is not supported: {why}"] if why else []


def _near(library: Library, kind: str, name: str) -> list[str]:
    index = library._index(kind)
    owner = {s.lower(): stem for stem, known in index.spellings.items() for s in (*known.all, stem)}
    close = [owner[spelling] for spelling in suggest(name.lower()[:80], list(owner), 6)]
    return list(dict.fromkeys([*candidates(name, index.files)[:3], *close]))[:3]
