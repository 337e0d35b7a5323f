"""Flags of vLLM, SGLang and TensorRT-LLM: golden lines, names against the versions' lists, refusals, the script."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from random import Random
from shlex import split
from typing import Any

import numpy as np
import pytest
import yaml

from planner.errors import PlannerError
from planner.launch.engines import ENGINES, find_engine
from planner.launch.engines.deployment import Deployment
from planner.launch.engines.script import BENCH, SERVE, again, files, model_line, notes_of, text
from planner.launch.engines.target import ServingTarget, Shell
from planner.launch.program import Flag
from planner.plan import Plan
from planner.questions.serve import ServeQuestion, answer, ask_serve
from planner.read.options import listed_options
from planner.serving.job import at_batch
from planner.serving.options import evaluate

CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("llama3.1-70b", "8xH100", {"input": 4000, "output": 500, "ttft": "1s", "tpot": "30ms"}),
    ("llama3.1-8b", "2x8xH100", {"rate": "40", "prefix": 100}),
    ("llama3.1-405b", "4x8xH100", {"weights": "fp8", "kv": "fp8"}),
    ("mixtral-8x7b", "2x8xH200", {"users": 300}),
    ("deepseek-v3", "4x8xH200", {"weights": "fp8"}),
    ("gpt3-175b", "8xA100", {"batch": 8, "weights": "int4"}),
    ("qwen2.5-vl-7b", "8xH100", {"images": 2, "image_size": 448}),
)
"""Models, clusters and questions from which deployments are drawn."""


@cache
def question(number: int, engine: str) -> ServeQuestion:
    model, gpus, asked = CASES[number]
    return ask_serve(model, gpus, engine=engine, **asked)


@cache
def drawn(engine: str) -> tuple[Deployment, ...]:
    """Deployments of the searches' own rankings, runnable or not."""
    found: list[Deployment] = []
    for number in range(len(CASES)):
        asked = question(number, engine)
        every = [Deployment(asked.job, option, asked.together) for option in answer(asked).choice.ranked]
        found += Random(number).sample(every, min(12, len(every)))
    return tuple(found)


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("vllm", "--dataset-name random-mm --random-input-len 1024"),
        ("sglang", "--dataset-name image --image-count 2 --image-resolution 448x448 --random-input-len 1024"),
        ("tensorrt-llm", "--dataset-name random_image --random-num-images 2"),
    ],
)
def test_benchmarks_send_images(engine: str, says: str) -> None:
    """To the chat interface, beside text of the prompt's other tokens; vLLM leaves room for them alone."""
    one = next(d for d in drawn(engine) if d.job.workload.images)
    script = " ".join(text(ENGINES[engine], one).replace("\\\n", "").split())
    assert says in script and "chat" in script and "--random-input-len 1024" in script
    room = """--limit-mm-per-prompt '{"image": {"count": 2, "width": 448, "height": 448}, "video": 0}'"""
    assert (room in script) is (engine == "vllm")
    assert "--images 2 --image-size 448" in script


def runnable(engine: str) -> list[Deployment]:
    return [d for d in drawn(engine) if ENGINES[engine].broken(d) is None]


def one(model: str, gpus: str, engine: str, load: float = 8.0, **rest: Any) -> Deployment:
    """A deployment of one layout, whether a search would choose it or not."""
    degrees = {name: int(rest.pop(name, 1)) for name in ("tp", "ep", "pp", "dp")}
    asked = ask_serve(model, gpus, engine=engine, **rest)
    plan = at_batch(Plan(**{name: np.float64(value) for name, value in degrees.items()}), load)
    return Deployment(asked.job, evaluate(asked.job, plan))


def lines(flags: tuple[Flag, ...]) -> list[str]:
    return [" ".join(flag) for flag in flags]


def values(flags: tuple[Flag, ...]) -> dict[str, str]:
    return {flag[0]: flag[1] for flag in flags if len(flag) == 2}


def test_vllm_golden() -> None:
    """Every value is the plan's: layout, formats, length with room for special tokens, users, chunk, memory."""
    d = one("llama3.1-70b", "8xH100", "vllm", 32.0, tp=4, dp=2, input=4000, output=500, weights="fp8", kv="fp8")
    assert lines(ENGINES["vllm"].server(d).flags) == [
        "--tensor-parallel-size 4",
        "--pipeline-parallel-size 1",
        "--dtype bfloat16",
        "--quantization fp8",
        "--kv-cache-dtype fp8",
        "--max-model-len 4544",
        "--max-num-seqs 32",
        "--max-num-batched-tokens 8192",
        "--gpu-memory-utilization 0.92",
    ]


def test_vllm_experts_golden() -> None:
    """ep over 2 nodes with tp inside: copies of the attention are vLLM's data parallel ranks, each with its share.

    The published weights are fp8 already: none are made.
    """
    d = one("deepseek-v3", "2x8xH200", "vllm", 256.0, tp=2, ep=16, weights="fp8")
    assert lines(ENGINES["vllm"].server(d).flags) == [
        "--tensor-parallel-size 2",
        "--pipeline-parallel-size 1",
        "--data-parallel-size 8",
        "--enable-expert-parallel",
        "--dtype bfloat16",
        "--kv-cache-dtype auto",
        "--max-model-len 1344",
        "--max-num-seqs 32",
        "--max-num-batched-tokens 8192",
        "--gpu-memory-utilization 0.92",
        "--distributed-executor-backend mp",
        "--nnodes 2",
        '--node-rank "$NODE_RANK"',
        '--master-addr "$MASTER_ADDR"',
        '"${headless[@]}"',
    ]


def test_sglang_golden() -> None:
    """tp is the width of a stage; chunk and running requests count all copies."""
    d = one("deepseek-v3", "2x8xH200", "sglang", 256.0, tp=2, ep=16, weights="fp8", kv="fp8")
    assert lines(ENGINES["sglang"].server(d).flags) == [
        '--model-path "$MODEL"',
        "--tp-size 16",
        "--pp-size 1",
        "--ep-size 16",
        "--attn-dp-size 8",
        "--dtype bfloat16",
        "--kv-cache-dtype fp8_e4m3",
        "--context-length 1344",
        "--max-running-requests 256",
        "--cuda-graph-max-bs-decode 32",
        "--chunked-prefill-size 65536",
        "--mem-fraction-static 0.75",
        "--nnodes 2",
        '--node-rank "$NODE_RANK"',
        '--dist-init-addr "$MASTER_ADDR:20000"',
    ]


def test_tensorrt_llm_golden() -> None:
    """Batch and tokens of one micro-batch and one rank; the YAML holds what has no option."""
    d = one("deepseek-v3", "4x8xH200", "tensorrt-llm", 512.0, ep=16, pp=2, weights="fp8", kv="fp8")
    server = ENGINES["tensorrt-llm"].server(d)
    assert server.command[:4] == ("srun", "--mpi=pmix", "--nodes=4", "--ntasks-per-node=8")
    assert lines(server.flags) == [
        "--backend pytorch",
        "--tp_size 16",
        "--pp_size 2",
        "--ep_size 16",
        "--gpus_per_node 8",
        "--max_batch_size 16",
        "--max_num_tokens 8192",
        "--max_seq_len 1344",
        "--kv_cache_free_gpu_memory_fraction 0.95",
        "--config trtllm.yaml",
    ]
    assert yaml.safe_load(server.files[0].text) == {
        "dtype": "bfloat16",
        "enable_attention_dp": True,
        "enable_chunked_prefill": True,
        "cuda_graph_config": {"max_batch_size": 16, "enable_padding": True},
        "kv_cache_config": {"dtype": "fp8", "free_gpu_memory_fraction": 0.95},
    }


def test_benchmark_golden() -> None:
    """Half, all and twice the users of one replica; lengths, the cached prefix and the service levels."""
    asked: dict[str, Any] = {"input": 4000, "output": 500, "prefix": 1000, "ttft": "1s", "tpot": "30ms"}
    d = one("llama3.1-70b", "8xH100", "vllm", 32.0, tp=4, dp=2, **asked)
    assert lines(ENGINES["vllm"].bench(d).flags) == [
        '--model "$MODEL"',
        "--backend vllm",
        '--host "$HOST"',
        '--port "$PORT"',
        "--dataset-name random",
        "--random-prefix-len 1000",
        "--random-input-len 3000",
        "--random-output-len 500",
        "--ignore-eos",
        '--seed "$seed"',
        "--num-prompts $((PER_USER * users))",
        '--max-concurrency "$users"',
        "--request-rate inf",
        "--goodput ttft:1000 tpot:30",
        "--percentile-metrics ttft,tpot,itl,e2el",
        "--metric-percentiles 50,99",
    ]
    assert d.loads == (16, 32, 64)


def test_poisson_benchmark() -> None:
    """Each replica gets its share of the rate, and 20 % less and more; no limit on the users."""
    d = one("llama3.1-70b", "8xH100", "sglang", rate="4", tp=4, dp=2)
    flags = values(ENGINES["sglang"].bench(d).flags)
    assert d.rates == (1.6, 2.0, 2.4) and flags["--request-rate"] == '"$rate"'
    assert "--max-concurrency" not in flags and flags["--num-prompts"] == "288"
    assert d.users < d.seats, "arrivals vary"


@pytest.mark.parametrize("name", ENGINES)
class TestEngine:
    """Properties of every engine over drawn deployments."""

    def test_names_are_known(self, name: str) -> None:
        """Every option is one of the version's, with as many values as it takes."""
        target = ENGINES[name]
        for d in runnable(name):
            assert_known(f"{name}-serve", target.server(d).flags)
            assert_known(f"{name}-bench", target.bench(d).flags)

    def test_ranks(self, name: str) -> None:
        """The engine's own degrees multiply to the replica's accelerators, and divide evenly over its nodes."""
        names = {
            "vllm": ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"),
            "sglang": ("--tp-size", "--pp-size"),
            "tensorrt-llm": ("--tp_size", "--pp_size"),
        }[name]
        for d in runnable(name):
            flags = values(ENGINES[name].server(d).flags)
            ranks = np.prod([int(flags.get(degree, 1)) for degree in names])
            assert ranks == d.gpus and ranks % d.nodes == 0
            assert d.gpus * d.plan.dp <= d.job.cluster.gpus and d.job.model.heads % d.plan.tp == 0

    def test_room(self, name: str) -> None:
        """A step holds a token of every request, a sequence holds a request, seats hold the plan's users."""
        for d in runnable(name):
            assert d.chunk_per_copy >= d.seats_per_copy >= 1
            assert min(d.job.workload.length, d.job.model.context) <= d.length <= d.job.model.context
            assert d.seats_per_copy * d.copies >= min(d.users, int(d.option.most))
            assert d.loads == tuple(sorted(set(d.loads))) and d.users in d.loads

    def test_script(self, name: str, tmp_path: Path) -> None:
        """The same bytes each time, valid bash, no line with an option and another one."""
        for d in runnable(name)[::7]:
            script = text(ENGINES[name], d)
            assert script == text(ENGINES[name], d) and "None" not in script
            (tmp_path / "x.sh").write_text(script)
            assert subprocess.run(["bash", "-n", str(tmp_path / "x.sh")], capture_output=True).stderr == b""
            written = {file.name: file.text for file in files(ENGINES[name], d)}
            assert {SERVE, BENCH} <= written.keys()
            body = [line.strip() for line in (written[SERVE] + written[BENCH]).splitlines() if not line.startswith("#")]
            assert all(line.count("--") <= 1 for line in body if line.startswith("--"))

    def test_the_question_in_the_header_gives_the_same_flags(self, name: str) -> None:
        """It pins the layout and the load."""
        for d in runnable(name)[::9]:
            words = split(again(d).removeprefix("asked: planner serve ").removesuffix(" --launch"))
            asked: dict[str, Any] = dict(zip([w[2:].replace("-", "_") for w in words[::2]], words[1::2], strict=True))
            for count in {"input", "output", "prefix", "images", "image_size", "users", "batch"} & asked.keys():
                asked[count] = int(asked[count])
            found = ask_serve(asked.pop("model"), asked.pop("gpus"), **asked)
            best = answer(found).choice.ranked[0]
            assert ENGINES[name].server(Deployment(found.job, best, found.together)).flags == (
                ENGINES[name].server(d).flags
            )


def assert_known(name: str, flags: tuple[Flag, ...]) -> None:
    """Names and numbers of values as in the lists beside this file."""
    known = listed_options((Path(__file__).parent / "options" / f"{name}.txt").read_text(encoding="utf-8"))
    for flag, *given in flags:
        if not isinstance(flag, Shell):
            assert flag in known, (name, flag)
            assert known[flag] in ("+", "*", str(len(given))), (name, flag, given)


@pytest.mark.parametrize(
    ("model", "gpus", "engine", "degrees", "rule"),
    [
        ("mixtral-8x7b", "8xH100", "vllm", {"tp": 8, "ep": 4}, "vllm_experts"),
        ("mixtral-8x7b", "8xH100", "tensorrt-llm", {"tp": 2, "ep": 8}, "tensorrt_llm_attention"),
        ("llama3.1-70b", "8xMI300X", "tensorrt-llm", {"tp": 8}, "built_for"),
        ("llama3.1-70b", "8xA100", "vllm", {"tp": 8, "kv": "fp8"}, "kv_format"),
        ("llama3.1-8b", "2xV100-32GB", "vllm", {"tp": 2}, "built_for"),
        ("llama3.1-8b", "4xT4", "vllm", {"tp": 4}, None),
        ("llama3.1-8b", "4xT4", "sglang", {"tp": 4}, "built_for"),
        ("llama3.1-8b", "4xT4", "tensorrt-llm", {"tp": 4}, "built_for"),
        ("llama3.1-70b", "2x8xH100", "sglang", {"tp": 1, "pp": 11}, "even_nodes"),
        ("llama3.1-70b", "2x8xH100", "vllm", {"tp": 1, "pp": 5, "dp": 3}, "whole_nodes"),
        ("deepseek-v3", "3x8xH200", "vllm", {"ep": 8, "pp": 3}, "vllm_copies"),
        ("deepseek-v3", "2x8xH200", "vllm", {"ep": 4, "pp": 4}, None),
        ("llama3.1-70b", "8xH100", "vllm", {"tp": 8}, None),
        ("mixtral-8x7b", "8xH100", "sglang", {"tp": 2, "ep": 8}, None),
        ("mixtral-8x7b", "8xH100", "sglang", {"tp": 8, "ep": 4}, None),
        ("mixtral-8x7b", "8xH100", "vllm", {"tp": 2, "ep": 8}, None),
        ("mixtral-8x7b", "8xH100", "tensorrt-llm", {"tp": 8, "ep": 4}, None),
    ],
)
def test_refusals(model: str, gpus: str, engine: str, degrees: dict[str, Any], rule: str | None) -> None:
    """What an engine cannot run has a name, a sentence with its numbers, a way out and a source."""
    broken = ENGINES[engine].broken(d := one(model, gpus, engine, **degrees))
    assert (broken.name if broken else None) == rule
    if broken is not None:
        assert broken.says(d) and broken.nearest(d) and broken.source


def test_presets_without_an_engine() -> None:
    """Old generations, and engines of no name, have no flags."""
    with pytest.raises(PlannerError, match="nothing is written for the preset static"):
        find_engine(ask_serve("llama2-7b", "8xA100", engine="static").job.engine)


@pytest.mark.parametrize(
    ("model", "engine", "weights", "line"),
    [
        ("llama3.1-8b", "vllm", "bf16", 'MODEL="${MODEL:-meta-llama/Llama-3.1-8B}"'),
        ("llama3.1-8b", "vllm", "fp8", 'MODEL="${MODEL:-meta-llama/Llama-3.1-8B}"'),
        ("llama3.1-8b", "vllm", "int4", 'MODEL="${MODEL:?a checkpoint of meta-llama/Llama-3.1-8B in int4}"'),
        ("llama3.1-8b", "tensorrt-llm", "fp8", 'MODEL="${MODEL:?a checkpoint of meta-llama/Llama-3.1-8B in fp8}"'),
        ("gpt3-175b", "vllm", "bf16", 'MODEL="${MODEL:?path or Hugging Face name of gpt3-175b}"'),
        ("gpt3-175b", "sglang", "int8", 'MODEL="${MODEL:?path or Hugging Face name of gpt3-175b, in int8}"'),
    ],
)
def test_model(model: str, engine: str, weights: str, line: str) -> None:
    """The published checkpoint where it will do; else a placeholder that stops the script."""
    d = one(model, "8xH100", engine, tp=8, weights=weights)
    assert model_line(ENGINES[engine], d) == line and notes_of(ENGINES[engine], d)


def test_int8_products_are_named_to_sglang() -> None:
    """vLLM reads them from the checkpoint; both need one that is in int8 already (SGLang's quantization.md)."""
    for engine, named in (("vllm", False), ("sglang", True)):
        d = one("llama3.1-8b", "8xA100", engine, tp=8, weights="w8a8")
        assert (("--quantization", "w8a8_int8") in ENGINES[engine].server(d).flags) == named
        assert "in w8a8" in model_line(ENGINES[engine], d)


def run(target: ServingTarget, d: Deployment, words: str, tmp_path: Path, **variables: str) -> list[str]:
    """Commands that the script runs, by stand-ins that print their words and devices."""
    for name in ("vllm", "python", "trtllm-serve", "srun"):
        stand_in = tmp_path / name
        stand_in.write_text('#!/bin/bash\necho "${CUDA_VISIBLE_DEVICES-}|$(basename "$0") $*"\n')
        stand_in.chmod(0o755)
    (tmp_path / "x.sh").write_text(text(target, d))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", **variables}
    done = subprocess.run(
        ["bash", "x.sh", *words.split()], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_replicas_of_a_node(tmp_path: Path) -> None:
    """Each has accelerators and a port of its own; words behind the script's name go to all."""
    started = run(ENGINES["vllm"], one("llama3.1-8b", "8xH100", "vllm", tp=2, dp=4), "serve --seed 1", tmp_path)
    assert [line.split("|")[0] for line in started] == ["0,1", "2,3", "4,5", "6,7"]
    assert [line.split("--port ")[1] for line in started] == [f"{8000 + n} --seed 1" for n in range(4)]


def test_nodes_of_a_replica(tmp_path: Path) -> None:
    """All but the first run without a front end; a node has to know its number."""
    d = one("llama3.1-405b", "2x8xH100", "vllm", tp=8, pp=2)
    for rank, headless in (("0", False), ("1", True)):
        (line,) = run(ENGINES["vllm"], d, "serve", tmp_path, NODE_RANK=rank, MASTER_ADDR="a")
        assert f"--node-rank {rank} --master-addr a" in line and ("--headless" in line) == headless


def test_runs_of_the_benchmark(tmp_path: Path) -> None:
    """One per load."""
    d = one("llama3.1-8b", "8xH100", "sglang", 32.0, tp=2, dp=4)
    started = run(ENGINES["sglang"], d, "bench", tmp_path)
    assert sorted(int(line.split("--max-concurrency ")[1].split()[0]) for line in started) == [16, 32, 64]
    assert "--num-prompts 256 --max-concurrency 32" in " ".join(started)
    seeds = {line.split("--seed ")[1].split()[0] for line in started}
    assert len(seeds) == 3, "equal prompts would be cached"
    assert started == run(ENGINES["sglang"], d, "bench", tmp_path, SEED=str(min(map(int, seeds)) - 1))
