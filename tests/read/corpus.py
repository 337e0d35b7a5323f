"""Configurations as people have them, reduced to their facts, each with the plan that a person reads in it.

The keys are those of the frameworks' own examples; the files are written for these tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ZERO3 = '{"zero_optimization": {"stage": 3}, "bf16": {"enabled": "auto"}, "train_micro_batch_size_per_gpu": "auto"}'
ZERO2_OFFLOAD = (
    '{"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu", "pin_memory": true}}, '
    '"bf16": {"enabled": "auto"}, "gradient_accumulation_steps": "auto"}'
)
FSDP2 = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_reshard_after_forward: true
  fsdp_activation_checkpointing: true
mixed_precision: bf16
num_machines: 1
num_processes: 8
"""
FSDP1 = """\
distributed_type: FSDP
fsdp_config:
  fsdp_sharding_strategy: SHARD_GRAD_OP
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
mixed_precision: bf16
num_machines: 1
num_processes: 8
"""


@dataclass(frozen=True)
class Sample:
    """One file.

    Attributes:
        text: of the file that is checked. expect: fields of plan and workload, and "model", "gpus" beside them.
        named: options that the answer must name as not modelled. files: what lies beside it. model: that the user
            names beside a file which does not say.
    """

    name: str
    text: str
    expect: dict[str, Any]
    named: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    gpus: str = "8xA100"
    model: str = ""


SAMPLES = [
    Sample(
        "llamafactory-full",
        "model_name_or_path: Qwen/Qwen2.5-7B\nstage: sft\nfinetuning_type: full\ntemplate: qwen\ncutoff_len: 2048\n"
        "deepspeed: ds_z3.json\nper_device_train_batch_size: 1\ngradient_accumulation_steps: 2\nbf16: true\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 1, "m": 2, "seq": 2048, "method": "full", "recompute": True},
        files={"ds_z3.json": ZERO3},
    ),
    Sample(
        "llamafactory-lora",
        "model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct\nstage: dpo\nfinetuning_type: lora\nlora_rank: 8\n"
        "template: llama3\ncutoff_len: 4096\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 8\n"
        "disable_gradient_checkpointing: true\nbf16: true\n",
        {"model": "llama3-8b", "zero": 0, "b": 4, "m": 8, "method": "lora", "lora_rank": 8, "recompute": False},
        named=("stage",),
        gpus="1xA100",
    ),
    Sample(
        "llamafactory-command",
        "FORCE_TORCHRUN=1 llamafactory-cli train conf/run.yaml per_device_train_batch_size=2 cutoff_len=8192\n",
        {"model": "qwen3-8b", "b": 2, "m": 4, "seq": 8192, "method": "lora", "lora_rank": 16, "zero": 2},
        files={
            "conf/run.yaml": "model_name_or_path: Qwen/Qwen3-8B\nfinetuning_type: lora\nlora_rank: 16\ntemplate: "
            "qwen3\n"
            "deepspeed: ds.json\nper_device_train_batch_size: 1\ngradient_accumulation_steps: 4\nbf16: true\n",
            "ds.json": ZERO2_OFFLOAD,
        },
    ),
    Sample(
        "llamafactory-v1-full",
        "model: Qwen/Qwen3-4B\nmodel_class: llm\nkernel_config:\n  name: auto\ndist_config:\n  name: fsdp2\n"
        "  offload_params: true\ntrain_dataset: d.yaml\nmicro_batch_size: 2\nglobal_batch_size: 32\ncutoff_len: 4096\n"
        "optim_config:\n  name: muon\n",
        {"model": "qwen3-4b", "zero": 3, "b": 2, "m": 2, "seq": 4096, "method": "full", "recompute": True}
        | {"offload": "parameters", "optimizer": "muon"},
    ),
    Sample(
        "llamafactory-v1-qlora",
        "USE_V1=1 llamafactory-cli sft run.yaml\n",
        {
            "model": "qwen3-8b",
            "b": 1,
            "m": 1,
            "seq": 2048,
            "method": "qlora",
            "base": "nf4",
            "lora_rank": 16,
            "zero": 3,
        },
        files={
            "run.yaml": "model: Qwen/Qwen3-8B\nmodel_class: llm\npeft_config:\n  name: lora\n  r: 16\n"
            "quant_config:\n  name: bnb\n  quantization_bit: 4\ndist_config:\n  name: fsdp2\ntrain_dataset: d.yaml\n"
        },
    ),
    Sample(
        "trainer-deepspeed",
        "torchrun --nproc_per_node 8 train.py --deepspeed ds.json --model_name_or_path Qwen/Qwen2.5-14B --bf16 True "
        "--per_device_train_batch_size 2 --gradient_accumulation_steps 4 --gradient_checkpointing "
        "--model_max_length 4096\n",
        {"model": "qwen2.5-14b", "zero": 2, "b": 2, "m": 4, "seq": 4096, "offload": "optimizer", "recompute": True},
        files={"ds.json": ZERO2_OFFLOAD},
    ),
    Sample(
        "trainer-fsdp",
        "torchrun --nproc_per_node 8 train.py --fsdp 'full_shard auto_wrap' --model_name_or_path "
        "meta-llama/Llama-3.1-8B "
        "--bf16 True --per_device_train_batch_size 1 --gradient_accumulation_steps 16 --max_seq_length 8192\n",
        {"model": "llama3.1-8b", "zero": 3, "b": 1, "m": 16, "seq": 8192, "recompute": False},
    ),
    Sample(
        "trainer-json",
        '{"model_name_or_path": "Qwen/Qwen2.5-7B", "per_device_train_batch_size": 4, "fsdp": "shard_grad_op",'
        ' "gradient_accumulation_steps": 2, "bf16": true, "optim": "adamw_bnb_8bit", "max_length": 2048}',
        {"model": "qwen2.5-7b", "zero": 2, "b": 4, "m": 2, "optimizer": "adam-8bit", "seq": 2048},
    ),
    Sample(
        "accelerate-fsdp2",
        "accelerate launch --config_file fsdp2.yaml train.py --model_name_or_path Qwen/Qwen2.5-7B "
        "--per_device_train_batch_size 1 --gradient_accumulation_steps 2 --max_length 4096 --bf16 True\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 1, "m": 2, "seq": 4096, "recompute": True},
        files={"fsdp2.yaml": FSDP2},
    ),
    Sample(
        "accelerate-fsdp1",
        "accelerate launch --config_file=cfg/fsdp1.yaml -m my.train --model_name_or_path Qwen/Qwen3-8B --bf16 "
        "--per_device_train_batch_size 2 --max_length 2048\n",
        {"model": "qwen3-8b", "zero": 2, "b": 2, "m": 1, "seq": 2048},
        files={"cfg/fsdp1.yaml": FSDP1},
    ),
    Sample(
        "accelerate-deepspeed-options",
        "accelerate launch --use_deepspeed --zero_stage 3 --num_processes 8 --mixed_precision bf16 train.py "
        "--model_name_or_path Qwen/Qwen2.5-7B --per_device_train_batch_size 2 --max_length 2048\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 2, "m": 1},
    ),
    Sample(
        "trl-lora",
        "trl sft --model_name_or_path Qwen/Qwen2.5-7B --per_device_train_batch_size 2 "
        "--gradient_accumulation_steps 8 "
        "--max_length 4096 --bf16 --use_peft --lora_r 32 --gradient_checkpointing\n",
        {"model": "qwen2.5-7b", "b": 2, "m": 8, "seq": 4096, "method": "lora", "lora_rank": 32, "recompute": True},
        gpus="1xA100",
    ),
    Sample(
        "trl-silent",
        "accelerate launch --config_file recipes/accelerate_configs/zero3.yaml scripts/sft.py --use_peft --lora_r 16 "
        "--model_name_or_path Qwen/Qwen2.5-7B --dataset_name d --per_device_train_batch_size 4\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "seq": 1024, "recompute": True, "method": "lora"},
        gpus="8xH100",
    ),
    Sample(
        "trl-silent-python",
        "from trl import SFTConfig, SFTTrainer\nfrom transformers import AutoModelForCausalLM\n"
        'model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")\n'
        "SFTTrainer(model=model, args=SFTConfig(output_dir='o', per_device_train_batch_size=2)).train()\n",
        {"model": "qwen3-8b", "b": 2, "seq": 1024, "recompute": True},
        gpus="8xH100",
    ),
    Sample(
        "trl-sampled",
        "trl grpo --model_name_or_path Qwen/Qwen3-8B --num_generations 8 --max_completion_length 2048 --bf16\n",
        {"model": "qwen3-8b", "seq": 2560, "recompute": True},
        named=("num_generations", "max_completion_length"),
        gpus="8xH100",
    ),
    Sample(
        "trl-fewest-keys",
        "model_name_or_path: Qwen/Qwen2.5-0.5B\ndataset_name: stanfordnlp/imdb\nreport_to: none\n",
        {"model": "qwen2.5-0.5b", "b": 8},
        gpus="8xH100",
    ),
    Sample(
        "trl-yaml",
        "trl dpo --config dpo.yaml --accelerate_config zero2\n",
        {"model": "llama3.1-8b", "zero": 2, "b": 4, "m": 2, "seq": 1024, "method": "full"},
        named=("beta",),
        files={
            "dpo.yaml": "model_name_or_path: meta-llama/Llama-3.1-8B\nper_device_train_batch_size: 4\nbf16: true\n"
            "gradient_accumulation_steps: 2\nmax_length: 1024\nbeta: 0.1\n"
        },
    ),
    Sample(
        "axolotl-full",
        "base_model: NousResearch/Meta-Llama-3.1-8B\nsequence_len: 8192\nsample_packing: true\nmicro_batch_size: 1\n"
        "gradient_accumulation_steps: 8\noptimizer: paged_adamw_8bit\nbf16: auto\ngradient_checkpointing: true\n"
        "flash_attention: true\nnum_epochs: 1\n",
        {
            "model": "llama3.1-8b",
            "b": 1,
            "m": 8,
            "seq": 8192,
            "optimizer": "adam-8bit-paged",
            "recompute": True,
            "zero": 0,
        },
        named=("sample_packing",),
        gpus="1xA100",
    ),
    Sample(
        "axolotl-qlora",
        "base_model: Qwen/Qwen3-8B\nadapter: qlora\nload_in_4bit: true\nlora_r: 32\nsequence_len: 4096\nbf16: auto\n"
        "micro_batch_size: 2\ngradient_accumulation_steps: 4\noptimizer: adamw_bnb_8bit\n",
        {"model": "qwen3-8b", "method": "qlora", "base": "nf4", "lora_rank": 32, "b": 2, "optimizer": "adam-8bit"},
        gpus="1xA100",
    ),
    Sample(
        "trl-8bit",
        "trl sft --model_name_or_path Qwen/Qwen2.5-7B --use_peft --load_in_8bit --per_device_train_batch_size 1 "
        "--bf16\n",
        {"model": "qwen2.5-7b", "method": "qlora", "base": "int8", "b": 1},
        gpus="1xA100",
    ),
    Sample(
        "trl-loaded-in-bf16",
        "trl sft --model_name_or_path Qwen/Qwen2.5-7B --dtype bfloat16 --bf16 --per_device_train_batch_size 1 "
        "--gradient_checkpointing\n",
        {"model": "qwen2.5-7b", "method": "full", "optimizer": "adam-bf16", "recompute": True},
        gpus="1xH200",
    ),
    Sample(
        "swift-loaded-in-bf16",
        "NPROC_PER_NODE=8 swift sft --model Qwen/Qwen2.5-7B --tuner_type full --max_length 2048\n",
        {"model": "qwen2.5-7b", "method": "full", "optimizer": "adam-bf16", "zero": 0, "b": 1},
    ),
    Sample(
        "axolotl-all-linear",
        "base_model: Qwen/Qwen3-8B\nadapter: lora\nlora_r: 8\nlora_target_modules: [q_proj, k_proj, v_proj, o_proj]\n"
        "lora_target_linear: true\nsequence_len: 2048\nmicro_batch_size: 1\n",
        {"model": "qwen3-8b", "method": "lora", "lora_targets": "all-linear"},
        gpus="1xA100",
    ),
    Sample(
        "torchtune-some-layers",
        "model:\n  _component_: torchtune.models.llama3_1.lora_llama3_1_8b\n  lora_rank: 8\n  apply_lora_to_mlp: true\n"
        "  lora_attn_modules: [q_proj, v_proj, output_proj]\nbatch_size: 2\ntokenizer:\n  max_seq_len: 2048\n",
        {"model": "llama3.1-8b", "method": "lora", "lora_targets": "all-linear"},
        named=("model.lora_attn_modules",),
    ),
    Sample(
        "accelerate-params-on-the-host",
        "accelerate launch --config_file z3.yaml train.py --model_name_or_path Qwen/Qwen2.5-7B "
        "--per_device_train_batch_size 1 --max_length 4096 --bf16 True\n",
        {"model": "qwen2.5-7b", "zero": 3, "offload": "parameters"},
        files={
            "z3.yaml": "distributed_type: DEEPSPEED\ndeepspeed_config:\n  zero_stage: 3\n"
            "  offload_optimizer_device: cpu\n  offload_param_device: cpu\nmixed_precision: bf16\nnum_processes: 8\n"
        },
    ),
    Sample(
        "axolotl-fsdp2",
        "base_model: Qwen/Qwen3-32B\nadapter: lora\nlora_r: 64\nsequence_len: 2048\nmicro_batch_size: 2\n"
        "gradient_accumulation_steps: 1\nbf16: true\nfsdp_version: 2\nfsdp_config:\n  reshard_after_forward: true\n"
        "  offload_params: false\ngradient_checkpointing: true\n",
        {"model": "qwen3-32b", "zero": 3, "b": 2, "m": 1, "method": "lora", "lora_rank": 64},
    ),
    Sample(
        "axolotl-shipped-zero3",
        "accelerate launch -m axolotl.cli.train run.yml --deepspeed deepspeed_configs/zero3_bf16.json\n",
        {"model": "llama3.1-70b", "zero": 3, "b": 1, "m": 4, "seq": 4096},
        files={
            "run.yml": "base_model: meta-llama/Llama-3.1-70B\nsequence_len: 4096\nmicro_batch_size: 1\n"
            "gradient_accumulation_steps: 4\nbf16: true\nval_set_size: 0.0\n"
        },
        gpus="4x8xH100",
    ),
    Sample(
        "swift-full",
        "NPROC_PER_NODE=8 swift sft --model Qwen/Qwen2.5-7B --tuner_type full --torch_dtype bfloat16 --deepspeed "
        "zero2 "
        "--per_device_train_batch_size 1 --gradient_accumulation_steps 2 --max_length 8192 --use_liger_kernel true\n",
        {
            "model": "qwen2.5-7b",
            "zero": 2,
            "b": 1,
            "m": 2,
            "seq": 8192,
            "method": "full",
            "recompute": True,
            "loss": "linear",
        },
    ),
    Sample(
        "swift-lora",
        "CUDA_VISIBLE_DEVICES=0 swift sft --model Qwen/Qwen3-8B --tuner_type lora --lora_rank 16 --max_length 2048 "
        "--per_device_train_batch_size 4 --gradient_checkpointing false --attn_impl eager\n",
        {
            "model": "qwen3-8b",
            "b": 4,
            "m": 4,
            "method": "lora",
            "lora_rank": 16,
            "recompute": False,
            "attention": "eager",
        },
        gpus="1xA100",
    ),
    Sample(
        "swift-megatron",
        "NPROC_PER_NODE=8 megatron sft --model Qwen/Qwen3-30B-A3B --expert_model_parallel_size 8 "
        "--micro_batch_size 1 "
        "--tensor_model_parallel_size 2 --sequence_parallel true --global_batch_size 16 --max_length 8192 "
        "--recompute_granularity full --recompute_method uniform --recompute_num_layers 1 --packing true\n",
        {"model": "qwen3-30b-a3b", "tp": 2, "ep": 8, "etp": 1, "sp": 1, "b": 1, "batch": 16, "zero": 1, "seq": 8192},
        named=("packing",),
        gpus="2x8xA100",
    ),
    Sample(
        "swift-megatron-lora",
        "megatron sft --model Qwen/Qwen2.5-7B-Instruct --tuner_type lora --lora_rank 8 "
        "--pipeline_model_parallel_size 2 "
        "--micro_batch_size 2 --global_batch_size 32 --max_length 2048\n",
        {"model": "qwen2.5-7b", "pp": 2, "b": 2, "batch": 32, "method": "lora", "lora_rank": 8},
    ),
    Sample(
        "torchtune-lora",
        "model:\n  _component_: torchtune.models.llama3_1.lora_llama3_1_70b\n  lora_rank: 16\nbatch_size: 2\n"
        "gradient_accumulation_steps: 1\noptimizer:\n  _component_: torch.optim.AdamW\ndtype: bf16\n"
        "enable_activation_checkpointing: true\ntokenizer:\n  max_seq_len: 2048\n"
        "loss:\n  _component_: torchtune.modules.loss.LinearCrossEntropyLoss\n",
        {"model": "llama3.1-70b", "zero": 3, "b": 2, "m": 1, "seq": 2048, "method": "lora", "loss": "linear"},
    ),
    Sample(
        "torchtune-full",
        "tune run --nproc_per_node 8 full_finetune_distributed --config run.yaml batch_size=4 "
        "tokenizer.max_seq_len=4096\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "m": 2, "seq": 4096, "method": "full", "optimizer": "adam-bf16"},
        named=("compile",),
        files={
            "run.yaml": "model:\n  _component_: torchtune.models.qwen2_5.qwen2_5_7b_instruct\nbatch_size: 1\n"
            "dtype: bf16\n"
            "gradient_accumulation_steps: 2\ncompile: true\nenable_activation_checkpointing: false\n"
        },
    ),
    Sample(
        "primus",
        "modules:\n  pre_trainer:\n    framework: megatron\n    model: llama3.1_8B.yaml\n    overrides:\n"
        "      tensor_model_parallel_size: 2\n      sequence_parallel: true\n      micro_batch_size: 2\n      "
        "bf16: true\n"
        "      global_batch_size: 128\n      seq_length: 8192\n      use_distributed_optimizer: true\n",
        {"model": "llama3.1-8b", "tp": 2, "sp": 1, "b": 2, "batch": 128, "zero": 1, "seq": 8192},
        gpus="8xMI300X",
    ),
    Sample(
        "primus-base",
        "exp_name: m\nmodules:\n  pre_trainer:\n    framework: megatron\n    config: pre_trainer.yaml\n"
        "    model: language_model.yaml\n    overrides:\n      num_layers: 32\n      hidden_size: 4096\n"
        "      num_attention_heads: 32\n      seq_length: 4096\n      micro_batch_size: 1\n"
        "      global_batch_size: 64\n      tensor_model_parallel_size: 2\n      vocab_size: 32000\n",
        {"layers": 32, "tp": 2, "sp": 1, "zero": 1, "b": 1, "batch": 64, "seq": 4096, "vocab": 32000},
        gpus="8xMI300X",
    ),
    Sample(
        "primus-off",
        "modules:\n  pre_trainer:\n    config: pre_trainer.yaml\n    model: mixtral_8x7B_v0.1.yaml\n    overrides:\n"
        "      seq_length: 4096\n      micro_batch_size: 2\n      global_batch_size: 256\n"
        "      expert_model_parallel_size: 8\n      tensor_model_parallel_size: 1\n"
        "      use_distributed_optimizer: false\n      cross_entropy_loss_fusion: true\n"
        '      cross_entropy_fusion_impl: "te"\n',
        {"model": "mixtral-8x7b", "ep": 8, "zero": 0, "b": 2, "batch": 256, "loss": "fused"},
        gpus="8xMI300X",
    ),
    Sample(
        "megatron-yaml",
        "trainer_class: MegatronPretrainTrainer\nexpert_model_parallel_size: 8\nmicro_batch_size: 4\nbf16: true\n"
        "global_batch_size: 512\nseq_length: 4096\nnum_layers: 32\nhidden_size: 4096\nffn_hidden_size: 14336\n"
        "num_attention_heads: 32\ngroup_query_attention: true\nnum_query_groups: 8\nnum_experts: 8\n"
        "moe_router_topk: 2\n"
        "swiglu: true\nvocab_size: 32000\nuse_distributed_optimizer: true\n",
        {"layers": 32, "ep": 8, "b": 4, "batch": 512, "zero": 1, "seq": 4096},
        gpus="8xMI300X",
    ),
    Sample(
        "flagscale",
        "defaults:\n  - train: 7b\n  - _self_\nexperiment:\n  exp_name: x\n  runner:\n    nproc_per_node: 8\n",
        {"layers": 32, "tp": 2, "pp": 2, "b": 2, "batch": 64, "precision": "fp16", "zero": 1},
        files={
            "train/7b.yaml": "system:\n  tensor_model_parallel_size: 2\n  pipeline_model_parallel_size: 2\n"
            "  disable_bias_linear: true\n  use_distributed_optimizer: true\n  precision:\n    fp16: true\nmodel:\n"
            "  num_layers: 32\n  hidden_size: 4096\n  num_attention_heads: 32\n  seq_length: 2048\n  swiglu: true\n"
            "  max_position_embeddings: 2048\n  micro_batch_size: 2\n  global_batch_size: 64\ndata:\n  tokenizer:\n"
            "    vocab_size: 100008\n"
        },
    ),
    Sample(
        "model-zoo",
        "ENV_VARS:\n  CUDA_DEVICE_MAX_CONNECTIONS: 1\nMODEL_ARGS:\n  --tensor-model-parallel-size: 1\n"
        "  --pipeline-model-parallel-size: 1\n  --expert-model-parallel-size: 8\n  --expert-tensor-parallel-size: 1\n"
        "  --num-layers: 48\n  --hidden-size: 2048\n  --ffn-hidden-size: 6144\n  --num-attention-heads: 32\n"
        "  --group-query-attention: true\n  --num-query-groups: 4\n  --kv-channels: 128\n  --num-experts: 128\n"
        "  --moe-ffn-hidden-size: 768\n  --moe-router-topk: 8\n  --swiglu: true\n  --bf16: true\n  --seq-length: "
        "4096\n"
        "  --max-position-embeddings: 40960\n  --micro-batch-size: 1\n  --global-batch-size: 256\n"
        "  --use-distributed-optimizer: true\n  --tokenizer-type: HuggingFaceTokenizer\n"
        "  --tokenizer-model: Qwen/Qwen3-30B-A3B\n",
        {"layers": 48, "vocab": 151936, "ep": 8, "b": 1, "batch": 256, "zero": 1},
        gpus="4x8xH100",
    ),
    Sample(
        "bridge-overrides",
        "torchrun --nproc_per_node=8 scripts/training/run_recipe.py --recipe llama31_8b_pretrain_config "
        "model.tensor_model_parallel_size=2 train.global_batch_size=128 train.micro_batch_size=1 "
        "model.seq_length=8192\n",
        {"model": "llama3.1-8b", "tp": 2, "cp": 2, "b": 1, "batch": 128, "seq": 8192, "zero": 1, "loss": "fused"},
        gpus="8xH100",
    ),
    Sample(
        "bridge-dump",
        "model:\n  num_layers: 32\n  hidden_size: 4096\n  ffn_hidden_size: 14336\n  num_attention_heads: 32\n"
        "  num_query_groups: 8\n  gated_linear_unit: true\n  add_bias_linear: false\n  vocab_size: 128256\n"
        "  share_embeddings_and_output_weights: false\n  seq_length: 8192\n  tensor_model_parallel_size: 1\n"
        "  pipeline_model_parallel_size: 2\n  virtual_pipeline_model_parallel_size: 4\ntrain:\n  "
        "micro_batch_size: 1\n"
        "  global_batch_size: 256\nddp:\n  use_distributed_optimizer: true\nmixed_precision: bf16_mixed\n",
        {"layers": 32, "pp": 2, "v": 4, "b": 1, "batch": 256, "zero": 1, "precision": "bf16"},
        gpus="8xH100",
    ),
    Sample(
        "automodel-full",
        "recipe: TrainFinetuneRecipeForNextTokenPrediction\nstep_scheduler:\n  global_batch_size: 64\n"
        "  local_batch_size: 8\nmodel:\n  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained\n"
        "  pretrained_model_name_or_path: meta-llama/Llama-3.2-1B\ndistributed:\n  strategy: fsdp2\n  tp_size: 2\n"
        "  cp_size: 1\npacked_sequence:\n  packed_sequence_size: 4096\n",
        {"model": "llama3.2-1b", "tp": 2, "zero": 3, "b": 8, "batch": 64, "seq": 4096, "method": "full"},
        gpus="8xH100",
    ),
    Sample(
        "automodel-experts",
        "recipe: BenchmarkingRecipeForNextTokenPrediction\nstep_scheduler:\n  global_batch_size: 512\n"
        "  local_batch_size: 8\ndistributed:\n  strategy: fsdp2\n  pp_size: 4\n  ep_size: 8\n"
        "  activation_checkpointing: true\n  pipeline:\n    pp_microbatch_size: 2\nmodel:\n"
        "  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_config\n  config:\n"
        "    pretrained_model_name_or_path: Qwen/Qwen3-30B-A3B\n  backend:\n    attn: te\n    linear: te\n"
        "    experts: te\n    dispatcher: deepep\n    te_fp8:\n      recipe: block\ndataset:\n  seq_len: 4096\n",
        {
            "model": "qwen3-30b-a3b",
            "pp": 4,
            "ep": 8,
            "b": 2,
            "batch": 512,
            "zero": 3,
            "precision": "fp8-blockwise",
            "dispatcher": "deepep",
            "recompute": True,
        },
        gpus="4x8xH100",
    ),
    Sample(
        "automodel-peft",
        "automodel finetune llm -c run.yaml --distributed.tp_size 1 --step_scheduler.local_batch_size 1\n",
        {"model": "llama3.1-8b", "zero": 3, "b": 1, "batch": 32, "method": "lora", "lora_rank": 8},
        files={
            "run.yaml": "recipe: TrainFinetuneRecipeForNextTokenPrediction\nstep_scheduler:\n  global_batch_size: "
            "32\n"
            "  local_batch_size: 4\nmodel:\n  pretrained_model_name_or_path: meta-llama/Llama-3.1-8B\npeft:\n"
            "  _target_: nemo_automodel.components._peft.lora.PeftConfig\n  dim: 8\ndistributed:\n  strategy: fsdp2\n"
        },
        gpus="8xH100",
    ),
    Sample(
        "verl-sft",
        "torchrun --standalone --nnodes=1 --nproc_per_node=8 -m verl.trainer.fsdp_sft_trainer "
        "data.train_batch_size=256 "
        "data.micro_batch_size_per_gpu=4 data.max_length=2048 model.partial_pretrain=Qwen/Qwen2.5-7B-Instruct "
        "model.lora_rank=32 +data.prompt_dict_keys=['question'] use_remove_padding=true\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "batch": 256, "seq": 2048, "method": "lora", "lora_rank": 32},
        named=("use_remove_padding",),
    ),
    Sample(
        "verl-grpo",
        "python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo data.train_batch_size=1024 "
        "data.max_prompt_length=512 data.max_response_length=1024 "
        "actor_rollout_ref.model.path=Qwen/Qwen2.5-7B-Instruct "
        "actor_rollout_ref.actor.ppo_mini_batch_size=256 actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 "
        "actor_rollout_ref.rollout.n=5 actor_rollout_ref.model.enable_gradient_checkpointing=True "
        "trainer.n_gpus_per_node=8 $@\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "batch": 1280, "seq": 1536, "recompute": True},
        named=("algorithm.adv_estimator",),
    ),
    Sample(
        "verl-fully-async",
        "python3 -m verl.experimental.fully_async_policy.fully_async_main data.train_batch_size=0 "
        "data.gen_batch_size=1 data.max_prompt_length=512 data.max_response_length=1024 rollout.nnodes=1 "
        "actor_rollout_ref.model.path=Qwen/Qwen2.5-7B-Instruct async_training.staleness_threshold=0.1 "
        "actor_rollout_ref.actor.ppo_mini_batch_size=32 actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 "
        "actor_rollout_ref.rollout.n=8 trainer.n_gpus_per_node=8\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "batch": 256, "seq": 1536},
    ),
    Sample(
        "nemo-rl-sft",
        "sft:\n  max_num_epochs: 1\npolicy:\n  model_name: meta-llama/Llama-3.1-8B\n  train_global_batch_size: 32\n"
        "  train_micro_batch_size: 1\n  max_total_sequence_length: 1024\n  precision: bfloat16\n  dtensor_cfg:\n"
        "    enabled: true\n    tensor_parallel_size: 2\n    activation_checkpointing: true\ncluster:\n  "
        "gpus_per_node: 8\n",
        {"model": "llama3.1-8b", "tp": 2, "zero": 3, "b": 1, "batch": 32, "seq": 1024, "recompute": True},
        gpus="8xH100",
    ),
    Sample(
        "nemo-rl-megatron",
        "uv run examples/run_grpo.py --config grpo.yaml policy.megatron_cfg.tensor_model_parallel_size=4\n",
        {"model": "qwen2.5-7b", "tp": 4, "pp": 2, "zero": 1, "b": 2, "batch": 512, "seq": 4096},
        named=("grpo.num_generations_per_prompt",),
        files={
            "grpo.yaml": "grpo:\n  num_generations_per_prompt: 16\npolicy:\n  model_name: Qwen/Qwen2.5-7B\n"
            "  train_global_batch_size: 512\n  train_micro_batch_size: 2\n  max_total_sequence_length: 4096\n"
            "  dtensor_cfg:\n    enabled: false\n  megatron_cfg:\n    enabled: true\n    "
            "tensor_model_parallel_size: 1\n"
            "    pipeline_model_parallel_size: 2\n"
        },
        gpus="2x8xH100",
    ),
    Sample(
        "openrlhf-sft",
        "set -x\nread -r -d '' commands <<EOF\nopenrlhf.cli.train_sft \\\n --data.max_len 2048 \\\n "
        "--train.batch_size 256 "
        "\\\n --train.micro_batch_size 2 \\\n --model.model_name_or_path meta-llama/Meta-Llama-3-8B \\\n "
        "--ds.zero_stage 2 "
        "\\\n --ds.param_dtype bf16 --model.gradient_checkpointing_enable\nEOF\ndeepspeed --module $commands\n",
        {"model": "llama3-8b", "zero": 2, "b": 2, "batch": 256, "seq": 2048, "recompute": True},
    ),
    Sample(
        "openrlhf-flat",
        "deepspeed --module openrlhf.cli.train_sft --max_len 4096 --train_batch_size 128 --micro_train_batch_size 4 "
        "--pretrain mistralai/Mixtral-8x7B-v0.1 --zero_stage 3 --bf16 --lora_rank 64 --gradient_checkpointing "
        "--packing_samples\n",
        {"model": "mixtral-8x7b", "zero": 3, "b": 4, "batch": 128, "seq": 4096, "method": "lora", "lora_rank": 64},
        named=("packing_samples",),
    ),
    Sample(
        "slime",
        'SCRIPT_DIR="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" &>/dev/null && pwd)"\n'
        'source "${SCRIPT_DIR}/models/qwen3-4B.sh"\nPERF=(\n  --tensor-model-parallel-size 2\n  --sequence-parallel\n'
        "  --use-dynamic-batch-size\n  --max-tokens-per-gpu 9216\n)\nray job submit --address=http://127.0.0.1:8265 "
        "-- python3 train.py --actor-num-nodes 1 --hf-checkpoint /root/Qwen3-4B --global-batch-size 256 "
        "--rollout-batch-size 32 ${MODEL_ARGS[@]} ${PERF[@]} ${WANDB_ARGS[@]} --attention-backend flash\n",
        {"layers": 36, "tp": 2, "sp": 1, "b": 1, "batch": 256, "seq": 9216, "zero": 1},
        named=("max-tokens-per-gpu", "rollout-batch-size"),
        files={
            "models/qwen3-4B.sh": "MODEL_ARGS=(\n --swiglu --num-layers 36 --hidden-size 2560 --ffn-hidden-size "
            "9728\n"
            " --num-attention-heads 32 --group-query-attention --num-query-groups 8 --disable-bias-linear\n"
            ' --normalization "RMSNorm" --vocab-size 151936 --kv-channels 128 --qk-layernorm\n'
            " --use-rotary-position-embeddings --hidden-dropout 0.0\n)\n"
        },
        gpus="8xH100",
    ),
    Sample(
        "slime-steps",
        "python3 train.py --actor-num-nodes 1 --hf-checkpoint /root/Qwen3-8B --rollout-batch-size 128 "
        "--n-samples-per-prompt 8 --num-steps-per-rollout 4 --num-layers 36 --hidden-size 4096 --swiglu "
        "--num-attention-heads 32 --vocab-size 151936 --max-tokens-per-gpu 32768 --disable-bias-linear\n",
        {"layers": 36, "b": 1, "batch": 256, "seq": 32768},
        named=("max-tokens-per-gpu",),
        gpus="8xH100",
    ),
    Sample(
        "nanotron",
        "model:\n  dtype: bfloat16\n  model_config:\n    hidden_size: 2048\n    intermediate_size: 11008\n"
        "    num_attention_heads: 16\n    num_hidden_layers: 28\n    num_key_value_heads: 2\n    vocab_size: 128256\n"
        "    tie_word_embeddings: true\n    max_position_embeddings: 8192\noptimizer:\n  zero_stage: 1\n"
        "parallelism:\n"
        "  dp: 2\n  pp: 2\n  tp: 2\n  pp_engine: 1f1b\n  tp_mode: REDUCE_SCATTER\ntokens:\n  micro_batch_size: 3\n"
        "  batch_accumulation_per_replica: 8\n  sequence_length: 4096\n",
        {"layers": 28, "tp": 2, "pp": 2, "dp": 2, "sp": 1, "zero": 1, "b": 3, "m": 8, "seq": 4096},
        gpus="8xH100",
    ),
    Sample(
        "nanotron-alone",
        "torchrun --nproc_per_node=8 run_train.py --config-file run.yaml\n",
        {"layers": 16, "tp": 1, "pp": 1, "dp": 8, "zero": 0, "b": 2, "m": 1, "seq": 2048},
        files={
            "run.yaml": "model:\n  model_config:\n    hidden_size: 1024\n    num_attention_heads: 16\n"
            "    num_hidden_layers: 16\n    vocab_size: 49152\nparallelism:\n  dp: 8\n  pp: 1\n  tp: 1\n  "
            "pp_engine: 1f1b\n"
            "tokens:\n  micro_batch_size: 2\n  batch_accumulation_per_replica: 1\n  sequence_length: 2048\n"
        },
        gpus="8xH100",
    ),
    Sample(
        "neox-comments",
        '# facts of a 1.3B model\n{\n  # degrees\n  "pipe_parallel_size": 2,\n  "model_parallel_size": 2,\n'
        '  "num_layers": 24, "hidden_size": 2048, "num_attention_heads": 16, "seq_length": 2048,\n'
        '  "max_position_embeddings": 2048, "pos_emb": "rotary", "no_weight_tying": true,\n'
        '  "zero_optimization": {"stage": 1, "overlap_comm": True},\n  "train_micro_batch_size_per_gpu": 4,\n'
        '  "gradient_accumulation_steps": 8, "checkpoint_activations": true,\n  "fp16": {"enabled": true},\n}\n',
        {"layers": 24, "tp": 2, "pp": 2, "zero": 1, "b": 4, "m": 8, "precision": "fp16", "recompute": True},
    ),
    Sample(
        "neox-plain",
        "pipe_parallel_size: 1\nmodel_parallel_size: 4\nnum_layers: 36\nhidden_size: 5120\nnum_attention_heads: 40\n"
        "seq_length: 2048\nmax_position_embeddings: 2048\nno_weight_tying: true\nnorm: layernorm\npos_emb: rotary\n"
        "train_micro_batch_size_per_gpu: 8\nbf16:\n  enabled: true\nzero_optimization:\n  stage: 1\n",
        {"layers": 36, "tp": 4, "pp": 1, "zero": 1, "b": 8, "m": 1, "precision": "bf16"},
    ),
    Sample(
        "foundry-pretrain",
        "variables:\n  max_seq_len: 2048\nmax_seq_len: ${variables.max_seq_len}\nmodel:\n  name: mpt_causal_lm\n"
        "  d_model: 4096\n  n_heads: 32\n  n_layers: 32\n  expansion_ratio: 4\n  max_seq_len: "
        "${variables.max_seq_len}\n"
        "  vocab_size: 50368\n  attn_config:\n    attn_impl: flash\nglobal_train_batch_size: 1024\n"
        "device_train_microbatch_size: 8\nprecision: amp_bf16\nfsdp_config:\n  sharding_strategy: FULL_SHARD\n"
        "  activation_checkpointing: true\n",
        {"layers": 32, "zero": 3, "b": 8, "batch": 1024, "seq": 2048, "recompute": True},
    ),
    Sample(
        "foundry-finetune",
        "composer train/train.py run.yaml\n",
        {"model": "llama2-7b", "zero": 2, "b": 1, "batch": 64, "seq": 4096},
        files={
            "run.yaml": "max_seq_len: 4096\nmodel:\n  name: hf_causal_lm\n"
            "  pretrained_model_name_or_path: meta-llama/Llama-2-7b-hf\nglobal_train_batch_size: 64\n"
            "device_train_microbatch_size: 1\nprecision: amp_bf16\nfsdp_config:\n  sharding_strategy: SHARD_GRAD_OP\n"
        },
    ),
    Sample(
        "unsloth",
        "from unsloth import FastLanguageModel\nfrom trl import SFTTrainer, SFTConfig\nlength = 2048\n"
        'model, t = FastLanguageModel.from_pretrained(model_name="unsloth/Meta-Llama-3.1-8B", '
        "max_seq_length=length)\n"
        'model = FastLanguageModel.get_peft_model(model, r=16, use_gradient_checkpointing="unsloth")\n'
        "SFTTrainer(model=model, args=SFTConfig(per_device_train_batch_size=2, gradient_accumulation_steps=4,"
        ' optim="adamw_8bit")).train()\n',
        {"model": "llama3.1-8b", "b": 2, "m": 4, "seq": 2048, "method": "lora", "lora_rank": 16, "recompute": True},
        gpus="1xA100",
    ),
    Sample(
        "trainer-python",
        "from transformers import AutoModelForCausalLM, Trainer, TrainingArguments\n"
        'model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")\n'
        "args = TrainingArguments(output_dir='o', per_device_train_batch_size=1, gradient_accumulation_steps=8,\n"
        "    bf16=True, gradient_checkpointing=True, deepspeed='ds.json')\nTrainer(model=model, args=args).train()\n",
        {"model": "qwen3-8b", "zero": 3, "b": 1, "m": 8, "recompute": True},
        files={"ds.json": ZERO3},
    ),
    Sample(
        "lightning-fsdp",
        "import lightning as L\nfrom transformers import AutoModelForCausalLM\n"
        'model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B")\nloader = DataLoader(data, batch_size=4)\n'
        'trainer = L.Trainer(devices=8, num_nodes=1, strategy="fsdp", precision="bf16-mixed", '
        "accumulate_grad_batches=2)\n",
        {"model": "qwen2.5-7b", "zero": 3, "b": 4, "m": 2, "precision": "bf16"},
    ),
    Sample(
        "lightning-ddp",
        "from lightning.pytorch import Trainer\nfrom transformers import AutoModelForCausalLM\nblock_size = 1024\n"
        'model = AutoModelForCausalLM.from_pretrained("gpt2-xl")\nloader = DataLoader(x, batch_size=8)\n'
        'Trainer(devices=8, strategy="ddp", accumulate_grad_batches=1, precision="bf16-mixed")\n',
        {"model": "gpt2-xl", "zero": 0, "b": 8, "m": 1},
    ),
    Sample(
        "torchtitan-registry",
        "NGPU=8 MODULE=llama3 CONFIG=llama3_8b\ntorchrun --nproc_per_node=8 -m torchtitan.train --module ${MODULE} "
        "--config ${CONFIG} --parallelism.tensor_parallel_degree 2 --training.max_context_length 4096 "
        "--training.num_tokens_per_microbatch_per_dp_rank 16384 --parallelism.num_pp_microbatches 4\n",
        {"model": "llama3-8b", "tp": 2, "zero": 3, "b": 4, "m": 1, "seq": 4096, "loss": "chunked"},
        gpus="8xH100",
    ),
    Sample(
        "torchtitan-registry-moe",
        "torchrun --nproc_per_node=8 -m torchtitan.train --module qwen3 --config qwen3_30b_a3b "
        "--parallelism.expert_parallel_degree=8 --training.local_batch_size=1\n",
        {"model": "qwen3-30b-a3b", "ep": 8, "zero": 3, "b": 1, "seq": 4096, "recompute": True},
        gpus="8xH100",
    ),
    Sample(
        "bridge-recipe",
        "uv run torchrun --nproc_per_node=8 scripts/training/run_recipe.py --recipe llama3_70b_pretrain_config\n",
        {"model": "llama3-70b", "tp": 4, "pp": 4, "v": 5, "cp": 2, "b": 1, "batch": 512, "seq": 8192, "loss": "fused"},
        gpus="4x8xH100",
    ),
    Sample(
        "bridge-performance-in-a-here-document",
        "worker_command=$(cat <<- EOM\n  cd /opt ;\n  numactl --membind=\\$((LOCAL_RANK/4)) nsys profile \\\n"
        "  python scripts/performance/run_script.py --gpu h100 --model_family_name deepseek \\\n"
        "    --model_recipe_name deepseek_v3 --num_gpus 64 --compute_dtype bf16 --global_batch_size 2048 \\\n"
        "    --tensor_model_parallel_size 1 --pipeline_model_parallel_size 8 --expert_model_parallel_size 8 \\\n"
        "    --virtual_pipeline_model_parallel_size None --recompute_modules mla_up_proj --config_variant v2\n"
        'EOM\n)\necho "$worker_command" > worker.sh\n'
        "torchrun --nproc-per-node=8 --nnodes=8 --no-python bash worker.sh\n",
        {"model": "deepseek-v3", "tp": 1, "pp": 8, "ep": 8, "v": 1, "b": 1, "batch": 2048, "zero": 1},
        gpus="8x8xH100",
    ),
    Sample(
        "bridge-performance-of-other-sizes",
        "torchrun --nproc-per-node=8 --nnodes=4 scripts/performance/run_script.py -m llama --gpu h100 --num_gpus 32 "
        "--model_family_name llama --model_recipe_name llama3_70b --compute_dtype fp8_cs --global_batch_size 64 "
        "--use_megatron_fsdp true --pipeline_model_parallel_size 1 --virtual_pipeline_model_parallel_size None\n",
        {"model": "llama3-70b", "tp": 4, "pp": 1, "v": 1, "b": 1, "batch": 64, "zero": 3, "precision": "fp8-current"},
        gpus="4x8xH100",
    ),
    Sample(
        "bridge-vanilla",
        "torchrun --nproc_per_node=8 scripts/training/run_recipe.py --recipe vanilla_gpt_pretrain_config "
        "model.num_layers=24 model.hidden_size=2048 model.num_attention_heads=16 model.ffn_hidden_size=8192 "
        "tokenizer.vocab_size=32000 dataset.seq_length=2048 train.micro_batch_size=2 train.global_batch_size=64 "
        "ddp.use_distributed_optimizer=true model.tensor_model_parallel_size=2 model.sequence_parallel=true\n",
        {"layers": 24, "tp": 2, "sp": 1, "zero": 1, "b": 2, "batch": 64, "seq": 2048, "vocab": 32000},
        gpus="8xH100",
    ),
    Sample(
        "verl-megatron",
        "torchrun --nproc_per_node=8 -m verl.trainer.sft_trainer engine=megatron optim=megatron "
        "model.path=Qwen/Qwen3-8B data.train_batch_size=64 data.micro_batch_size_per_gpu=1 data.max_length=4096 "
        "data.use_dynamic_bsz=False engine.tensor_model_parallel_size=2 engine.pipeline_model_parallel_size=2\n",
        {"model": "qwen3-8b", "tp": 2, "pp": 2, "sp": 1, "zero": 1, "b": 1, "batch": 64, "seq": 4096},
    ),
    Sample(
        "yaml-anchors",
        "defaults_: &sizes\n  local_batch_size: 2\n  global_batch_size: 32\nstep_scheduler:\n  <<: *sizes\n"
        "  global_batch_size: 64\nmodel:\n  pretrained_model_name_or_path: &name Qwen/Qwen3-8B\n"
        "distributed:\n  strategy: fsdp2\npacked_sequence:\n  packed_sequence_size: 4096\n"
        "dataset:\n  tokenizer: *name\n",
        {"model": "qwen3-8b", "zero": 3, "b": 2, "batch": 64, "seq": 4096},
    ),
    Sample(
        "torchtitan-pipeline",
        "torchrun --nproc_per_node=8 -m torchtitan.train --module llama3 --config llama3_8b "
        "--parallelism.pipeline_parallel_degree 4 --parallelism.num_pp_microbatches 8 "
        "--training.num_tokens_per_microbatch_per_dp_rank 8192 --loss.num_chunks 1 activation-checkpoint:full\n",
        {"model": "llama3-8b", "pp": 4, "zero": 3, "b": 1, "m": 8, "batch": 16, "seq": 8192, "recompute": True},
        gpus="8xH100",
    ),
    Sample(
        "torchtitan-toml",
        '[model]\nname = "llama3"\nflavor = "70B"\n[training]\nlocal_batch_size = 1\nseq_len = 8192\n'
        "enable_cpu_offload = true\n[parallelism]\ntensor_parallel_degree = 8\n[activation_checkpoint]\n"
        'mode = "full"\n',
        {"model": "llama3-70b", "tp": 8, "zero": 3, "b": 1, "seq": 8192, "recompute": True, "offload": "parameters"},
        gpus="4x8xH100",
    ),
    Sample(
        "megatron-offload",
        "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 24 --hidden-size 2048 --num-attention-heads 16 "
        "--seq-length 2048 --max-position-embeddings 2048 --micro-batch-size 4 --global-batch-size 128 --bf16 "
        "--vocab-size 32000 --cpu-offloading-num-layers 22 --cross-entropy-loss-fusion "
        "--cross-entropy-fusion-impl te\n",
        {"layers": 24, "tp": 1, "b": 4, "batch": 128, "offload": "activations", "loss": "fused"},
    ),
    Sample(
        "deepspeed-offload",
        '{"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4, "bf16": {"enabled": true},\n'
        ' "zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}, "offload_optimizer": '
        '{"device": "cpu"}}}\n',
        {"zero": 3, "b": 2, "m": 4, "offload": "parameters"},
        model="llama3-8b",
    ),
    Sample(
        "deepspeed-checkpoints",
        '{"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4, "bf16": {"enabled": true},\n'
        ' "zero_optimization": {"stage": 2}, "activation_checkpointing": {"cpu_checkpointing": true, '
        '"number_checkpoints": 32}}\n',
        {"zero": 2, "b": 2, "offload": "activations", "recompute": True},
        model="llama3-8b",
    ),
    Sample(
        "primus-narrow",
        "modules:\n  pre_trainer:\n    config: pre_trainer.yaml\n    model: llama3.1_70B.yaml\n    overrides:\n"
        "      seq_length: 8192\n      micro_batch_size: 1\n      global_batch_size: 64\n      fp8: hybrid\n"
        "      fp8_recipe: delayed\n      tensor_model_parallel_size: 8\n      sequence_parallel: false\n",
        {"model": "llama3.1-70b", "tp": 8, "sp": 0, "zero": 1, "b": 1, "batch": 64, "precision": "fp8"},
        gpus="2x8xMI300X",
    ),
    Sample(
        "wrapper-arguments",
        "export CUDA_DEVICE_MAX_CONNECTIONS=1\nSEQ=8192 bash inner.sh 4 2 --recompute-activations\n",
        {"layers": 32, "tp": 4, "b": 2, "batch": 64, "seq": 8192, "vocab": 128256},
        files={
            "inner.sh": "TP=$1\nMBS=$2\nshift 2\ntorchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 32 --bf16 "
            "--hidden-size 4096 --num-attention-heads 32 --seq-length ${SEQ:-4096} --max-position-embeddings 8192 "
            "--tensor-model-parallel-size $TP --micro-batch-size $MBS --global-batch-size 64 "
            '--tokenizer-type HuggingFaceTokenizer --tokenizer-model meta-llama/Llama-3.1-8B "$@"\n'
        },
    ),
    Sample(
        "wrapper-sbatch-document",
        "export CUDA_DEVICE_MAX_CONNECTIONS=1\nTP=2\nsbatch <<EOT\n#!/bin/bash\n#SBATCH --nodes=1\n"
        "srun python -u pretrain_gpt.py --tensor-model-parallel-size ${TP} --num-layers 24 --hidden-size 2048 "
        "--num-attention-heads 16 --seq-length 2048 --max-position-embeddings 2048 --micro-batch-size 4 "
        "--global-batch-size 128 --bf16 --vocab-size 32000\nEOT\n",
        {"layers": 24, "tp": 2, "b": 4, "batch": 128},
    ),
    Sample(
        "wrapper-empty-array",
        'export CUDA_DEVICE_MAX_CONNECTIONS=1\nPROFILE=()\nDIST=(--nproc_per_node 8)\n$PREFIX "${PROFILE[@]}" python '
        "-m torch.distributed.run ${DIST[@]} pretrain_gpt.py --num-layers 24 --hidden-size 2048 --bf16 "
        "--num-attention-heads 16 --seq-length 2048 --max-position-embeddings 2048 --micro-batch-size 2 "
        "--global-batch-size 64 --vocab-size 32000\n",
        {"layers": 24, "tp": 1, "b": 2, "batch": 64},
    ),
]
