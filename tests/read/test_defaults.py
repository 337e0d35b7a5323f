"""What a framework takes where a file is silent, and what it does not refuse: by the framework's own source."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import PlannerError
from planner.launch.check import check
from planner.launch.targets import TARGETS
from planner.read.question import GIVEN, NAMES, understood
from tests.jobs import library
from tests.read.test_corpus import found, read

MOE = "megatron sft --model Qwen/Qwen3-30B-A3B --tensor_model_parallel_size 2 --sequence_parallel true"

AXOLOTL = "base_model: Qwen/Qwen3-8B\nsequence_len: 4096\nmicro_batch_size: 2\nbf16: true\n"

NEOX = (
    "model_parallel_size: 1\nnum_layers: 24\nhidden_size: 2048\nnum_attention_heads: 16\nseq_length: 2048\n"
    "pos_emb: rotary\nnorm: rmsnorm\ntrain_micro_batch_size_per_gpu: 4\n"
)
NEMO = (
    "model:\n  micro_batch_size: 1\n  global_batch_size: 64\n  tensor_model_parallel_size: 2\n  num_layers: 24\n"
    "  hidden_size: 2048\n  num_attention_heads: 16\n  precision: bf16\n  tokenizer_type: Llama2Tokenizer\n"
)

PRIMUS = (
    "modules:\n  pre_trainer:\n    config: pre_trainer.yaml\n    model: mixtral_8x7B_v0.1.yaml\n    overrides:\n"
    "      seq_length: 4096\n      micro_batch_size: 1\n      global_batch_size: 64\n"
)

SILENT: dict[str, tuple[str, dict[str, Any]]] = {
    "dispatcher": (f"{MOE} --expert_model_parallel_size 8 --max_length 4096", {"dispatcher": "alltoall"}),
    "rank": (f"{MOE} --tuner_type lora --max_length 4096", {"lora_rank": 8}),
    "targets": (
        f"{MOE} --tuner_type lora --target_modules linear_qkv linear_proj --max_length 4096",
        {"lora_targets": "attention"},
    ),
    "packing": (f"{MOE} --packing true --packing_length 8192 --max_length 2048", {"seq": 8192}),
    "kernel": (f"{MOE} --max_length 4096 --attention_backend flash_3", {"attention": "flash3"}),
    "sixteen": ("swift sft --model Qwen/Qwen3-8B --max_length 2048 --deepspeed zero3", {"b": 1, "m": 2}),
    "oft": (
        "model_name_or_path: Qwen/Qwen3-8B\nfinetuning_type: oft\nquantization_bit: 4\ncutoff_len: 2048",
        {"method": "qlora", "base": "nf4"},
    ),
    "mca": (
        "model_name_or_path: Qwen/Qwen3-30B-A3B\nfinetuning_type: full\ncutoff_len: 4096\nbf16: true\n"
        "per_device_train_batch_size: 1\ngradient_accumulation_steps: 8\nuse_distributed_optimizer: true\n"
        "pipeline_model_parallel_size: 4\nexpert_model_parallel_size: 2\nmoe_token_dispatcher_type: alltoall",
        {"pp": 4, "ep": 2, "dp": 2, "zero": 1, "m": 8, "recompute": False},
    ),
    "plugin": (
        f"{AXOLOTL}plugins:\n  - axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin\nbatch_size: 8",
        {"loss": "linear", "b": 2, "m": 4},
    ),
    "experts": (
        "base_model: Qwen/Qwen3-30B-A3B\nsequence_len: 2048\nmicro_batch_size: 1\nexpert_parallel_size: 2\n"
        "dp_shard_size: 4\nfsdp_version: 2\nfsdp_config:\n  reshard_after_forward: true",
        {"ep": 2, "dp_replicate": 1, "zero": 3},
    ),
    "unpacked": (
        "step_scheduler:\n  global_batch_size: 64\n  local_batch_size: 4\nmodel:\n  pretrained_model_name_or_path: "
        "Qwen/Qwen3-8B\npacked_sequence:\n  packed_sequence_size: 0\ndataset:\n  seq_length: 2048",
        {"seq": 2048, "b": 4, "m": 2},
    ),
    "sequential": (
        f"{NEOX}pipe_parallel_size: 0\nactivation: swiglu\nintermediate_size: 24576",
        {"pp": 1, "ffn": 8192},
    ),
    "scores": (f"{NEOX}pipe_parallel_size: 1", {"attention": "unfused"}),
    "kernels": (f"{NEOX}pipe_parallel_size: 1\nattention_config: [[[flash], 24]]", {"attention": "flash"}),
    "relative": (
        f"{NEMO}  encoder_seq_length: 4096\n  max_position_embeddings: ${{.encoder_seq_length}}\n",
        {"seq": 4096, "layers": 24},
    ),
    "primus-titan": (
        "modules:\n  pre_trainer:\n    framework: torchtitan\n    config: pre_trainer.yaml\n"
        "    model: llama3.1_8B.yaml\n"
        "    overrides:\n      training:\n        local_batch_size: 4\n        seq_len: 4096\n        mock_data: true\n"
        "      parallelism:\n        tensor_parallel_degree: 2\n      primus_turbo:\n        enable_primus_turbo: true",
        {"tp": 2, "dp": 4, "b": 4, "seq": 4096, "zero": 3, "recompute": False, "problems": 0, "model": "llama3.1-8b"},
    ),
    "primus-layers": (
        f"{PRIMUS}      pipeline_model_parallel_size: 4\n      virtual_pipeline_model_parallel_size: 2\n"
        "      pipeline_model_parallel_layout: Et*4|(t*4|)*6t*4,L\n      recompute_granularity: full\n"
        '      recompute_layer_ids: "0,1,4,5,8,9,12,13,16,17,20,21,24,25,28,29"',
        {"v": 2, "problems": 0, "recomputed": 2, "dispatcher": "alltoall"},
    ),
    "primus": (
        f"{PRIMUS}      expert_model_parallel_size: 8\n      recompute_granularity: full\n"
        "      recompute_method: block\n      recompute_num_layers: 0",
        {"dispatcher": "alltoall", "recompute": False, "problems": 0, "ep": 8},
    ),
    "strategy": (f"{AXOLOTL}fsdp_config:\n  fsdp_sharding_strategy: SHARD_GRAD_OP", {"zero": 2}),
}
"""ms-swift swift/megatron/arguments/megatron_args.py, megatron_base_args.py, swift/trainers/arguments.py (16 sequences
a step); LLaMA-Factory hparams/finetuning_args.py, examples/megatron; Axolotl utils/config/__init__.py (batch_size is
each rank's), integrations/cut_cross_entropy/args.py, integrations/expert_parallel/README.md;
GPT-NeoX megatron/model/transformer.py, ParallelMLP, and initialize.py; OmegaConf's relative references; Primus
primus/configs/models/megatron/mixtral_base.yaml; Megatron-LM core/transformer/transformer_config.py, which takes block
recomputation of no layer."""


def asked(text: str, gpus: str = "8xH100", **names: str) -> Any:
    """The job and plan of a file, and what was read of it."""
    said = dict.fromkeys(NAMES) | {"gpus": gpus} | names
    return understood(text, library(), lambda name: None, said, dict.fromkeys(GIVEN), {})


@pytest.mark.parametrize("name", SILENT)
def test_what_holds_where_nothing_is_said(name: str) -> None:
    """By field."""
    text, expect = SILENT[name]
    setup, reading, _ = asked(f"{text}\n")
    said = found(setup) | {"ffn": setup.job.model.ffn, "problems": len(reading.problems)}
    said["recomputed"] = setup.plan.recompute_layers
    assert {key: said[key] for key in expect} == expect


RUNS = {
    "swift": f"{MOE} --max_length 4096 --optimizer_cpu_offload true --recompute_granularity none\n",
    "hybrid": "distributed_type: FSDP\nfsdp_config:\n  fsdp_sharding_strategy: HYBRID_SHARD\nnum_machines: 2\n",
    "hsdp": "base_model: Qwen/Qwen3-8B\nsequence_len: 4096\nmicro_batch_size: 1\ngradient_accumulation_steps: 1\n"
    "dp_replicate_size: 2\ndp_shard_size: 4\ntensor_parallel_size: 2\nfsdp_version: 2\n",
    "muon": "swift sft --model Qwen/Qwen2.5-7B --tuner_type full --max_length 2048 --optimizer muon\n",
    "torchtune": "model:\n  _component_: torchtune.models.llama4.llama4_scout_17b_16e\ntensor_parallel_dim: 2\n"
    "batch_size: 1\nenable_activation_checkpointing: true\ntokenizer:\n  max_seq_len: 4096\n",
}
"""Files that their framework runs: ms-swift without Megatron-LM's conditions on an offloaded optimizer; copies of
shards (Accelerate parallelism_config.py, FSDP's HYBRID_SHARD); Muon beside the Trainer's own optimizers (ms-swift
swift/optimizers); experts behind torchtune's plan of tensor parallelism, which has SequenceParallel in it
(torchtune models/llama4/_parallelism.py)."""


@pytest.mark.parametrize("name", RUNS)
def test_what_a_framework_runs_is_legal(name: str) -> None:
    """And there is a plan of the same job."""
    names = {"model": "qwen3-8b"} if name == "hybrid" else {}
    setup, reading, _ = asked(RUNS[name], "2x8xH100", **names)
    verdict = check(reading, setup, TARGETS[reading.target])
    assert verdict.legal and verdict.best is not None


def test_a_loader_of_its_own_makes_no_mask() -> None:
    """Nothing is said of Megatron-LM's data loader where another one feeds the model."""
    assert not any("mask" in one.why for one in read(f"{MOE} --max_length 32768\n", "8xH100", {}).not_modelled)


def test_what_of_primus_is_not_read() -> None:
    """Its third backend, by name."""
    text = "modules:\n  pre_trainer:\n    framework: maxtext\n    config: pre_trainer.yaml\n    model: llama3_8B.yaml\n"
    with pytest.raises(PlannerError, match="over maxtext is not read"):
        read(text, "8xH100", {})


def test_variables_of_the_shell_are_no_options() -> None:
    """A file of the MoE model zoo lists them beside its arguments."""
    text = (
        "ENV_VARS:\n  PYTHONWARNINGS: ignore\nMODEL_ARGS:\n  --num-layers: 24\n  --hidden-size: 2048\n"
        "  --num-attention-heads: 16\n  --tensor-model-parallel-size: 2\n  --seq-length: 2048\n  --bf16: true\n"
        "  --micro-batch-size: 1\n  --global-batch-size: 64\n  --vocab-size: 32000\n  --sequence-parallel: true\n"
    )
    assert not any("WARNINGS" in one.option for one in read(text, "8xH100", {}).not_modelled)
