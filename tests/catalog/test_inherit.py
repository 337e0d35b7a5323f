"""Profiles that are like another one: what they have from it, and what they must say themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog.library import Library
from planner.errors import ProfileError

BASE = """\
name: base
aliases: [other-name]
default_for: [b]
vendor: x
form_factor: SXM
memory: 80 GiB
bandwidth: 2000 GB/s
peak: {bf16: 300 TFLOP/s, fp8: 600 TFLOP/s}
host_rate: 32 GB/s
node: base-box
tested: true
notes: of the base
efficiency: {gemm: 0.8, gemm_dim: 99, attention: 0.5, attention_backward: 0.4, memory: 0.9, kernel: 4 us,
  trust: measured, source: runs}
source: the base's datasheet
"""
NEAR = "name: near\nlike: base\nnode: near-box\nsource: its own datasheet\n"


def library(root: Path, **files: str) -> Library:
    """A library of accelerators."""
    folder = root / "accelerators"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return Library((root,))


def test_facts_are_passed_on_as_assumed(tmp_path: Path) -> None:
    """What was measured of one part was not of the other; names, sources and the node are one part's own."""
    found = library(tmp_path, base=BASE, near=NEAR).accelerator("near").value
    base = library(tmp_path).accelerator("base").value
    assert (found.memory, found.peak, found.efficiency.gemm) == (base.memory, base.peak, 0.8)
    assert (found.efficiency.trust, found.efficiency.source) == ("assumed", "as base: runs")
    assert (found.aliases, found.default_for, found.tested, found.notes) == ((), (), False, "")
    assert (found.node, found.source) == ("near-box", "its own datasheet")


def test_a_nested_key_alone_is_changed(tmp_path: Path) -> None:
    own = NEAR + "peak: {bf16: 100 TFLOP/s, fp8: null}\nefficiency: {gemm: 0.5, trust: measured, source: a run}\n"
    found = library(tmp_path, base=BASE, near=own).accelerator("near").value
    assert (found.peak.bf16, found.peak.fp8) == (100e12, None)
    assert (found.efficiency.gemm, found.efficiency.attention) == (0.5, 0.5)
    assert (found.efficiency.trust, found.efficiency.source) == ("measured", "a run")


def test_a_chain_names_each_step(tmp_path: Path) -> None:
    last = NEAR.replace("name: near", "name: last").replace("like: base", "like: near")
    found = library(tmp_path, base=BASE, near=NEAR, last=last).accelerator("last").value
    assert found.efficiency.source == "as near: as base: runs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NEAR.replace("like: base", "like: bass"), r"near\.yaml:2: like: 'bass' is no profile of this kind"),
        (NEAR.replace("like: base", "like: b"), r"near\.yaml:2: like: 'b' is no profile of this kind"),
        (NEAR.replace("like: base", "like: [base]"), r"like: \['base'\] is no profile"),
        (NEAR.replace("like: base", "like: near"), r"near\.yaml:2: like: 'near' is like this one in turn"),
        (NEAR.replace("node: near-box\n", ""), r"near\.yaml:1: node: missing"),
        (NEAR + "memroy: 40 GiB\n", r"near\.yaml:5: memroy: unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        library(tmp_path, base=BASE, near=text).accelerator("near")


def test_a_file_of_ones_own_is_like_a_packaged_one(tmp_path: Path) -> None:
    """A later root has the base."""
    library(tmp_path / "packaged", base=BASE)
    library(tmp_path / "mine", near=NEAR)
    found = Library((tmp_path / "mine", tmp_path / "packaged")).accelerator("near").value
    assert found.memory == 80 * 2**30


def test_a_model_has_the_count_of_its_own_shape(tmp_path: Path) -> None:
    """The other's published parameters are not those of a shape that was changed."""
    folder = tmp_path / "models"
    folder.mkdir()
    shape = "layers: 2\nhidden: 64\nffn: 128\nheads: 4\nkv_heads: 2\nhead_dim: 16\nvocab: 1000\n"
    rest = "family: llama\ntied_embeddings: false\ncontext: 2048\nmlp: glu\nparameters: 0.2 M\nsource: a test\n"
    (folder / "small.yaml").write_text(f"name: small\n{shape}{rest}")
    (folder / "twin.yaml").write_text("name: twin\nlike: small\ncontext: 4096\nsource: a test\n")
    (folder / "deeper.yaml").write_text("name: deeper\nlike: small\nlayers: 20\nsource: a test\n")
    assert Library((tmp_path,)).model("twin").value.context == 4096
    with pytest.raises(ProfileError, match=r"deeper\.yaml:1: parameters: 200 k stated, but"):
        Library((tmp_path,)).model("deeper")
