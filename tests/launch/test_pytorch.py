"""The PyTorch skeleton: parses everywhere, and runs over gloo where torch is installed.

Without torch the runs are skipped, unless PLANNER_REQUIRE_TORCH=1 (as in CI) makes that a failure.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from planner.launch.program import Setup
from planner.launch.pytorch import TARGET, script, stages
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup

TORCH = find_spec("torch") is not None or os.environ.get("PLANNER_REQUIRE_TORCH") == "1"
needs_torch = pytest.mark.skipif(not TORCH, reason="torch is not installed")


def constants(wanted: Setup) -> dict[str, Any]:
    """The plan's numbers in the script."""
    tree = ast.parse(script(wanted))
    pairs = ((ast.unparse(n.targets[0]), n.value) for n in tree.body if isinstance(n, ast.Assign))
    return {name: ast.literal_eval(value) for name, value in pairs if name.isupper() and _plain(value)}


def _plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Tuple) and all(map(_plain, node.elts)))


def losses(wanted: Setup, tmp_path: Path) -> list[float]:
    """What the script prints when it really runs, one process per rank."""
    (file,) = TARGET.program(wanted).files
    (tmp_path / file.name).write_text(file.text, encoding="utf-8")
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes", "1"]
    done = subprocess.run(
        [*starter, "--nproc-per-node", f"{wanted.job.cluster.gpus}", file.name],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "STEPS": "2", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("step")]


def test_constants() -> None:
    """Interleaved stages in the order of a micro-batch."""
    found = constants(setup(dense(), "8xA100", tp=2, pp=2, v=3, sp=1, zero=3, b=2, recompute_layers=1))
    assert found["SCHEDULE"] == "Interleaved1F1B"
    assert found["LAYERS"] == (2, 2, 2, 2, 2, 2)
    assert (found["PP"], found["DP"], found["TP"]) == (2, 2, 2)
    assert (found["MICRO_BATCH"], found["MICRO_BATCHES"], found["RECOMPUTED"]) == (2, 16, 1)
    assert found["SEQUENCE_PARALLEL"] is True


def test_vee() -> None:
    """Two chunks per rank."""
    found = constants(setup(dense(), "8xA100", pp=2, v=2, schedule="zb-v"))
    assert (found["SCHEDULE"], found["VEE"], found["LAYERS"]) == ("ZBVZeroBubble", True, (3, 3, 3, 3))


@pytest.mark.parametrize("wanted", draw(TARGET, "any"), ids=lambda s: str(s.plan.degrees.values()))
def test_drawn_plans(wanted: Setup) -> None:
    """All layers, all ranks, the whole batch."""
    plan, found = wanted.plan, constants(wanted)
    assert sum(stages(wanted)) == 12
    assert found["PP"] * found["DP"] * found["TP"] == wanted.job.cluster.gpus
    assert found["MICRO_BATCH"] * found["MICRO_BATCHES"] * found["DP"] == 64
    assert len(found["LAYERS"]) == plan.pp * plan.v


@needs_torch
def test_every_layout_trains_alike(tmp_path: Path) -> None:
    """Two stages, four interleaved ones and a batch in one piece lose alike; so do two replicas and two pipelines."""
    model = dense(layers=8)
    plain = losses(setup(model, "1x2xA100", batch=8, pp=2), tmp_path)
    assert len(plain) == 2
    assert plain == losses(setup(model, "1x2xA100", batch=8, pp=2, v=2, recompute_layers=1), tmp_path)
    assert plain == losses(setup(model, "1x2xA100", batch=8, b=8, pp=2, schedule="naive"), tmp_path)
    sharded = losses(setup(model, "1x2xA100", batch=8, zero=2), tmp_path)
    both = losses(setup(model, "1x4xA100", batch=8, pp=2, zero=3, v=2, schedule="zb-v"), tmp_path)
    assert both == pytest.approx(sharded, abs=2e-3)


@needs_torch
@pytest.mark.parametrize(
    "plan",
    [
        {"pp": 2, "tp": 2, "sp": 1},
        {"tp": 2, "zero": 3},
        {"pp": 2, "zero": 3, "v": 2, "b": 2},
    ],
    ids=str,
)
def test_four_processes(plan: dict[str, Any], tmp_path: Path) -> None:
    """Combinations of stages, tensor parallelism and sharding."""
    assert len(losses(setup(dense(layers=8), "1x4xA100", batch=8, **plan), tmp_path)) == 2


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"pp": 2, "schedule": "zb-h2"}, "pytorch_schedule", "not zb-h2"),
        ({"pp": 4, "b": 16}, "pytorch_batches", "m=2"),
        ({"pp": 4, "b": 8, "v": 2, "schedule": "dualpipe-v"}, "pytorch_batches", "2p or more for p=4"),
        ({"pp": 4, "v": 2, "schedule": "zb-v"}, "pytorch_vee", "2*4 has to divide the 12 layers"),
        ({"zero": 1}, "pytorch_zero", "0, 2 or 3, not 1"),
        ({"cp": 2}, "pytorch_context", "cp=2"),
        ({"modules": ("core_attn",), "attention": "unfused"}, "pytorch_recompute", "attention core"),
        ({"precision": "fp16"}, "pytorch_precision", "bf16"),
        ({"optimizer": "adam-8bit"}, "pytorch_optimizer", "adam or adam-bf16"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_experts_stay_whole() -> None:
    """Layer is the user's, but nothing spreads its experts."""
    assert broken(TARGET, setup(dense(moe=EXPERTS), "8xA100", ep=2)) == ["pytorch_experts"]


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")
