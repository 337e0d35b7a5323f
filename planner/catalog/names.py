"""Under which names the profiles of one kind can be asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from planner.catalog.yamlfile import parse_yaml, read_text
from planner.errors import ProfileError
from planner.frozen import frozen
from planner.wording import os_reason

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

Files = dict[str, "Traversable"]
Claims = dict[str, list["Traversable"]]

YAML = (".yaml", ".yml")
_SPELLINGS = ("aliases", "default_for", "hf_id")
_ONE_LINE = {key: re.compile(rf"\n{key}:[ \t]+(\S.*)") for key in _SPELLINGS}
_PUBLISHED = re.compile(r"\n[ \t]+(?:- )?names:[ \t]*\[([^\]]*)\]")
_GAP = re.compile(r"[\W_]+")
_LOOSE = re.compile(r"(?<![\d\W_])[\W_]+|[\W_]+(?![\d\W_])")  # gaps that have no number on one side
_ITEM = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s,\[\]][^,\[\]]*)")


@frozen
class Spellings:
    """The names under which one profile can be asked for, as written in its file."""

    aliases: tuple[str, ...] = ()
    default_for: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.aliases + self.default_for


class Index:
    """The profiles of one kind in folders of falling precedence. Each folder is listed and each file scanned once, when
    it is first needed.
    """

    def __init__(self, roots: Iterable[Traversable]) -> None:
        self._roots = tuple(roots)

    @cached_property
    def folders(self) -> tuple[Files, ...]:
        """Stem -> file of each folder, without those that an earlier one hides."""
        folders: list[Files] = []
        hidden: set[str] = set()
        for root in self._roots:
            paths = sorted(_listing(root), key=lambda path: path.name)
            folders.append({stem(p): p for p in paths if p.name.endswith(YAML) and stem(p) not in hidden})
            hidden |= folders[-1].keys()
        return tuple(folders)

    @cached_property
    def files(self) -> Files:
        """Stem -> file, of all folders."""
        return {stem: path for folder in self.folders for stem, path in folder.items()}

    @cached_property
    def spellings(self) -> dict[str, Spellings]:
        """Stem -> other names."""
        return {stem: spellings(path) for stem, path in self.files.items()}

    @cached_property
    def canonical(self) -> Claims:
        """Who answers to a stem."""
        return self._claims(lambda stem: (stem,))

    @cached_property
    def aliases(self) -> Claims:
        """Who answers to an alias or a Hugging Face id."""
        return self._claims(lambda stem: self.spellings[stem].aliases)

    @cached_property
    def defaults(self) -> Claims:
        """Who answers to an ambiguous name."""
        return self._claims(lambda stem: self.spellings[stem].default_for)

    def _claims(self, names: Callable[[str], Iterable[str]]) -> Claims:
        """Normalised name -> the files that claim it in the first folder where any does."""
        claims: Claims = {}
        for folder in self.folders:
            here: Claims = {}
            for stem, path in folder.items():
                for name in set(map(normalise, names(stem))):
                    here.setdefault(name, []).append(path)
            claims = here | claims
        return claims


def _listing(folder: Traversable) -> list[Traversable]:
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ProfileError(f"{folder}: {os_reason(error)}") from None


def stem(path: Traversable) -> str:
    """A file's name without its suffix."""
    return path.name.rpartition(".")[0]


def normalise(name: str) -> str:
    """Letters and digits in lower case, and a dot between two numbers: "qwen2-57b" is not "qwen2.5-7b"."""
    return _GAP.sub(".", _LOOSE.sub("", name.lower()))


def spellings(path: Traversable) -> Spellings:
    """The other names of a profile, taken from its raw text: parsing the YAML of a whole folder takes a hundred times
    as long. A file whose keys are not on one line each is parsed; one that cannot be read has no other names."""
    try:
        text = f"\n{read_text(path)}"
        found = {key: _one_line(key, text) for key in _SPELLINGS if key in text}
        if None in found.values():
            found = {key: _listed(parse_yaml(text, "")[0].get(key)) for key in _SPELLINGS}
    except ProfileError:
        return Spellings()
    repository = found.get("hf_id") or ()
    lists = _PUBLISHED.findall(text) if "names:" in text else ()
    published = tuple("".join(item).strip() for names in lists for item in _ITEM.findall(names))
    last = tuple(name.rpartition("/")[2] for name in (*repository, *published) if "/" in name)
    aliases = (*(found.get("aliases") or ()), *repository, *published, *last)
    return Spellings(aliases, tuple(found.get("default_for") or ()))


def _one_line(key: str, text: str) -> tuple[str, ...] | None:
    """The names behind a key that is written on one line; None when it is not."""
    lines = _ONE_LINE[key].findall(text)
    rest = re.sub(r"\s#.*", "", lines[0]).strip() if len(lines) == 1 else ""
    is_list = rest.startswith("[") and rest.endswith("]") and key != "hf_id"
    is_word = key == "hf_id" and rest[:1] not in ("", "|", ">", "&", "*", "!", "[", "{", "#")
    return tuple("".join(item).strip() for item in _ITEM.findall(rest)) if is_list or is_word else None


def _listed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (value,) if isinstance(value, str) else ()
