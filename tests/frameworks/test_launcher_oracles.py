"""Launchers accept what is good and refuse what is bad."""

from __future__ import annotations

from shlex import split

import pytest

from tests.frameworks.launchers import (
    accelerate_accepts,
    bash_accepts,
    dstack_accepts,
    skypilot_accepts,
    torchrun_accepts,
    trainjob_accepts,
)
from tests.frameworks.verdict import Verdict

NODES = """
compute_environment: LOCAL_MACHINE
mixed_precision: bf16
num_machines: 2
num_processes: 16
machine_rank: 0
main_process_ip: host0
main_process_port: 29500
"""
FSDP = f"""{NODES}
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_reshard_after_forward: true
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_activation_checkpointing: true
"""
SIZES = """
parallelism_config:
  parallelism_config_dp_replicate_size: 2
  parallelism_config_dp_shard_size: 4
  parallelism_config_tp_size: 2
"""
MEGATRON = f"""{NODES}
distributed_type: MEGATRON_LM
megatron_lm_config:
  megatron_lm_tp_degree: 4
  megatron_lm_pp_degree: 2
  megatron_lm_num_micro_batches: 8
  megatron_lm_use_distributed_optimizer: true
"""
DEEPSPEED = f"""{NODES.replace("mixed_precision: bf16", "")}
distributed_type: DEEPSPEED
deepspeed_config:
  deepspeed_config_file: deepspeed.json
  deepspeed_multinode_launcher: standard
  zero3_init_flag: false
"""
TRAINJOB = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: job, namespace: default}
spec:
  runtimeRef: {name: torch-distributed}
  trainer:
    image: image
    command: [torchrun, train.py]
    numNodes: 2
    numProcPerNode: 8
    env: [{name: CUDA_DEVICE_MAX_CONNECTIONS, value: "1"}]
    resourcesPerNode: {limits: {nvidia.com/gpu: "8"}}
"""
SKYPILOT = """
name: job
resources: {accelerators: "H100:8", network_tier: best}
num_nodes: 2
envs: {CUDA_DEVICE_MAX_CONNECTIONS: 1}
run: torchrun train.py
"""
DSTACK = """
type: task
name: job
nodes: 2
image: image
env: [CUDA_DEVICE_MAX_CONNECTIONS=1]
commands: [torchrun train.py]
resources: {gpu: "H100:80GB:8", shm_size: 64GB}
"""


def refused(verdict: Verdict, said: str) -> bool:
    """With the verdict in the failure's message."""
    assert verdict.refused(said), verdict
    return True


def test_torchrun() -> None:
    """Static rendezvous; its own options end where the script begins."""
    words = split("torchrun --nnodes 2 --nproc-per-node 8 --node-rank 1 --master-addr host0 --master-port 29500")
    verdict = torchrun_accepts([*words, "train.py", "--lr", "1"])
    assert verdict.ok, verdict.error
    assert (verdict.args["nnodes"], verdict.args["training_script_args"]) == ("2", ["--lr", "1"])
    assert refused(torchrun_accepts([*words, "--no-such-option", "train.py"]), "unrecognized")
    assert refused(torchrun_accepts([*words, "--nnodes", "2:1", "train.py"]), "min_nodes")
    assert refused(torchrun_accepts([*words, "--nproc-per-node", "many", "train.py"]), "nproc_per_node")


@pytest.mark.parametrize("text", [FSDP, FSDP + SIZES, MEGATRON, f"{NODES}distributed_type: MULTI_GPU"])
def test_a_good_file_for_accelerate(text: str) -> None:
    """Down to the plugins."""
    verdict = accelerate_accepts(text)
    assert verdict.ok, verdict.error
    assert verdict.args["num_processes"] == 16


def test_what_accelerate_reads() -> None:
    """Values as its plugins hold them."""
    assert accelerate_accepts(FSDP + SIZES).config["parallelism"]["tp"] == 2
    read = accelerate_accepts(MEGATRON).config["megatron"]
    assert (read["tp_degree"], read["pp_degree"], read["num_micro_batches"]) == (4, 2, 8)
    assert accelerate_accepts(FSDP, ["--machine_rank", "1"]).args["machine_rank"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{FSDP}no_such_key: 1", "unknown keys"),
        (f"{FSDP}  fsdp_no_such_key: 1", "silently ignored: fsdp_config.fsdp_no_such_key"),
        (f"{MEGATRON}  megatron_lm_no_such_key: 1", "silently ignored"),
        (FSDP.replace("forward: true", "forward: FULL_SHARD"), "truth value"),
        (FSDP + SIZES.replace("shard_size: 4", "shard_size: 3"), "does not match num_processes (16)"),
        (FSDP + SIZES.replace("shard_size: 4", "shard_size: 0"), "at least 1"),
        (FSDP.replace("version: 2", "version: 1") + SIZES, "version 2"),
        (NODES + "distributed_type: NONE_SUCH", "NONE_SUCH"),
    ],
)
def test_a_bad_file_for_accelerate(text: str, said: str) -> None:
    """A key without an option is refused too."""
    assert refused(accelerate_accepts(text), said)


def test_deepspeed_through_accelerate() -> None:
    """It opens the file that its own names, wants a section on ZeRO there, and wants no precision beside it."""
    file = '{"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 2}}'
    verdict = accelerate_accepts(DEEPSPEED, files={"deepspeed.json": file})
    assert verdict.ok, verdict.error
    assert refused(accelerate_accepts(DEEPSPEED, files={"deepspeed.json": "{}"}), "ZeRO")
    precise = f"{DEEPSPEED}mixed_precision: bf16"
    assert refused(accelerate_accepts(precise, files={"deepspeed.json": file}), "will be ignored")


def test_trainjob() -> None:
    """Types are checked; a key that gets lost is refused, and so are variables that belong to the controller."""
    assert trainjob_accepts(TRAINJOB).ok, trainjob_accepts(TRAINJOB).error
    assert refused(trainjob_accepts(TRAINJOB.replace("numNodes: 2", "numNodes: two")), "numNodes")
    assert refused(trainjob_accepts(TRAINJOB.replace("numNodes", "nodes")), "silently ignored: spec.trainer.nodes")
    assert refused(trainjob_accepts(TRAINJOB.replace("CUDA_DEVICE_MAX_CONNECTIONS", "PET_NNODES")), "reserved")
    assert refused(trainjob_accepts(TRAINJOB.replace("kind: TrainJob", "kind: PyTorchJob")), "not a TrainJob")


def test_skypilot() -> None:
    """Unknown keys and wrong types."""
    assert skypilot_accepts(SKYPILOT).ok, skypilot_accepts(SKYPILOT).error
    assert refused(skypilot_accepts(f"{SKYPILOT}no_such_key: 1"), "no_such_key")
    assert refused(skypilot_accepts(SKYPILOT.replace("accelerators", "accelerator")), "accelerator")
    assert refused(skypilot_accepts(SKYPILOT.replace("num_nodes: 2", "num_nodes: two")), "num_nodes")


def test_dstack() -> None:
    """Unknown keys and wrong values."""
    assert dstack_accepts(DSTACK).ok, dstack_accepts(DSTACK).error
    assert refused(dstack_accepts(f"{DSTACK}no_such_key: 1"), "no_such_key")
    assert refused(dstack_accepts(DSTACK.replace("nodes: 2", "nodes: 0")), "nodes")
    assert refused(dstack_accepts(DSTACK.replace("80GB", "80 apples")), "gpu")


def test_bash() -> None:
    """Syntax only."""
    assert bash_accepts("for i in 1 2; do echo $i; done").ok
    assert refused(bash_accepts("for i in 1 2; do echo $i"), "unexpected end")
