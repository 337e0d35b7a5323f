"""How names find their facts, and what is said when they do not."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner.catalog import inherit, names
from planner.catalog import library as module
from planner.catalog.library import KINDS, Library, Resolved, candidates, open_library
from planner.catalog.names import normalise
from planner.catalog.yamlfile import LIMIT, parse_yaml, read_profile
from planner.errors import AmbiguousName, PlannerError, ProfileError, UnknownName
from planner.schema.hardware import Node
from planner.schema.model import Model

SHAPE = """\
family: llama
layers: 2
hidden: 64
ffn: 128
heads: 4
kv_heads: 2
head_dim: 16
vocab: 1000
tied_embeddings: false
context: 2048
mlp: glu
source: a test
"""


def write_model(root: Path, name: str, extra: str = "", shape: str = SHAPE) -> Path:
    folder = root / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{extra}{shape}", encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "profiles"
    write_model(root, "llama3-8b", "hf_id: meta-llama/Meta-Llama-3-8B\n")
    write_model(root, "llama3.1-70b", 'aliases: [big-one, "Llama 70"]\ndefault_for: [llama70b]\n')
    write_model(root, "llama3-70b", "aliases: ['Llama-3-70B-Instruct']\n")
    write_model(root, "qwen2.5-7b")
    return root


@pytest.fixture
def library(root: Path) -> Library:
    return Library((root,))


# names


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("llama3-8b", "llama3-8b"),
        ("LLaMA3_8B", "llama3-8b"),
        ("Llama 3.1 70B", "llama3.1-70b"),
        ("meta-llama/Meta-Llama-3-8B", "llama3-8b"),
        ("meta-llama-3-8b", "llama3-8b"),
        ("BIG ONE", "llama3.1-70b"),
        ("llama-70", "llama3.1-70b"),
        ("llama-3-70b-instruct", "llama3-70b"),
        ("qwen2.5-7b", "qwen2.5-7b"),
    ],
)
def test_names_that_mean_one_thing_are_found_without_assumptions(library: Library, asked: str, name: str) -> None:
    found = library.model(asked)
    assert (found.value.name, found.assumptions) == (name, ())


def test_a_default_is_said_and_lists_what_else_was_meant(library: Library) -> None:
    found = library.model("Llama70B")
    assert found.value.name == "llama3.1-70b"
    assert found.assumptions == ('"Llama70B" means llama3.1-70b here; also: llama3-70b',)


def test_strict_refuses_a_default_and_accepts_a_full_name(root: Path) -> None:
    strict = Library((root,), strict=True)
    with pytest.raises(AmbiguousName) as caught:
        strict.model("llama70b")
    assert caught.value.hint == ("write one of: llama3.1-70b, llama3-70b",)
    assert strict.model("llama3.1-70b").value.name == "llama3.1-70b"


@pytest.mark.parametrize("asked", ["llama3", "llama3-7", "qwen2-57b", "8b", "", " ", "-", "é", "llama\0", "x" * 5000])
def test_nothing_is_guessed(library: Library, asked: str) -> None:
    with pytest.raises(UnknownName):
        library.model(asked)


def test_an_unknown_name_is_suggested_a_near_one(library: Library) -> None:
    with pytest.raises(UnknownName) as caught:
        library.model("lama3-8b")
    assert str(caught.value) == 'no model is called "lama3-8b"'
    guess, lists, own = caught.value.hint
    assert guess.startswith("did you mean: llama3-8b")
    assert lists == "planner show models   lists all 4"
    assert "YAML" in own and "config.json" in own


def test_a_near_miss_of_an_alias_suggests_its_profile(library: Library) -> None:
    with pytest.raises(UnknownName) as caught:
        library.model("bigone1")
    assert caught.value.hint[0] == "did you mean: llama3.1-70b ?"


def test_a_name_that_leaves_words_out_is_suggested_the_full_ones(library: Library) -> None:
    with pytest.raises(UnknownName) as caught:
        library.model("llama-8b")
    assert caught.value.hint[0].startswith("did you mean: llama3-8b")


def test_two_profiles_with_one_alias_are_an_error(root: Path, library: Library) -> None:
    write_model(root, "other", "aliases: [big-one]\n")
    with pytest.raises(AmbiguousName) as caught:
        library.model("big-one")
    assert caught.value.hint == ("write one of: llama3.1-70b, other",)


def test_a_canonical_name_goes_before_an_alias(root: Path, library: Library) -> None:
    write_model(root, "pretender", "aliases: [llama3-8b]\n")
    assert library.model("Llama3_8b").value.name == "llama3-8b"


@pytest.mark.parametrize(
    "extra",
    [
        "aliases:\n  - block-name\n",
        "aliases: [a,\n  block-name]\n",
        "aliases: [a, block-name] # flow\n",
        '"aliases": [block-name]\n',
        "hf_id: org/block-name # here\n",
        "hf_id: 'org/block-name'\n",
    ],
)
def test_every_way_to_write_an_alias_is_read(root: Path, library: Library, extra: str) -> None:
    write_model(root, "mine", extra)
    assert library.model("Block Name").value.name == "mine"


def test_block_style_defaults_are_read(root: Path, library: Library) -> None:
    write_model(root, "mine", "default_for:\n  - whatever\n")
    assert library.model("whatever").assumptions == ('"whatever" means mine here',)


def test_the_first_root_wins(tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    write_model(own, "llama3-8b", shape=SHAPE.replace("layers: 2", "layers: 3"))
    library = Library((own, root))
    assert library.model("llama3-8b").value.layers == 3
    assert library.names("model") == ["llama3-70b", "llama3-8b", "llama3.1-70b", "qwen2.5-7b"]
    assert Library((root, own)).model("llama3-8b").value.layers == 2


def test_a_users_spelling_goes_before_a_packaged_one(tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    write_model(own, "mine", "aliases: [big-one]\ndefault_for: [llama70b]\n")
    library = Library((own, root))
    assert library.model("big-one").value.name == "mine"
    assert library.model("llama70b").assumptions == ('"llama70b" means mine here; also: llama3-70b, llama3.1-70b',)
    assert Library((root, own)).model("big-one").value.name == "llama3.1-70b"


def test_a_hidden_file_lends_no_aliases(tmp_path: Path, root: Path) -> None:
    own = tmp_path / "own"
    write_model(own, "llama3.1-70b")
    with pytest.raises(UnknownName):
        Library((own, root)).model("big-one")


@pytest.mark.parametrize(
    "written",
    [
        "[Our–Own (9B)]",
        "[other, our_own-9b]",
        "\n  - Our\n    own 9b\n",
        '\n  - "our-o\\x77n-9b"\n',
    ],
)
def test_a_name_is_found_however_it_is_written(root: Path, library: Library, written: str) -> None:
    """Files without its letters are passed over, unless they may be there in another guise."""
    write_model(root, "ours", f"aliases: {written}\n")
    assert library.model("our-own-9b").value.name == "ours"


def test_an_exact_name_opens_one_file(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(names, "read_raw", lambda path: opened.append(path.name) or b"")
    assert library.model("llama3-8b").value.name == "llama3-8b"
    assert opened == []


def test_names_parse_nothing(root: Path, library: Library) -> None:
    (root / "models" / "broken.yaml").write_bytes(b"\xff")
    (root / "models" / "notes.txt").write_text("no profile")
    assert library.names("model") == ["broken", "llama3-70b", "llama3-8b", "llama3.1-70b", "qwen2.5-7b"]
    assert library.names("node") == []


def test_a_broken_neighbour_does_not_hide_the_others(root: Path, library: Library) -> None:
    (root / "models" / "broken.yaml").write_text("aliases: [x\n  : y")
    assert library.model("big-one").value.name == "llama3.1-70b"
    with pytest.raises(ProfileError):
        library.model("broken")


def test_the_stem_is_the_name(root: Path, library: Library) -> None:
    (root / "models" / "renamed.yaml").write_text("name: original\n" + SHAPE)
    with pytest.raises(ProfileError, match=r'renamed\.yaml: name: "original", but the file is called "renamed"'):
        library.model("renamed")


def test_a_library_reads_from_inside_a_zip(tmp_path: Path, root: Path) -> None:
    archive = tmp_path / "wheel.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in root.rglob("*.yaml"):
            file.write(path, f"profiles/{path.relative_to(root).as_posix()}")
    library = Library((zipfile.Path(archive, "profiles/"),))
    assert library.model("meta-llama/Meta-Llama-3-8B").value.name == "llama3-8b"
    assert len(library.names("model")) == 4


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing_in_ascii(name: str) -> None:
    once = normalise(name)
    assert normalise(once) == once


def test_candidates_are_whole_words() -> None:
    assert candidates("a10", ["a100-sxm4-80gb", "a10-pcie-24gb"]) == ["a10-pcie-24gb"]
    assert candidates("b200", ["gb200-nvl72", "b200-sxm-192gb"]) == ["b200-sxm-192gb"]


# paths


def test_a_path_is_read_as_a_file(root: Path, library: Library) -> None:
    assert library.model(str(root / "models" / "qwen2.5-7b.yaml")).value.name == "qwen2.5-7b"


def test_a_path_that_is_not_there(library: Library) -> None:
    with pytest.raises(ProfileError, match=r"missing\.yaml: no such file"):
        library.model("missing.yaml")


def test_a_folder_of_the_working_directory_never_shadows_a_name(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama3-8b").mkdir()
    (tmp_path / "llama3-8b" / "config.json").write_text("{}")
    (tmp_path / "unheard-of").mkdir()
    (tmp_path / "unheard-of" / "config.json").write_text("{}")
    assert library.model("llama3-8b").value.source == "a test"
    with pytest.raises(ProfileError, match="model_type: missing"):
        library.model("unheard-of")


def test_a_folder_is_no_node(tmp_path: Path, library: Library) -> None:
    with pytest.raises(ProfileError, match="is a directory"):
        library.node(str(tmp_path))


# where profiles are looked for


def test_the_option_goes_before_the_environment(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    write_model(own, "llama3-8b", shape=SHAPE.replace("layers: 2", "layers: 7"))
    monkeypatch.setenv(module.ENVIRONMENT, os.pathsep.join(["", str(root)]))
    assert open_library().model("llama3-8b").value.layers == 2
    assert open_library(own).model("llama3-8b").value.layers == 7
    assert open_library(own, strict=True).strict


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProfileError, match="nowhere: no such file or directory"):
        open_library(tmp_path / "nowhere")
    with pytest.raises(ProfileError, match="cannot be read"):
        open_library("nul\0byte")
    monkeypatch.setenv(module.ENVIRONMENT, str(tmp_path / "gone"))
    with pytest.raises(ProfileError, match=r"PLANNER_PROFILES: .*gone: no such file"):
        open_library()


def test_a_folder_that_cannot_be_read_is_said(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ProfileError, match="permission denied"):
        open_library(tmp_path)
    with pytest.raises(ProfileError, match="permission denied"):
        library.names("model")


def test_resolved_and_library_are_frozen(library: Library) -> None:
    with pytest.raises(AttributeError):
        library.strict = True  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Resolved(1).value = 2  # type: ignore[misc]


# one file


def read(tmp_path: Path, text: str | bytes, record: type = Model) -> object:
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_profile(path, record)


GOOD = "name: x\n" + SHAPE
DEEP = "moe:\n  experts: 8\n  topk: 2\n  ffn: 64\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "layrs: 3\n", r"x\.yaml:14: layrs: unknown key$"),
        (GOOD.replace("layers: 2\n", ""), r"x\.yaml:1: layers: missing$"),
        (GOOD + DEEP, r"x\.yaml:16: moe\.topk: unknown key \(and 1 more\)$"),
        (GOOD.replace("layers: 2", "layers: two"), r"x\.yaml:3: layers: must be a whole number"),
        (GOOD.replace("layers: 2", "layers: 0"), r"x\.yaml:3: layers: 0 is out of range: 1 to 2,000 layers"),
        (GOOD.replace("heads: 4", "heads: 3"), r"x\.yaml:1: heads 3 is not a multiple of kv_heads 2"),
        (GOOD + "parameters: 70 GB\n", r"x\.yaml:14: parameters: the unit 'GB' is none of count; write it like"),
        (GOOD + "parameters: 70000000\n", r"x\.yaml:14: parameters: .*not a quantity in count"),
        (GOOD + "layers: 4\n", r"x\.yaml:14: layers: written twice$"),
        (GOOD + "moe:\n\texperts: 8\n", r"x\.yaml:15: a tab indents this line"),
        (GOOD + "moe: [1, 2\n", r"x\.yaml:15: the bracket of line 14 is still open"),
        (GOOD + "notes: &n hello\n", r"x\.yaml:14: anchors"),
        (GOOD + "notes: *n\n", r"x\.yaml:14: anchors"),
        (GOOD + "moe: &m\n  experts: *m\n", r"x\.yaml:14: anchors"),
        (GOOD + "notes: !!python/object/apply:os.system [ls]\n", r"x\.yaml:14: the tag"),
        (GOOD + "notes: !!str 5\n", r"x\.yaml:14: the tag"),
        (GOOD + "? [a, b]\n: c\n", r"x\.yaml:14: a key must be a word"),
        (GOOD + "---\nname: y\n", r"x\.yaml:14: a second document"),
        (GOOD + "moe: " + "[" * 40 + "]" * 40 + "\n", r"x\.yaml:14: nested more than 32 levels deep"),
        (GOOD + "moe: " + "[" * 300_000, r"x\.yaml:14: nested more than 32 levels deep"),
        (GOOD + "moe: " + "{a: " * 100_000, r"x\.yaml:14: nested more than 32 levels deep"),
        (GOOD + f"context: {'9' * 5000}\n", r"x\.yaml:14: context: written twice"),
        (GOOD.replace("2048", "9" * 5000), r"x\.yaml:11: '9{40,}.* is not a number"),
        (GOOD.replace("name: x", "name: a b"), r"x\.yaml:1: name: not a legal name"),
        (b"name: \xff\xfe\n", r"x\.yaml:1: not UTF-8 text$"),
        (b"a: 1\nb: \xe9t\xe9\n", r"x\.yaml:2: not UTF-8 text$"),
        ("name: \x00\n", r"x\.yaml.*a zero byte"),
        ("", r"x\.yaml: empty file$"),
        ("# nothing\n", r"x\.yaml: empty file$"),
        ("- a\n- b\n", r"x\.yaml:1: the file must be a mapping"),
        ("hello", r"x\.yaml:1: the file must be a mapping"),
        ("a: b: c\n", r"x\.yaml:1: two colons"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        read(tmp_path, text)


def test_an_unknown_key_is_told_the_nearest_legal_one(tmp_path: Path) -> None:
    for extra, hint in (
        ("layrs: 3\n", "did you mean: layers ?"),
        (DEEP.replace("experts: 8", "top_k: 2"), "did you mean: top_k ?"),
    ):
        with pytest.raises(ProfileError) as caught:
            read(tmp_path, GOOD + extra)
        assert "".join(caught.value.hint) == hint
    nested = "moe:\n  experts: 8\n  top_k: 2\n  ffn: 64\n  shared_expert: 1\n"
    with pytest.raises(ProfileError, match=r"x\.yaml:18: moe\.shared_expert: unknown key") as caught:
        read(tmp_path, GOOD + nested)
    assert caught.value.hint == ("did you mean: shared_experts ?",)


NODE = "name: x\nprovider: me\naccelerator: a100\ncount: 8\nsource: a test\n"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("scaleup: {kind: switch}\n", r"x\.yaml:6: scaleup\.name: missing \(and 6 more\)"),
        ("scaleup: 'not a name'\n", r"x\.yaml:6: scaleup: not a legal name"),
        ("scaleup: 5\n", r"x\.yaml:6: scaleup: "),
        ("", r"x\.yaml:1: 8 accelerators need a scaleup link"),
        ("scaleup: nvlink\nnetwork_rate: 50 GB\nnetwork: ib\n", r"x\.yaml:7: network_rate: the unit 'GB'"),
    ],
)
def test_a_name_or_a_mapping_complains_about_what_was_written(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        read(tmp_path, NODE + extra, Node)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="larger than 1 MB"):
        read(tmp_path, b"a: [" * 2_500_000)
    read(tmp_path, GOOD + "#" * (LIMIT - len(GOOD)))


def test_a_byte_order_mark_and_carriage_returns_are_no_problem(tmp_path: Path) -> None:
    read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())


def test_keys_and_dates_stay_text() -> None:
    value, lines = parse_yaml("on: 2024-05-01\n5: yes\nlist:\n  - {a: 0x10}\n  - ~\n", "x")
    assert value == {"on": "2024-05-01", "5": True, "list": [{"a": 16}, None]}
    assert lines[("list", 0, "a")] == 4


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no such file or directory"):
        read_profile(tmp_path / "gone.yaml", Model)
    with pytest.raises(ProfileError, match="is a directory"):
        read_profile(tmp_path, Model)
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(Path("nul\0"), Model)


def test_the_pure_python_parser_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    from planner.catalog import yamlfile

    monkeypatch.setattr(yamlfile, "_LOADER", yaml.SafeLoader)
    read(tmp_path, GOOD)
    with pytest.raises(ProfileError, match="nested more than 32"):
        read(tmp_path, GOOD + "moe: " + "[" * 2000)
    with pytest.raises(ProfileError, match=r"x\.yaml:14: layers: written twice"):
        read(tmp_path, GOOD + "layers: 4\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(max_size=300), st.text(alphabet="ab:-[]{}&*!|>?,#'\"\n\t %@`1.~", max_size=80)))
@example("{" * 5000)
@example("a: !<x> b")
@example("%YAML 9.9\n---\na: b")
@example("? ? ? ?")
@example("a: 1_:_:_")
@example("a: 0b")
@example("<<: {a: b}")
@example("=: =")
def test_no_text_breaks_the_reader(tmp_path: Path, text: str) -> None:
    try:
        parse_yaml(text, "x")
        read(tmp_path, text.encode("utf-8", "surrogatepass"))
    except ProfileError:
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ProfileError):
        read(tmp_path, data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=80), st.sampled_from(sorted(KINDS)))
def test_no_name_breaks_the_library(library: Library, name: str, kind: str) -> None:
    try:
        library.find(kind, name)
    except PlannerError as error:
        assert str(error).isprintable() or "\n" in name


# a library is a snapshot


def test_a_library_reads_each_file_once(root: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that were named by path; another library sees what has changed since."""
    opened: list[str] = []
    raw, text = names.read_raw, inherit.read_text
    monkeypatch.setattr(names, "read_raw", lambda path: (opened.append(str(path)), raw(path))[1])
    monkeypatch.setattr(inherit, "read_text", lambda path: (opened.append(str(path)), text(path))[1])
    own = str(write_model(root / "own", "mine"))
    asked = ("llama70b", "big-one", "qwen2.5-7b", own)
    before = [library.model(name).value for name in asked * 3]
    scanned = [str(path) for path in sorted((root / "models").iterdir())]
    assert sorted(opened) == sorted(
        [*scanned, *(f"{root}/models/{n}.yaml" for n in ("llama3.1-70b", "qwen2.5-7b")), own]
    )
    write_model(root, "qwen2.5-7b", shape=SHAPE.replace("layers: 2", "layers: 9"))
    write_model(root, "new")
    assert [library.model(name).value for name in asked * 3] == before and "new" not in library.names("model")
    assert Library((root,)).model("qwen2.5-7b").value.layers == 9 and Library((root,)).model("new")


# what is shipped


def test_the_packaged_profiles_are_found() -> None:
    library = open_library()
    assert "llama3-70b" in library.names("model")
    assert library.model("meta-llama/Meta-Llama-3-70B").value.layers == 80
    assert library.framework("megatron-core").value.name == "megatron-core"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_packaged_name_is_claimed_twice(kind: str) -> None:
    files = open_library()._index(kind).files
    owners: dict[str, set[str]] = {}
    for stem, path in files.items():
        spelled = names.spelled(path.read_bytes())
        for name in (stem, *spelled.all):
            owners.setdefault(normalise(name), set()).add(stem)
    assert {name: stems for name, stems in owners.items() if len(stems) > 1} == {}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_packaged_names_are_read_from_one_line(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = open_library()
    for path in library._index(kind).files.values():
        value, _ = parse_yaml(path.read_text(encoding="utf-8"), path.name)
        monkeypatch.setattr(names, "parse_yaml", None)
        spelled = names.spelled(path.read_bytes())
        monkeypatch.undo()
        assert spelled.default_for == tuple(value.get("default_for", ()))
        assert set(value.get("aliases", ())) <= set(spelled.aliases)
        assert value.get("hf_id") is None or value["hf_id"] in spelled.aliases


def test_a_copy_is_found_by_the_last_part_of_its_name(library: Library) -> None:
    """Of another owner's repository, or a folder that is not here; never by a default, never under strict."""
    for name in ("unsloth/llama3-8b", "/data/ckpt/Llama3-8B", "mirror/Meta-Llama-3-8B"):
        found = library.lookup("model", name)
        assert found is not None and found.value.name == "llama3-8b"
        assert found.assumptions[-1].startswith(f'"{name}" is taken for')
    assert library.lookup("model", "someone/llama70b") is None
    assert Library(library.roots, strict=True).lookup("model", "unsloth/llama3-8b") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("google/gemma-3n-E4B-it", "its layers share keys and values"),
        ("google/flan-t5-xxl", "it is an encoder-decoder"),
        ("google-bert/bert-large-uncased", "it is an encoder"),
        ("answerdotai/ModernBERT-large", "it is an encoder"),
        ("GSAI-ML/LLaDA-8B-Instruct", "it is a diffusion model"),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", "cross-attention"),
        ("stepfun-ai/step3", "low rank"),
        ("tencent/Tencent-Hunyuan-Large", "share keys and values"),
        ("moonshotai/Kimi-K3", "a gate on its output"),
        ("inclusionAI/Ling-2.6-flash", "recurrent"),
        ("inclusionAI/Ring-mini-linear-2.0", "recurrent"),
        ("Nanbeige/Nanbeige4.2-3B", "several times over"),
    ],
)
def test_models_that_cannot_be_are_refused_with_the_reason(name: str, why: str) -> None:
    """By their names too, before what comes near."""
    with pytest.raises(UnknownName) as caught:
        open_library().model(name)
    assert caught.value.hint[0].startswith("it is not supported: ") and why in caught.value.hint[0]


def test_a_misspelt_name_has_no_reason() -> None:
    """Only whole words are known: nothing is said of what merely contains one."""
    with pytest.raises(UnknownName) as caught:
        open_library().model("starbertus-9000")
    assert "not supported" not in " ".join(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "model", "weights"),
    [
        ("Qwen/Qwen3-32B-AWQ", "qwen3-32b-int4", "int4"),
        ("Qwen/Qwen2.5-32B-Instruct-GPTQ-Int4", "qwen2.5-32b-int4", "int4"),
        ("zai-org/GLM-4.6-FP8", "glm-4.6-fp8", "fp8"),
        ("nvidia/DeepSeek-R1-0528-NVFP4", "deepseek-r1-nvfp4", "nvfp4"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "llama3.3-70b-nvfp4", "nvfp4"),
        ("amd/DeepSeek-R1-MXFP4", "deepseek-r1-mxfp4", "mxfp4"),
        ("amd/Llama-3.1-405B-Instruct-FP8-KV", "llama3.1-405b-fp8", "fp8"),
        ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w8a8", "llama3.3-70b-w8a8", "w8a8"),
        ("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", "llama3.1-70b-int4", "int4"),
    ],
)
def test_a_format_behind_a_known_name(name: str, model: str, weights: str) -> None:
    """The repository of a known model's weights in fewer bits; that it is taken for that is said."""
    found = open_library().model(name)
    assert found.value.name == model
    assert found.value.checkpoint is not None and found.value.checkpoint.weights == weights
    assert "is taken for" in found.assumptions[0] or "taken for" in " ".join(found.assumptions)


@pytest.mark.parametrize("name", ["llama-70b-awq", "qwen3-33b-fp8", "nothing-fp8", "fp8", "-fp8"])
def test_a_format_behind_another_name_is_none(name: str) -> None:
    """A name that means one of several by default, or none, is not taken."""
    with pytest.raises(UnknownName):
        open_library().model(name)


def test_published_weights_go_before_a_format_in_a_name() -> None:
    """Qwen3-32B-FP8 is in the profile, with what stays in 16 bit."""
    found = open_library().model("Qwen/Qwen3-32B-FP8")
    assert found.assumptions == ()
