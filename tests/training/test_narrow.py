"""Recipes below 16 bit: what they save, what they cost, what refuses them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.blocks import operators
from planner.blocks.operator import Product, Share
from planner.blocks.structure import structure
from planner.catalog.library import packaged
from planner.catalog.recipes import packaged_recipe, recipe_spelled
from planner.cost.operators import gemm_time, input_gradient_time, weight_gradient_time
from planner.cost.quantize import copies, gathered_bytes, quantize_time, rate, resident_bytes
from planner.errors import PlannerError, UnknownName
from planner.plan import Plan
from planner.questions.ask import ask
from planner.schema.formats import STORED
from planner.schema.recipe import Recipe, size
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.layer import share_of
from tests.jobs import cluster, job, library

NAMES = library().names("recipe")
NARROW = [name for name in NAMES if not packaged_recipe(name).wide]
PLAN = Plan(tp=2, pp=2, dp=2, b=1, m=4, sp=1, zero=1)


def on(name: str, gpus: str = "8xB200", **workload: Any) -> Job:
    """Llama 3 8B in a recipe."""
    return job("llama3-8b", gpus, seq=8192, batch=8, precision=name, **workload)


@pytest.mark.parametrize("name", NAMES)
class TestRecord:
    """One file at a time."""

    def test_is_called_as_its_file(self, name: str) -> None:
        """And says nothing that is so by default."""
        path = packaged() / "recipes" / f"{name}.yaml"
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        defaults = {key: one.default for key, one in Recipe.model_fields.items() if not one.is_required()}
        assert written["name"] == name
        assert [key for key, value in written.items() if key in defaults and value == defaults[key]] == []

    def test_casts_what_is_narrow(self, name: str) -> None:
        """A recipe whose products are below 16 bit says how operands are made, and no other does."""
        recipe = packaged_recipe(name)
        assert recipe.wide == (recipe.quantize is None) == (recipe.primary is None)


def test_a_new_recipe_is_one_file(tmp_path: Path) -> None:
    """Products of fp8 whose weight gradients stay in 16 bit, in a folder of one's own."""
    own = yaml.safe_load((packaged() / "recipes" / "fp8-current.yaml").read_text(encoding="utf-8"))
    own |= {"name": "mine", "aliases": [], "spelled": {}}
    own["products"]["weight_gradient"] = "bf16"
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    asked = {"seq": 8192, "global_batch": 8, "profiles": tmp_path}
    mine, theirs = (ask("llama3-8b", "8xH100", precision=name, **asked).job for name in ("mine", "fp8-current"))
    assert (mine.recipe.name, mine.workload.precision) == ("mine", "mine")
    assert (
        estimate(theirs, PLAN).time.total
        < estimate(mine, PLAN).time.total
        < estimate(on("bf16", "8xH100"), PLAN).time.total
    )


def test_unknown_names_get_a_suggestion() -> None:
    """From the command line as from a record."""
    with pytest.raises(UnknownName) as refused:
        ask("llama3-8b", "8xH100", precision="mxfp9")
    assert any("mxfp8" in line for line in refused.value.hint)
    with pytest.raises(UnknownName):
        on("mxfp9")


@pytest.mark.parametrize(
    ("name", "gpus", "says"),
    [
        ("fp8", "8xA100", "bf16, fp16"),
        ("fp8", "8xV100", "fp16"),
        ("mxfp8", "8xH100", "bf16, fp16, fp8, fp8_block"),
        ("nvfp4", "8xH200", "fp8"),
        ("nvfp4", "8xMI355X", "mxfp8"),
        ("fp8-blockwise", "8xMI300X", "fp8"),
    ],
)
def test_parts_without_the_format(name: str, gpus: str, says: str) -> None:
    """The error names the format and what the part has (Transformer Engine pytorch/quantization.py)."""
    with pytest.raises(PlannerError, match="has no") as refused:
        on(name, gpus)
    assert says in refused.value.hint[0]


def test_elements_with_their_scales() -> None:
    """OCP MX: 8 bits and an eighth of a byte's exponent per 32; NVFP4: an fp8 per 16; DeepSeek: an fp32 per 128."""
    assert (STORED["mxfp8"], STORED["nvfp4"], STORED["fp8_block"]) == (33 / 32, 9 / 16, 132 / 128)


@pytest.mark.parametrize(
    ("name", "gpus", "written", "each"),
    [
        ("fp8", "8xH100", 2, 2 + 2 * 1),
        ("fp8-current", "8xH100", 2, 2 * 2 + 2 * 1),
        ("fp8-current", "8xB200", 1, 2 * 2 + 1),
        ("fp8-blockwise", "8xH100", 2, 2 + 2 * 33 / 32),
        ("mxfp8", "8xB200", 2, 2 + 2 * 33 / 32),
        ("nvfp4", "8xB200", 2, 2 * 2 + 2 * 9 / 16),
    ],
)
def test_bytes_of_a_cast(name: str, gpus: str, written: int, each: float) -> None:
    """Passes over 16 bit and copies written: Hopper reads fp8 along one dimension only, Blackwell along both."""
    part, recipe = cluster(gpus).accelerator, packaged_recipe(name)
    assert copies(part, recipe) == written
    assert recipe.quantize is not None
    fixed = recipe.quantize.passes * part.efficiency.kernel
    seconds = quantize_time(part, recipe, 1e9, written) - fixed
    assert seconds * part.bandwidth * rate(part, recipe.products.forward).cast == pytest.approx(each * 1e9)


@pytest.mark.parametrize(
    ("name", "kernels", "cast"), [("fp8-current", 6.812, 9.147), ("mxfp8", 7.161, 8.984), ("nvfp4", 3.764, 6.453)]
)
def test_a_layer_of_products_on_b300(name: str, kernels: float, cast: float) -> None:
    """Milliseconds of the twelve products of a layer, operands cast before and with casts: NVIDIA/TransformerEngine
    docs/examples/gemm_profiling, hidden 4096, width 16384, 15,872 tokens. In training products reach 0.92 of these.
    """
    part, recipe, m = cluster("8xB300").accelerator, packaged_recipe(name), 15872.0
    seconds, casts = 0.0, 0.0
    for n, k in ((12288.0, 4096.0), (4096.0, 4096.0), (16384.0, 4096.0), (4096.0, 16384.0)):
        gemm, of = Product(m, n, k), recipe.products.forward
        seconds += (
            gemm_time(part, of, gemm) + input_gradient_time(part, of, gemm) + weight_gradient_time(part, of, gemm)
        )
        casts += sum(
            quantize_time(part, recipe, elements, 1) for elements in (m * k, n * k, m * n, n * k, m * k, m * n)
        )
    assert 0.92 * seconds * 1e3 == pytest.approx(kernels, rel=0.05)
    assert casts * 1e3 == pytest.approx(cast - kernels, rel=0.3)


@pytest.mark.parametrize(
    ("name", "gpus", "beside", "instead", "wire"),
    [
        ("fp8", "8xH100", 2.0, 0.0, 1.0),
        ("fp8", "8xB200", 1.0, -1.0, 1.0),
        ("mxfp8", "8xB200", 2 * 33 / 32, 2 * 33 / 32 - 2, 0.0),
        ("nvfp4", "8xB200", 2 * 9 / 16, 2 * 9 / 16 - 2, 2 - 9 / 16),
    ],
)
def test_weights_below_16_bit(name: str, gpus: str, beside: float, instead: float, wire: float) -> None:
    """Bytes more per weight with a 16-bit copy and without, and bytes less on the wire."""
    part, recipe = cluster(gpus).accelerator, packaged_recipe(name)
    assert resident_bytes(part, recipe, False) == beside
    assert resident_bytes(part, recipe, True) == instead
    assert resident_bytes(part, recipe, True, transposed=False) == size(recipe.products.forward) - 2.0
    assert (gathered_bytes(recipe, False), gathered_bytes(recipe, True)) == (0.0, wire)


@pytest.mark.parametrize(("preset", "each"), [("torchtitan", 2.0), ("megatron-core", 1.0)])
def test_inputs_that_stay_wide(preset: str, each: float) -> None:
    """torchao's layers save their inputs before the cast: Llama 3 8B in fp8 keeps on H100 what it keeps in bf16.

    Else inputs of up and of down are a byte an element less; the core's output has a copy as wide as q's input saves.
    """
    plan, tokens = Plan(b=1, dp=8, zero=3), 8192.0
    wide, narrow = (
        float(estimate(job("llama3-8b", "8xH100", preset, seq=8192, batch=8, precision=name), plan).memory.activations)
        for name in ("bf16", "fp8-current")
    )
    assert wide - narrow == pytest.approx((2.0 - each) * tokens * 32 * (4096 + 14336))


def test_what_a_layer_keeps() -> None:
    """Of Llama 3 8B per token, by hand: inputs of q, k, v, of up and gate and of down a byte each in fp8; q, k, v, both
    additions and up stay in 16 bit, and so does the core's output beside the projection's copy in fp8.
    """
    of = structure(job("llama3-8b", "8xH100", seq=8192, batch=8).model)
    h, f, kv, heads = 4096, 14336, 1024, 32
    wide, narrow = (Share(1.0, 8192.0, operand=each) for each in (2.0, 1.0))
    sixteen = 2 * (h + (h + 2 * kv) + h + h + h + 2 * f + f + h) + 4 * heads
    assert sum(op.saved for op in operators(of.kinds[0], wide)) == sixteen * 8192
    eight = sixteen - h - h - f + h
    assert sum(op.saved for op in operators(of.kinds[0], narrow)) == eight * 8192


def test_head_and_router_stay_wide() -> None:
    """Of a mixture of experts: whatever is no linear layer of Transformer Engine."""
    of = structure(job("qwen3-30b-a3b", "8xH100", seq=4096, batch=8).model)
    ops = [op for kind in of.kinds for op in operators(kind, Share(1.0, 4096.0))]
    wide = {op.name for op in ops if isinstance(op.work, Product) and op.work.wide}
    assert wide == {"router", "head"}


@pytest.mark.parametrize("name", NARROW)
def test_faster_than_16_bit_and_not_beyond_its_peak(name: str) -> None:
    """Products gain at most the ratio of the peaks; attention, norms and head gain nothing."""
    base, narrow = (estimate(on(one), PLAN).time for one in ("bf16", name))
    peaks = cluster("8xB200").accelerator.peak
    most = (peaks.fp4 if name == "nvfp4" else peaks.fp8) / peaks.bf16  # type: ignore[operator]
    gain = (base.forward + base.backward) / (narrow.forward + narrow.backward)
    assert 1.1 < gain < most * 1.6  # kernels of 16 bit are measured farther below their peak


@pytest.mark.parametrize("name", ["fp8-current", "mxfp8", "nvfp4"])
def test_layers_that_stay_in_16_bit(name: str) -> None:
    """All of them: the time and the memory of 16 bit. One at each end: the ends are what 16 bit has, others are not."""
    every = estimate(on(name, bf16_first=32), PLAN)
    base = estimate(on("bf16"), PLAN)
    assert every.time.total == pytest.approx(base.time.total, rel=1e-9)
    assert every.memory.total == pytest.approx(base.memory.total, rel=1e-9)
    ends = estimate(on(name, bf16_first=1, bf16_last=1), PLAN).time
    none = estimate(on(name), PLAN).time
    assert none.total < ends.total < base.time.total
    pieces = 2 / 32 * (base.time.forward - none.forward)
    assert ends.forward - none.forward == pytest.approx(pieces, rel=0.05)


def test_tensor_parallel_ranks_gather_operands() -> None:
    """With sequence parallelism a byte instead of two is gathered, two are scattered; without it two are reduced."""
    narrow = on("fp8", "8xH100")
    share = share_of(narrow, PLAN.floats())
    assert (share.joined, replace(share, sp=0.0).joined) == (1.5, 2.0)


def test_options_without_use() -> None:
    """16 bit has no narrow weights and no layers to except."""
    for option in ({"fp8_param_gather": True}, {"bf16_last": 1}):
        with pytest.raises(PlannerError):
            on("bf16", **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "framework"), list(product(NARROW, ("megatron", "torchtitan"))))
def test_names_in_frameworks_are_unique(name: str, framework: str) -> None:
    """What a framework is asked for means one recipe."""
    words = getattr(packaged_recipe(name).spelled, framework)
    if words:
        assert recipe_spelled(framework, words) == name
