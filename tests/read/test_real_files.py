"""Files as public repositories have them, reduced to what was read wrongly in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog.library import open_library
from planner.errors import PlannerError
from planner.read.context import Context
from planner.read.script import read_any
from tests.cli.run import Result, run

GPUS = 8
LIBRARY = open_library(None, False)

FACTORY = (
    "model_name_or_path: Qwen/Qwen2.5-7B-Instruct\nstage: sft\ndo_train: true\nfinetuning_type: full\n"
    "cutoff_len: 2048\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 2\nbf16: true\n"
)
VERL = (
    "python3 -m verl.trainer.main_ppo actor_rollout_ref.model.path=Qwen/Qwen3-8B data.train_batch_size=256 "
    "data.max_prompt_length=512 data.max_response_length=1024 actor_rollout_ref.actor.ppo_mini_batch_size=256 "
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={b} trainer.n_gpus_per_node=8 trainer.nnodes=1\n"
)


def check(folder: Path, name: str, text: str, *more: str) -> Result:
    """One file, asked about on eight GPUs."""
    (folder / name).write_text(text)
    return run(["check", str(folder / name), "--gpus", "8xA100", *more])


@pytest.mark.parametrize("local", [0, -2])
def test_no_sequences_is_no_batch_of_torchtitan(local: int) -> None:
    """0 was read as 1."""
    with pytest.raises(PlannerError, match=f"local_batch_size is {local}"):
        read_any(f'[model]\nflavor = "8B"\n[training]\nlocal_batch_size = {local}\nseq_len = 4096\n', Context(GPUS))


def test_a_batch_that_is_wrong_is_said_once_and_without_what_is_not_there(tmp_path: Path) -> None:
    """DeepSpeed's own words were followed by the rule of Megatron-LM, and None stood for what the JSON leaves out."""
    text = '{"train_batch_size": 12, "train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": 2}}'
    found = check(tmp_path, "ds.json", text, "--model", "llama3.1-8b", "--seq", "4096")
    lines = [line for line in found.out.splitlines() if line.startswith("illegal")]
    assert len(lines) == 1
    assert "12 is no multiple of micro-batch 4 x dp 8" in lines[0]
    assert "None" not in found.out


def test_the_arithmetic_of_a_batch_is_not_megatrons_in_other_files(tmp_path: Path) -> None:
    """verl has no num_microbatches_calculator.py."""
    found = check(tmp_path, "run.sh", VERL.format(b=48))
    line = next(line for line in found.out.splitlines() if line.startswith("illegal"))
    assert "Megatron" not in line.partition("illegal")[2]


def test_the_best_plan_is_one_that_the_engine_has(tmp_path: Path) -> None:
    """verl's FSDP engine was shown a plan of two stages under ZeRO-1."""
    found = check(tmp_path, "run.sh", VERL.format(b=1), "--json").json["best"]
    assert (found["tp"], found["pp"], found["zero"]) == (1, 1, 3)


def test_stages_of_zero_are_asked_for_where_the_trainer_takes_them(tmp_path: Path) -> None:
    """LLaMA-Factory's use_distributed_optimizer is Megatron-Core's, and a truth."""
    found = check(tmp_path, "full.yaml", FACTORY).out
    assert "use_distributed_optimizer" not in found
    assert "add deepspeed: a JSON with zero_optimization.stage" in found


def test_a_switch_of_zero_says_no_other_stage(tmp_path: Path) -> None:
    """use_distributed_optimizer: true -> 2 was proposed."""
    found = check(tmp_path, "mca.yaml", f"{FACTORY}tensor_model_parallel_size: 4\nuse_distributed_optimizer: true\n")
    assert "+ use_distributed_optimizer" not in found.out


def test_no_degree_of_megatron_is_proposed_to_fsdp(tmp_path: Path) -> None:
    """verl's FSDP engine has Ulysses alone."""
    found = check(tmp_path, "run.sh", VERL.format(b=32)).out
    assert "change" in found
    assert "actor.megatron" not in found


@pytest.mark.parametrize(
    ("name", "model", "stored"),
    [
        ("unsloth/gpt-oss-20b-BF16", "gpt-oss-20b-bf16", "bf16"),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "qwen3-8b-int4", "int4"),
        ("mlx-community/gemma-3-27b-it-qat-4bit", "gemma3-27b-int4", "int4"),
        ("huihui-ai/Huihui-Qwen3-14B-abliterated-v2", "qwen3-14b", ""),
        ("CohereLabs/command-a-03-2025", "command-a-111b", ""),
        ("tiiuae/Falcon-H1R-7B", "falcon-h1-7b", ""),
    ],
)
def test_copies_are_known_by_name(name: str, model: str, stored: str) -> None:
    """They were refused, some with another model's name."""
    found = open_library(None, False).model(name).value
    assert found.name == model
    assert not stored or (found.checkpoint is not None and found.checkpoint.weights == stored)


def test_a_rate_alone_says_that_it_is_one_port_a_node() -> None:
    """What many mean by 400G is a port for each accelerator."""
    found = run(["recommend", "-m", "llama3.1-8b", "-g", "2x8xH100", "--network", "400G", "--top", "1"])
    assert "1 port of 400 Gb/s per node" in found.err
    assert "8x400G is a port for each" in found.err


FOREIGN = {
    "ROLL": ("a.yaml", "pretrain: Qwen/Qwen3-8B\nrollout_batch_size: 64\nactor_train:\n  worker_cls: a.b\n"),
    "MindSpeed-LLM over FSDP 2": ("a.yaml", "model:\n  model_name_or_path: Qwen3-8B\nparallel:\n  fsdp_size: 4\n"),
    "LLaMA-Factory's chat and export": (
        "a.yaml",
        "model_name_or_path: Qwen/Qwen3-4B\ntemplate: qwen3\ninfer_backend: huggingface\n",
    ),
    "prime-rl": ("a.toml", 'max_steps = 20\n[model]\nname = "Qwen/Qwen3-1.7B"\n[data]\nseq_len = 1024\n'),
    "SkyRL": ("a.sh", "uv run --extra fsdp -m skyrl.tinker.api --base-model Qwen/Qwen3-8B --backend fsdp\n"),
    "open-instruct's GRPO": (
        "a.sh",
        "python mason.py --num_nodes 2 --gpus 8 -- python open_instruct/grpo_fast.py "
        "--model_name_or_path Qwen/Qwen3-8B --per_device_train_batch_size 1\n",
    ),
    "MaxText": ("a.sh", "python3 -m MaxText.train base.yml per_device_batch_size=4 model_name=llama2-70b\n"),
    "NeMo 2": ("a.py", "import nemo_run as run\nfrom nemo.collections import llm\nrecipe = llm.llama3_8b\n"),
    "text generation of Megatron-LM": (
        "a.sh",
        "torchrun inference.py --tensor-model-parallel-size 8 --num-layers 32 --hidden-size 4096 "
        "--num-attention-heads 32 --seq-length 4096 --max-position-embeddings 4096 --micro-batch-size 1\n",
    ),
}


@pytest.mark.parametrize("title", FOREIGN)
def test_files_of_other_frameworks_are_named_and_not_taken_for_ones_that_are_read(tmp_path: Path, title: str) -> None:
    """ROLL was read as OpenRLHF, Tinker as Axolotl, a chat as training."""
    found = check(tmp_path, *FOREIGN[title])
    assert found.code == 2
    assert found.err.startswith(f"error: this is a file of {title}, which is not read\n")
    assert "planner " in found.err.splitlines()[1]


def test_a_yaml_of_trl_is_not_ms_swifts(tmp_path: Path) -> None:
    """Both have torch_dtype; read as ms-swift, whose method is LoRA, a full run of Open R1 weighed a third."""
    text = (
        "model_name_or_path: Qwen/Qwen2.5-7B\ntorch_dtype: bfloat16\nattn_implementation: flash_attention_2\n"
        "dataset_name: a/b\nbf16: true\nmax_length: 4096\nper_device_train_batch_size: 2\n"
        "gradient_accumulation_steps: 8\ngradient_checkpointing: true\n"
    )
    found = check(tmp_path, "config.yaml", text).out.splitlines()
    assert "ms-swift" not in found[0]
    assert found[1].split(None, 1)[1].startswith("training, bf16")


MEGATRON = (
    "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 32 --hidden-size 4096 --num-attention-heads 32 "
    "--seq-length 4096 --max-position-embeddings 4096 --micro-batch-size 1 --global-batch-size 64 --bf16 "
    "--vocab-size 32000 --tensor-model-parallel-size 2 {more}\n"
)


@pytest.mark.parametrize(
    ("fork", "option"),
    [("MindSpeed-LLM", "--use-fused-rmsnorm"), ("BigScience", "--pad-vocab-size-to 32128")],
)
def test_forks_are_known_by_their_options(fork: str, option: str) -> None:
    """Their files were illegal but for --fork; what their options change is named all the same."""
    found = read_any(MEGATRON.format(more=f"{option} --their-own 3"), Context(GPUS))
    assert not [one for one in found.problems if one.rule == "unknown_option"]
    assert any(f"2 options that are {fork}'s own" in note for note in found.notes)
    assert {one.option for one in found.not_modelled} >= {option.split()[0], "--their-own"}


def test_an_option_that_nobody_has_is_no_fork() -> None:
    """It stays a reason why the framework refuses the script."""
    found = read_any(MEGATRON.format(more="--their-own 3"), Context(GPUS))
    assert [one.rule for one in found.problems if one.rule == "unknown_option"]


def test_msrun_starts_a_program() -> None:
    """Its options were taken for the program's."""
    text = MEGATRON.format(more="").replace(
        "torchrun --nproc_per_node 8", "msrun --worker_num 8 --local_worker_num 8 --join False"
    )
    assert not [one for one in read_any(text, Context(GPUS)).problems if one.rule == "unknown_option"]


def test_primus_is_known_however_much_of_megatron_it_has() -> None:
    """With five options of Megatron-LM it was read as a YAML of that: in fp32, without what Primus sets itself."""
    keys = (
        "tensor_model_parallel_size pipeline_model_parallel_size expert_model_parallel_size use_distributed_optimizer"
    )
    text = (
        "work_group: amd\nuser_name: root\nmodules:\n  pre_trainer:\n    framework: megatron\n"
        "    config: pre_trainer.yaml\n    model: llama3.1_8B.yaml\n    overrides:\n      seq_length: 2048\n"
        "      micro_batch_size: 2\n      global_batch_size: 128\n"
    ) + "".join(f"      {key}: 1\n" for key in keys.split())
    found = read_any(text, Context(GPUS, lookup=lambda name: LIBRARY.model(name).value))
    assert found.form == "primus"
    assert not [note for note in found.notes if "fp32" in note]


def test_a_recipes_precision_is_no_quantised_model() -> None:
    """gpt_oss_120b-fp8.yaml of Primus is gpt-oss 120B, trained with products in fp8."""
    text = (
        "work_group: amd\nmodules:\n  pre_trainer:\n    framework: torchtitan\n    config: pre_trainer.yaml\n"
        "    model: gpt_oss_120b-fp8.yaml\n    overrides:\n      training:\n        local_batch_size: 2\n"
    )
    found = read_any(text, Context(GPUS))
    assert found.model_name == "gpt_oss_120b"
    assert found.workload["precision"].startswith("fp8")


def test_a_long_name_without_a_number_keeps_its_gap() -> None:
    """The hint ran together: RTX PRO 6000 Blackwell8 accelerators."""
    found = run(["recommend", "-m", "llama3.1-8b", "-g", "RTX PRO 6000 Blackwell"])
    assert "8xRTX PRO 6000 Blackwell 8 accelerators" in found.err
