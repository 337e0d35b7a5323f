"""Options of fine-tuning that once changed nothing and were not named, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import PlannerError
from planner.launch.check import setup_of
from planner.read.context import Context
from planner.read.reading import Reading
from planner.read.script import read_any
from planner.training.job import Job
from tests.jobs import cluster, framework, model


def read(text: str) -> tuple[Reading, Job]:
    """A file on one GPU."""
    reading = read_any(text, Context(1, None, {}, lambda name: None, 1, lambda name: None))
    return reading, setup_of(reading, cluster("1xH200"), framework("hf"), model("qwen2.5-7b"), seq=512)[0].job


def named(text: str) -> set[str]:
    """What the answer does not account for."""
    return {one.option for one in read(text)[0].not_modelled}


TRL = "trl sft --model_name_or_path Qwen/Qwen2.5-7B --use_peft --max_length 4096 --bf16 {}\n"
SWIFT = "swift sft --model Qwen/Qwen2.5-7B --tuner_type lora --torch_dtype bfloat16 --max_length 4096 {}\n"
FACTORY = "model_name_or_path: Qwen/Qwen2.5-7B\nstage: sft\nfinetuning_type: lora\ntemplate: qwen\ndataset: d\n{}\n"
AXOLOTL = "base_model: Qwen/Qwen2.5-7B\nadapter: lora\nlora_target_linear: true\nsequence_len: 4096\n{}\n"
TUNE = (
    "model:\n  _component_: torchtune.models.qwen2_5.lora_qwen2_5_7b_base\n  lora_rank: 8\n{}\nbatch_size: 2\n"
    "tokenizer:\n  _component_: torchtune.models.qwen2_5.qwen2_5_tokenizer\n  max_seq_len: 4096\n"
)


@pytest.mark.parametrize(
    ("text", "said", "option"),
    [
        (TRL, "--optim galore_adamw", "optim"),
        (TRL, "--optim galore_adamw_8bit", "optim"),
        (TRL, "--optim apollo_adamw", "optim"),
        (AXOLOTL, "optimizer: galore_adafactor", "optimizer"),
        (TRL, "--lora_task_type SEQ_CLS", "lora_task_type"),
        (SWIFT, "--task_type seq_cls", "task_type"),
        (SWIFT, "--tuner_backend unsloth", "tuner_backend"),
        (SWIFT, "--vit_gradient_checkpointing false", "vit_gradient_checkpointing"),
        (FACTORY, "resize_vocab: true", "resize_vocab"),
        (TRL, "--lora_dropout 0.05", "lora_dropout"),
        (FACTORY, "lora_dropout: 0.1", "lora_dropout"),
        (TUNE, "  lora_dropout: 0.05", "model.lora_dropout"),
        (TUNE, "  apply_lora_to_output: true", "model.apply_lora_to_output"),
        (TUNE, "custom_sharded_layers: ['tok_embeddings', 'output']", "custom_sharded_layers"),
        (TUNE, "batch_size_val: 16\nrun_val_every_n_steps: 100", "batch_size_val"),
    ],
)
def test_named(text: str, said: str, option: str) -> None:
    """By the name that people write."""
    assert option in named(text.format(said)) - named(text.format(""))


@pytest.mark.parametrize("value", ["flash_attention_3", "kernels-community/flash-attn3", "vllm-flash-attn3"])
def test_the_third_flash_attention(value: str) -> None:
    """transformers modeling_flash_attention_utils.py and the kernels of its hub; the second is the preset's own."""
    assert read(TRL.format(f"--attn_implementation {value}"))[1].workload.attention == "flash3"
    assert read(TRL.format("--attn_implementation flash_attention_2"))[1].workload.attention == "flash"
    assert not named(TRL.format("--lora_dropout 0.0")) - named(TRL.format(""))


def test_a_converted_checkpoint_names_its_model() -> None:
    """As modelscope/ms-swift examples/megatron/moe/qwen3_moe.sh has it; another folder does not."""
    known = Context(8, None, {}, lambda name: None, 1, lambda name: model("qwen3-30b-a3b") if "30B" in name else None)
    text = "megatron sft --load {} --expert_model_parallel_size 8 --max_length 8192\n"
    found = read_any(text.format("Qwen3-30B-A3B-Base-mcore"), known)
    assert found.model_name == "Qwen3-30B-A3B-Base-mcore"
    with pytest.raises(PlannerError, match="no model is named"):
        read_any(text.format("output/30B/checkpoint-100"), known)


@pytest.mark.parametrize("value", ["schedule_free_adamw", "stable_adamw", "adopt_adamw"])
def test_optimizers_with_states_of_adam(value: str) -> None:
    """Two moments each: weighed as Adam, and nothing to name."""
    assert "optimizer" not in named(AXOLOTL.format(f"optimizer: {value}"))


@pytest.mark.parametrize(
    ("said", "base"),
    [("", "fp32"), ("--dtype bfloat16", "bf16"), ("--dtype float32", "fp32"), ("--dtype auto", "bf16")],
)
def test_frozen_weights_as_trl_loads_them(said: str, base: str) -> None:
    """In fp32 where nothing says otherwise (TRL trainer/model_config.py)."""
    reading, job = read(TRL.format(said))
    assert job.recipe.base == base and job.base == base
    assert any("fp32" in note for note in reading.notes) == (not said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AXOLOTL, "gradient_checkpointing: offload"),
        (
            "from unsloth import FastLanguageModel\nfrom trl import SFTConfig, SFTTrainer\n"
            'model, tokenizer = FastLanguageModel.from_pretrained("Qwen/Qwen2.5-7B", load_in_4bit=True)\n'
            "model = FastLanguageModel.get_peft_model(model, r=16{})\n"
            "trainer = SFTTrainer(model=model, args=SFTConfig(per_device_train_batch_size=1, max_length=2048))\n",
            ', use_gradient_checkpointing="unsloth"',
        ),
    ],
)
def test_checkpoints_in_host_memory(text: str, said: str) -> None:
    """Axolotl's word, and Unsloth's."""
    plain, away = (read(text.format(one))[1].workload.offload for one in ("", said))
    assert (plain, away) == ("none", "activations")


def test_a_module_of_trl_is_its_command() -> None:
    """Its defaults are: layers are recomputed."""
    text = "accelerate launch -m trl.scripts.sft --model_name_or_path Qwen/Qwen2.5-7B --max_length 4096 --bf16\n"
    reading, _ = read(text)
    assert reading.form == "trl" and reading.recomputed == 1.0


@pytest.mark.parametrize(
    ("said", "seq"), [("--max_prompt_length 1024", 1536), ("--max_prompt_length 2048", 2560), ("", 1024)]
)
def test_a_sequence_is_prompt_and_answer(said: str, seq: Any) -> None:
    """Of which TRL has defaults, until 0.26 for prompts as well."""
    text = f"trl grpo --model_name_or_path Qwen/Qwen2.5-7B --dtype bfloat16 --max_completion_length 512 {said}\n"
    assert read(text)[0].workload.get("seq") == seq


def test_sequence_parallelism_of_swift_splits_the_sequence() -> None:
    """Over ranks that share the states, too: 8 x 80 GiB for 512,000 tokens of 32B (ms-swift examples/train)."""
    reading = read_any(
        SWIFT.format("--sequence_parallel_size 8"), Context(8, None, {}, lambda name: None, 1, lambda n: None)
    )
    assert reading.plan["cp"] == 8 and "sequence_parallel_size" not in {one.option for one in reading.not_modelled}
