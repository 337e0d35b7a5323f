"""Layers with adapters, and experts under them, as files of fine-tuning say them."""

from __future__ import annotations

import pytest

from planner.launch.check import dropped, setup_of
from planner.read.context import Context
from planner.read.script import read_any
from planner.schema.workload import Workload
from planner.training.adapters import gates_in_place
from planner.training.job import Job
from tests.jobs import cluster, framework, model


def job_of(text: str) -> Job:
    """The job of a file on one GPU."""
    reading = read_any(text, Context(1, None, {}, lambda name: None, 1, lambda name: None))
    shape = model((reading.model_name or "").rpartition("/")[2].lower())
    setup, _ = setup_of(reading, cluster("1xH200"), framework("hf"), shape)
    return setup.job


def workload(text: str) -> Workload:
    """What is asked of it."""
    return job_of(text).workload


MOE = "model_name_or_path: {}\nstage: sft\nfinetuning_type: lora\ntemplate: qwen3\ndataset: d\ncutoff_len: 2048\n{}"
AXOLOTL = "base_model: {}\nadapter: qlora\nload_in_4bit: true\nsequence_len: 2048\nmicro_batch_size: 1\n{}"


@pytest.mark.parametrize(
    ("text", "model", "more", "targets"),
    [
        (MOE, "Qwen/Qwen3-30B-A3B", "", "no-experts"),
        (MOE, "Qwen/Qwen3-30B-A3B", "lora_target: all\n", "no-experts"),
        (MOE, "deepseek-ai/DeepSeek-V2-Lite", "lora_target: all\n", "all-linear"),
        (MOE, "Qwen/Qwen3-8B", "lora_target: all\n", "all-linear"),
        (MOE, "Qwen/Qwen3-30B-A3B", "lora_target: q_proj,v_proj\n", "attention"),
        (MOE, "Qwen/Qwen3-30B-A3B", "lora_target: q_proj,up_proj,gate_proj,down_proj\n", "all-linear"),
        (AXOLOTL, "Qwen/Qwen3-30B-A3B", "lora_target_linear: true\n", "no-experts"),
        (AXOLOTL, "Qwen/Qwen3-30B-A3B", "lora_target_modules: [q_proj, shared_expert.up_proj]\n", "no-experts"),
        (
            AXOLOTL,
            "Qwen/Qwen3-30B-A3B",
            "lora_target_modules: [q_proj]\nlora_target_parameters: [mlp.experts.gate_up_proj]\n",
            "all-linear",
        ),
        (AXOLOTL, "Qwen/Qwen3-30B-A3B", "lora_target_modules: 'model.(self_attn|mlp).*'\n", "no-experts"),
        (AXOLOTL, "Qwen/Qwen3-8B", "lora_target_modules: 'model.(self_attn|mlp).*'\n", "all-linear"),
    ],
)
def test_files_say_which_layers_have_adapters(text: str, model: str, more: str, targets: str) -> None:
    """Trainers that look for linear modules find no experts in one tensor; PEFT takes names that they had for it."""
    assert workload(text.format(model, more)).lora_targets == targets


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("trl sft --model_name_or_path Qwen/Qwen3-30B-A3B --use_peft --lora_target_modules all-linear", True),
        ("trl sft --model_name_or_path Qwen/Qwen3-30B-A3B --use_peft --lora_target_modules q_proj", False),
        ("trl sft --model_name_or_path openai/gpt-oss-20b --use_peft --lora_target_modules all-linear", False),
        ("trl sft --model_name_or_path Qwen/Qwen3-8B --use_peft --lora_target_modules all-linear", False),
        ("trl sft --model_name_or_path Qwen/Qwen3-30B-A3B --lora_target_modules all-linear", False),
        ("swift sft --model Qwen/Qwen3-30B-A3B --train_type lora --target_modules gate_proj up_proj down_proj", True),
    ],
)
@pytest.mark.parametrize("said", ["", " --lora_dropout 0.1", " --lora_dropout 0"])
def test_dropout_before_adapters_on_experts_is_refused(command: str, refused: bool, said: str) -> None:
    """PEFT cannot factor it out of weights (tuners/lora/layer.py, ParamWrapper); TRL and ms-swift have 0.05."""
    text = f"{command} --max_length 2048 --per_device_train_batch_size 1{said}\n"
    reading = read_any(text, Context(1, None, {}, lambda name: None, 1, lambda name: None))
    shape = model((reading.model_name or "").rpartition("/")[2].lower())
    setup, _ = setup_of(reading, cluster("1xH200"), framework("hf"), shape)
    assert bool(dropped(reading, setup.job)) is (refused and not said.endswith(" 0"))


@pytest.mark.parametrize(
    ("text", "more", "own"),
    [
        (MOE, "enable_liger_kernel: true\n", True),
        (AXOLOTL, "liger_fused_linear_cross_entropy: true\n", False),
        (AXOLOTL, "liger_fused_linear_cross_entropy: true\nliger_glu_activation: true\n", True),
        (AXOLOTL, "cut_cross_entropy: true\n", False),
    ],
)
def test_files_say_whose_gates_run(text: str, more: str, own: bool) -> None:
    """Liger's own switch brings its gates along; Axolotl has a word for each of its kernels."""
    of = job_of(text.format("Qwen/Qwen3-8B", more))
    assert of.workload.loss == "linear" and gates_in_place(of) is own


def test_files_say_that_experts_are_narrow() -> None:
    """Axolotl's switch, and Unsloth's loader."""
    plain = AXOLOTL.format("Qwen/Qwen3-30B-A3B", "lora_target_linear: true\n")
    unsloth = (
        "from unsloth import FastLanguageModel\nfrom trl import SFTConfig, SFTTrainer\n"
        'model, tokenizer = FastLanguageModel.from_pretrained("Qwen/Qwen3-30B-A3B", load_in_4bit=True)\n'
        "model = FastLanguageModel.get_peft_model(model, r=16)\n"
        "trainer = SFTTrainer(model=model, args=SFTConfig(per_device_train_batch_size=1, max_length=2048))\n"
    )
    texts = (plain, plain + "quantize_moe_experts: true\n", unsloth)
    assert [workload(one).quantize_experts for one in texts] == [False, True, True]
