"""Under which names the profiles of one kind can be asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING

from planner.catalog.textfile import decoded
from planner.catalog.yamlfile import parse_yaml, read_raw
from planner.errors import ProfileError
from planner.frozen import frozen
from planner.wording import os_reason

if TYPE_CHECKING:
    from planner.catalog.textfile import Traversable

Files = dict[str, "Traversable"]

YAML = (".yaml", ".yml")
_SPELLINGS = ("aliases", "default_for", "hf_id")
_ONE_LINE = {key: re.compile(rf"\n{key}:[ \t]+(\S.*)") for key in _SPELLINGS}
_PUBLISHED = re.compile(r"\n[ \t]+(?:- )?names:[ \t]*\[([^\]]*)\]")
_GAP = re.compile(r"[\W_]+")
_LOOSE = re.compile(r"(?<![\d\W_])[\W_]+|[\W_]+(?![\d\W_])")  # gaps that have no number on one side
_BETWEEN = bytes(code for code in range(128) if not chr(code).isalnum())
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
        return {stem: spelled(raw) for stem, (raw, _) in self._scanned.items()}

    @cached_property
    def _scanned(self) -> dict[str, tuple[bytes, bytes | None]]:
        """Stem -> the bytes of its file, and the letters in them."""
        return {stem: (raw := _raw(path), _letters(raw)) for stem, path in self.files.items()}

    def canonical(self, wanted: str) -> list[Traversable]:
        """Whose stem is `wanted`, a normalised name: the files of the first folder where any is."""
        return self._claiming(lambda stem: normalise(stem) == wanted)

    def aliases(self, wanted: str) -> list[Traversable]:
        """Likewise whose alias or Hugging Face id it is."""
        return self._spelling(wanted, attrgetter("aliases"))

    def defaults(self, wanted: str) -> list[Traversable]:
        """Likewise who claims it as an ambiguous name."""
        return self._spelling(wanted, attrgetter("default_for"))

    def _spelling(self, wanted: str, names: Callable[[Spellings], tuple[str, ...]]) -> list[Traversable]:
        """Whose names are taken from the text only where it has the letters of the wanted one: that is quickly seen."""
        letters = _letters(wanted.encode("utf-8", "surrogatepass"))

        def claims(stem: str) -> bool:
            raw, known = self._scanned[stem]
            may = letters is None or known is None or letters in known
            return may and wanted in map(normalise, names(spelled(raw)))

        return self._claiming(claims)

    def _claiming(self, claims: Callable[[str], bool]) -> list[Traversable]:
        found = ([path for stem, path in folder.items() if claims(stem)] for folder in self.folders)
        return next(filter(None, found), [])


def _raw(path: Traversable) -> bytes:
    """The bytes of a file; none of one that cannot be read."""
    try:
        return read_raw(path)
    except ProfileError:
        return b""


def _letters(text: bytes) -> bytes | None:
    """Letters and digits in lower case, without what lies between; None where they may be written in other ways."""
    return text.lower().translate(None, _BETWEEN) if text.isascii() and b"\\" not in text else None


def _listing(folder: Traversable) -> list[Traversable]:
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ProfileError(f"{folder}: {os_reason(error)}", "name a folder that can be read") from None


def stem(path: Traversable) -> str:
    """A file's name without its suffix."""
    return path.name.rpartition(".")[0]


def normalise(name: str) -> str:
    """Letters and digits in lower case, and a dot between two numbers: "qwen2-57b" is not "qwen2.5-7b"."""
    return _GAP.sub(".", _LOOSE.sub("", name.lower()))


def spelled(raw: bytes) -> Spellings:
    """The other names in a profile, taken from its raw text: parsing the YAML of a whole folder takes a hundred times
    as long. A file whose keys are not on one line each is parsed; one that cannot be read has no other names."""
    try:
        text = f"\n{decoded(raw, '')}"
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
