"""What `serve` says of 44 questions: models of every family on many clusters, under each engine."""

from __future__ import annotations

from typing import Any

from planner.plan import Plan
from planner.questions.serve import answer, ask_serve
from planner.serving.options import Option, per_gpu

THREE = ("vllm", "sglang", "tensorrt-llm")

CHAT = {"input": 1024, "output": 1024}
SHARED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("llama3.1-70b", "8xH100", {"input": 4000, "output": 500, "tpot": "30ms", "ttft": "1s"}),
    ("llama3.1-8b", "4xL40S", {"input": 1024, "output": 256}),
    ("llama3.1-8b", "1xH100", {"input": 1024, "output": 256}),
    ("deepseek-r1", "8xH200", {"weights": "fp8", "kv": "fp8", "users": 64, **CHAT}),
    ("gpt-oss-120b", "8xH100", CHAT),
    ("qwen3-235b-a22b", "8xH200", {"weights": "fp8", "tpot": "20ms", **CHAT}),
    ("mixtral-8x7b", "8xA100", {"input": 1000, "output": 500}),
    ("gemma3-27b", "8xH100", {"input": 8000, "output": 500}),
)
"""Asked of three engines."""

ALONE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("qwen3-32b", "8xH200", {"weights": "fp8", "input": 4000, "output": 500, "tpot": "10ms", "ttft": "300ms"}),
    ("qwen3-30b-a3b", "4xH100", {"input": 1000, "output": 500}),
    ("deepseek-v3", "4x8xH200", {"weights": "fp8", "input": 4000, "output": 500, "tpot": "30ms", "ttft": "2s"}),
    ("deepseek-v3", "8xB200", {"weights": "nvfp4", "kv": "fp8", "engine": "tensorrt-llm", **CHAT}),
    ("llama3.1-405b-fp8", "8xH100", {"input": 1000, "output": 100}),
    ("llama3.1-405b", "4x8xH200", {"weights": "fp8", "input": 4000, "output": 1000, "tpot": "50ms"}),
    ("llama3.1-405b", "2x8xH100", {"weights": "fp8", "input": 1000, "output": 500, "rate": "1"}),
    ("llama2-70b", "4xA100-40GB", {"engine": "vllm-2024", "input": 1920, "output": 128}),
    ("gpt3-175b", "8xA100", {"engine": "fastertransformer", "input": 512, "output": 32, "objective": "latency"}),
    ("gpt-oss-20b", "1xH100", CHAT),
    ("gpt-oss-120b", "2xA100", {"input": 1000, "output": 500, "users": 1}),
    ("gemma2-27b", "2xH100", {"input": 2000, "output": 500}),
    ("mistral-7b", "1xA100", {"input": 16000, "output": 500}),
    ("qwen2.5-72b", "8xMI300X", {"input": 4000, "output": 500}),
    ("llama3.3-70b", "8xrtx-pro-6000-server", {"engine": "tensorrt-llm", "weights": "nvfp4", "kv": "fp8", **CHAT}),
    ("kimi-k2", "16xH200", {"weights": "fp8", "input": 2000, "output": 500}),
    ("llama4-maverick", "8xH200", {"weights": "fp8", "input": 1000, "output": 1000}),
    ("nemotron-3-nano-30b-a3b", "2xH100", {"input": 4000, "output": 500}),
    ("glm-4.5", "8xH200", {"weights": "fp8", "input": 2000, "output": 500}),
    ("llama3.1-8b", "8xH100", {"input": 1000, "output": 200, "rate": "20", "objective": "fewest"}),
)

QUESTIONS = [(m, g, {"engine": engine, **kw}) for engine in THREE for m, g, kw in SHARED]
QUESTIONS += [(m, g, kw) for m, g, kw in ALONE]


def deployment(option: Option, output: int) -> dict[str, float]:
    """One of the ranking, by part."""
    plan: Plan = option.plan
    parts = {f"step.{name}": part for name, part in option.step.parts.items()}
    parts |= {f"memory.{name}": part for name, part in option.memory.parts.items()}
    parts |= {name: getattr(plan, name) for name in ("tp", "ep", "pp", "dp")}
    parts |= {"ttft": option.ttft, "tpot": option.tpot, "users": option.users, "most": option.most}
    parts |= {"tokens": option.kv_tokens, "yield": per_gpu(option, output)}
    return {name: float(value) for name, value in parts.items()}


def said(model: str, gpus: str, asked: dict[str, Any]) -> list[dict[str, float]]:
    """The first three deployments of a question."""
    found = answer(ask_serve(model, gpus, **asked))
    return [deployment(o, found.question.job.workload.output) for o in found.choice.ranked[:3]]


def record() -> list[dict[str, Any]]:
    """Every question with its answer."""
    return [{"model": m, "gpus": g, "asked": kw, "said": said(m, g, kw)} for m, g, kw in QUESTIONS]
