"""Samples are read as a person reads them; unknown, wrong and hostile files are refused with the reason."""

from __future__ import annotations

import re
from functools import partial
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from planner.catalog.library import open_library
from planner.errors import PlannerError
from planner.launch.check import setup_of
from planner.launch.program import Setup
from planner.read.context import Context
from planner.read.format import formats
from planner.read.question import _known
from planner.read.reading import Reading
from planner.read.recipes import performance
from planner.read.script import read_any
from tests.jobs import cluster, framework
from tests.read.corpus import SAMPLES, Sample

LIBRARY = open_library()


def recipe_names() -> dict[str, str]:
    """Rows of recipes.yaml by name."""
    text = (files("planner.read") / "recipes.yaml").read_text(encoding="utf-8")
    rows: dict[str, str] = yaml.safe_load(text)["recipes"]
    return rows


def read(text: str, gpus: str, beside_it: dict[str, str]) -> Reading:
    """A text with files beside it, found by path or by name alone."""
    names = {PurePosixPath(name).name: content for name, content in beside_it.items()}

    def beside(name: str) -> str | None:
        return beside_it.get(name, names.get(PurePosixPath(name).name))

    machines = cluster(gpus)
    known = partial(_known, LIBRARY)
    return read_any(text, Context(machines.gpus, None, {}, beside, machines.nodes, known))


def understood(sample: Sample) -> tuple[Reading, Setup]:
    """The reading of a sample, and the job and plan that it means."""
    reading = read(sample.text, sample.gpus, sample.files)
    model = _known(LIBRARY, reading.model_name) if reading.model is None and reading.model_name else None
    model = model or (_known(LIBRARY, sample.model) if sample.model else None)
    return reading, setup_of(reading, cluster(sample.gpus), framework("any"), model)[0]


def found(setup: Setup) -> dict[str, Any]:
    """All that a sample may expect, by name."""
    job, plan = setup.job, setup.plan
    return {
        **plan.degrees,
        **job.workload.model_dump(),
        "batch": job.workload.global_batch,
        "model": job.model.name,
        "layers": job.model.layers,
        "vocab": job.model.vocab,
        "recompute": plan.recompute_layers > 0,
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_read_as_a_person_reads_it(sample: Sample) -> None:
    """Degrees, batch, method, model; what is not modelled is named, and nothing else is illegal."""
    reading, setup = understood(sample)
    said = found(setup)
    assert {key: said[key] for key in sample.expect} == sample.expect
    named = {one.option.lstrip("-") for one in reading.not_modelled}
    assert set(sample.named) <= named
    assert not reading.problems


def test_every_format_has_samples() -> None:
    """Two each, by the table that read them."""
    read_by = [understood(sample)[0].form for sample in SAMPLES]
    few = {form.name for form in formats() if read_by.count(form.name) < 2} - {"accelerate"}
    assert not few


UNKNOWN = [
    ("recipe: pasta\nwater: 1\nsalt: 2\n", "no format that is read"),
    ("name: x\nsteps:\n  - a\n  - b\n", "no format that is read"),
    ("model_name_or_path: Qwen/Qwen2.5-7B\nlr: 1\n", "2 of 2 keys: model_name_or_path, lr"),
]
"""Files of no format, with what is said of them."""


@pytest.mark.parametrize(("text", "says"), UNKNOWN, ids=["recipe", "workflow", "half"])
def test_unknown_files_are_refused_with_what_comes_near(text: str, says: str) -> None:
    """The formats that are read, and the nearest with the keys it shares."""
    with pytest.raises(PlannerError) as caught:
        read(text, "8xA100", {})
    said = " ".join([str(caught.value), *caught.value.hint])
    assert says in said and "wanted: " in said


WRONG = [
    ("base_model: Qwen/Qwen3-8B\nsequence_len: long\nmicro_batch_size: 1\n", "sequence_len wants a whole number"),
    ("base_model: Qwen/Qwen3-8B\nsequence_len: 4096\nmicro_batch_size: 1.5\n", "micro_batch_size wants a whole number"),
    (
        "base_model: x\nsequence_len: 1\nmicro_batch_size: 1\ndeepspeed: mine.json\n",
        "mine.json: this file is not beside",
    ),
    ("finetuning_type: lora\ntemplate: a\nper_device_train_batch_size: $B\n", "needs $B, which nothing sets"),
    ("finetuning_type: lora\nfinetuning_type: full\n", "written twice"),
    ("llamafactory-cli train gone.yaml\n", "gone.yaml: this file is not beside the script"),
    ("tune run lora_finetune_distributed --config llama3_1/8B_lora\n", "tune cp"),
    ("accelerate launch --config_file gone.yaml train.py --per_device_train_batch_size 1\n", "gone.yaml"),
    ("tensor_model_parallel_size: 2\nseq_length: 4096\nbf16: true\nmodel: nobody/knows\n", "num_layers, hidden_size"),
    ("parallelism:\n  dp: 1\n  pp_engine: 1f1b\ntokens:\n  micro_batch_size: 1\n", "num_attention_heads is missing"),
    ("step_scheduler:\n  local_batch_size: -2\n", "wants a whole number"),
    ("policy:\n  model_name: a\n  train_micro_batch_size: many\n", "wants a whole number"),
    ("pipe_parallel_size: 1\nmodel_parallel_size: two\n", "wants a whole number"),
    ("global_train_batch_size: 8\ndevice_train_microbatch_size: 1\nmodel:\n  d_model: 0\n  n_heads: 1\n", "shape"),
    (
        "python -m verl.trainer.main_ppo data.train_batch_size=x actor_rollout_ref.model.path=a\n",
        "wants a whole number",
    ),
    ("swift sft --model a --per_device_train_batch_size $B\n", "needs $B, which nothing sets"),
    ("from trl import SFTConfig\nSFTConfig(per_device_train_batch_size='a')\n", "wants a whole number"),
    ("from trl import SFTConfig\nSFTConfig(per_device_train_batch_size=\n", "no Python that can be read"),
]
"""Files of a known format with something wrong in them, and what is said of it."""


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_wrong_files_are_refused_with_the_reason(text: str, says: str) -> None:
    """What, where, and the next step."""
    with pytest.raises(PlannerError) as caught:
        read(text, "8xA100", {})
    assert says in " ".join([str(caught.value), *caught.value.hint])


DEEP = "base_model: a\n" + "".join(f"{' ' * n}k:\n" for n in range(60))
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)) + "base_model: y\n"
HOSTILE = {
    "alias": ("base_model: x\nsequence_len: 1\nadapter: *a\n", "no anchor &a"),
    "itself": ("base_model: x\nsequence_len: &a [*a]\n", "no anchor &a"),
    "laughs": (LAUGHS, "more than 20,000 values"),
    "merge": ("base_model: x\nsequence_len: 1\nmicro: &m 1\n<<: *m\n", "<< wants a mapping"),
    "tag": ("base_model: !!python/object/apply:os.system ['id']\nsequence_len: 1\n", "tag"),
    "deep": (DEEP, "levels deep"),
    "large": ("base_model: x\n" + "a: b\n" * 60_000, "no configuration"),
    "keys": ("base_model: x\n" + "".join(f"k{n}:\n" for n in range(25_000)), "20,000 keys"),
    "outside": (
        "policy:\n  model_name: x\n  train_micro_batch_size: 1\ndefaults: ../../etc/passwd\n",
        "outside the folder",
    ),
    "absolute": ("policy:\n  model_name: x\ndefaults: /etc/passwd\n", "outside the folder"),
    "circle": ("policy:\n  model_name: x\ndefaults: a.yaml\n", "in a circle"),
    "dots": ("[" + "a." * 2_000 + "b]\nx = 1\n", "dots"),
    "python": ("import os\nfrom trl import SFTConfig\nSFTConfig(" + "(" * 5_000, "no Python"),
}
"""Files that would cost time, run something or lead elsewhere."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_or_bounded(name: str) -> None:
    """Nothing is run, nothing outside is read, nothing takes long."""
    text, says = HOSTILE[name]
    with pytest.raises(PlannerError) as caught:
        read(text, "8xA100", {"a.yaml": "defaults: a.yaml\npolicy:\n  model_name: y\n"})
    assert says in " ".join([str(caught.value), *caught.value.hint])


def test_substitutions_of_a_command_are_text() -> None:
    """What only a shell could tell stays unknown, and is named."""
    with pytest.raises(PlannerError, match="which nothing sets"):
        read("swift sft --model a --per_device_train_batch_size $(rm -rf x)\n", "8xA100", {})


def test_references_end() -> None:
    """A reference to itself is left as it is."""
    text = "policy:\n  model_name: ${policy.model_name}\n  train_micro_batch_size: 1\n"
    assert read(text, "8xA100", {}).model_name == "${policy.model_name}"


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_plans_that_run(name: str) -> None:
    """Each recipe of Megatron-Bridge that is known here fits its number of GPUs and breaks no check."""
    gpus = int(recipe_names()[name].split()[0].removesuffix("gpu"))
    text = f"torchrun scripts/training/run_recipe.py --recipe {name}_config\n"
    sample = Sample(name, text, {}, gpus=f"{gpus // 8}x8xH100" if gpus >= 8 else f"{gpus}xH100")
    reading, setup = understood(sample)
    assert not reading.problems
    assert setup.plan.gpus == gpus and setup.plan.m * setup.plan.b * setup.plan.dp == setup.job.workload.global_batch


PARTS = {"h100": "8xH100", "b200": "8xB200", "b300": "8xB300", "r100": "8xVR200", "gb200": "GB200", "gb300": "GB300"}
SCALED = re.compile(r"deepseek_v3_pretrain_(128gpu_vr200|64gpu_h100)|qwen3_235b_a22b_pretrain_64gpu_gb[23]00")
"""Layouts of more GPUs with a smaller batch, which no world of so many runs (Megatron-Bridge, their docstrings)."""


@pytest.mark.parametrize("name", list(performance())[::3])
def test_performance_recipes_are_plans_that_run(name: str) -> None:
    """Their layouts fit their GPUs and break no check, but for those that are meant for more."""
    found = re.search(r"_(\d+)gpu_(\w+?)_", name)
    assert found is not None
    gpus, part = int(found[1]), PARTS.get(found[2], found[2].upper())
    text = f"torchrun scripts/training/run_recipe.py --recipe {name}_config\n"
    clusters = f"{gpus // 8}x{part}" if part.startswith("8x") else f"{gpus}x{part}"
    reading, setup = understood(Sample(name, text, {}, gpus=clusters))
    short = SCALED.match(name) is not None and gpus < setup.plan.ep * setup.plan.pp
    assert [one.rule for one in reading.problems] == ["expert_world"] * short
    assert setup.plan.m * setup.plan.b * setup.plan.dp == setup.job.workload.global_batch


PUBLISHED = [
    ("deepseek_v3_pretrain_256gpu_gb200_fp8mx", {"pp": 4, "v": 4, "ep": 64, "b": 1}, 4096, 4096),
    ("gpt_oss_120b_pretrain_64gpu_gb300_fp8mx", {"pp": 1, "ep": 16, "b": 4}, 1280, 4096),
    ("qwen3_235b_a22b_pretrain_256gpu_gb300_fp8mx", {"pp": 4, "v": 12, "ep": 32, "b": 2}, 8192, 4096),
    ("nemotron_3_super_pretrain_64gpu_gb200_nvfp4", {"tp": 2, "ep": 64, "b": 1}, 512, 8192),
]
"""Recipe, degrees, batch and sequence in Megatron-Bridge docs/performance-summary.md, 26.08 container."""


@pytest.mark.parametrize(("name", "degrees", "batch", "seq"), PUBLISHED)
def test_performance_recipes_are_those_published(name: str, degrees: dict[str, int], batch: int, seq: int) -> None:
    """Degrees, batch, sequence and format of the tables."""
    recipe = performance()[name]
    text = f"torchrun run_recipe.py --recipe {name}_config train.train_iters=10\n"
    found = re.search(r"_(\d+)gpu_(\w+?)_", name)
    assert found is not None and recipe["seq_length"] == seq
    reading, _ = understood(Sample(name, text, {}, gpus=f"{found[1]}x{found[2].upper()}"))
    assert reading.plan | degrees == reading.plan
    assert reading.workload["global_batch"] == batch
    assert reading.workload["precision"] == ("nvfp4" if name.endswith("nvfp4") else "mxfp8")
    assert reading.preset["gradient_bytes"] == 2.0


def test_sizes_beside_a_recipe_are_the_models() -> None:
    """A recipe cut down: fewer layers and experts, other predictions; heads that no model has are refused."""
    recipe = "torchrun run_recipe.py --recipe qwen3_30b_a3b_pretrain_8gpu_gb200_bf16_config"
    sizes = "model.num_layers=8 model.num_moe_experts=32 model.mtp_num_layers=1"
    reading = read(f"{recipe} {sizes}\n", "8xGB200", {})
    assert reading.model is not None and reading.model.moe is not None
    assert (reading.model.layers, reading.model.moe.experts, reading.model.mtp_layers) == (8, 32, 1)
    assert "qwen3-30b-a3b with layers 48 -> 8, mtp_layers 0 -> 1, experts' experts 128 -> 32" in reading.notes
    assert read(f"{recipe} model.num_layers=48\n", "8xGB200", {}).model is None
    with pytest.raises(PlannerError, match="heads 32 is not a multiple"):
        read(f"{recipe} model.num_query_groups=3\n", "8xGB200", {})


def test_performance_recipes_are_timed_as_tuned() -> None:
    """All traffic that can be hidden is (perf_recipes and CommOverlapConfig), unlike in the library's recipes."""
    name = "torchrun run_recipe.py --recipe llama3_8b_pretrain_{}gpu_h100_bf16_config\n"
    assert read(name.format(8), "8xH100", {}).timed_as == "megatron-core-tuned"
    assert read(name.format(2), "8xH100", {}).timed_as == ""


@pytest.mark.parametrize(("name", "split"), [("qwen25_vl_7b_sft", False), ("qwen3_vl_8b_sft", True)])
def test_bridge_keeps_towers_of_transformers_whole(name: str, split: bool) -> None:
    """models/qwen_vl/modeling_qwen25_vl.py has Hugging Face's module on every tp rank, Qwen3-VL a tower of its own."""
    text = f"torchrun run_recipe.py --recipe {name}_config dataset.seq_length=4096 model.tensor_model_parallel_size=2\n"
    reading, setup = understood(Sample(name, text, {}, gpus="8xH100"))
    assert ("splits_tower" not in reading.preset) == split and setup.plan.tp == 2
