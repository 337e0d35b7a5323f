"""planner check, as a user sees it: verdicts, edits, exit codes, bad input."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from planner.launch.program import Setup
from planner.plan import Plan
from planner.questions.train import rank
from planner.report.check import difference
from planner.search import Candidate
from tests.cli.run import Shell
from tests.jobs import job

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "check-1.json"
ASKED = "-m llama3.1-70b -g 4x8xH100 --global-batch 256 -q"


@pytest.fixture
def script(shell: Shell, tmp_path: Path) -> Path:
    """A launch script of Megatron-LM that is legal and fits."""
    path = tmp_path / "run.sh"
    path.write_text(shell(f"launch {ASKED}").out)
    return path


def edited(path: Path, *changes: tuple[str, str]) -> Path:
    """The script with some of its text replaced."""
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    other = path.with_name("edited.sh")
    other.write_text(text)
    return other


def test_a_script_that_runs(shell: Shell, script: Path) -> None:
    """Exit 0; the cluster and the preset come from the line that launch left in it."""
    found = shell(f"check {script}")
    assert found.code == 0
    assert "legal     yes, for Megatron-LM" in found.out
    assert "32 × h100-sxm5-80gb" in found.out and "MFU" in found.out and "best " in found.out


def test_a_script_that_runs_out_of_memory(shell: Shell, script: Path) -> None:
    """Exit 1; on which rank, by how much, what takes most; the fewest edits come first and are Megatron's flags."""
    found = shell(f"check {edited(script, ('--micro-batch-size 1', '--micro-batch-size 4'))}")
    assert found.code == 1
    assert "fits      no, short by" in found.out and "on rank 0, backward, most of it activations" in found.out
    first = found.out.split("change ")[1]
    assert "b 4 -> " in first and "- --micro-batch-size 4" in first


def test_an_illegal_script(shell: Shell, script: Path) -> None:
    """Exit 2; rule, line, numbers, nearest legal values; and what would be legal."""
    found = shell(f"check {edited(script, ('--tensor-model-parallel-size 8', '--tensor-model-parallel-size 3'))}")
    assert found.code == 2
    assert "tp=3 does not divide the 64 attention heads; legal: 1, 2, 4, 8, 16, 32" in found.out
    assert "+ --tensor-model-parallel-size 8" in found.out


def test_no_plan_of_the_job_is_legal(shell: Shell, tmp_path: Path) -> None:
    """140.6 B parameters offloaded take more than the 2 TiB beside eight H100: a verdict, as of any other script."""
    away = {"device": "cpu"}
    stage = {"stage": 3, "offload_optimizer": away, "offload_param": away}
    (tmp_path / "ds.json").write_text(json.dumps({"zero_optimization": stage, "bf16": {"enabled": True}}))
    options = "--model_name_or_path mistralai/Mixtral-8x22B-v0.1 --bf16 True --per_device_train_batch_size 1"
    (tmp_path / "run.sh").write_text(f"deepspeed --num_gpus 8 train.py --deepspeed ds.json {options}\n")
    found = shell(f"check {tmp_path / 'run.sh'} --gpus 8xH100 --json")
    assert found.code == 2
    assert [one["rule"] for one in found.json["problems"]] == ["host_memory"] and found.json["best"] is None


@pytest.mark.parametrize(
    "line",
    [
        "torchrun --nproc_per_node=N --nnodes=N train.py --num-layers N",
        "#SBATCH --nodes=N --gpus-per-node=N",
        "A[N]=3; B=([N]=1 2); echo ${A[-1]} $(( A[N] ))",
        "x=abc; echo ${x:N} ${x:N:N} ${N} $(seq N) $(seq -N N) $((N+1)) {1..N}; shift N",
        "torchrun train.py --num-layers ² --seq-length N",
    ],
)
def test_numbers_beyond_reason(shell: Shell, tmp_path: Path, line: str) -> None:
    """Of more digits than Python turns into a number (sys.int_info), wherever a script may have one."""
    (tmp_path / "run.sh").write_text("#!/bin/bash\n" + line.replace("N", "9" * 5000) + "\n")
    found = shell(f"check {tmp_path / 'run.sh'} --gpus 8xA100 -m llama3-8b -q")
    assert found.code == 2 and found.out == "" and found.err.startswith("error: ")


@pytest.mark.parametrize("name", ["expert", "expert_tensor", "tensor"])
def test_no_degree_is_zero(shell: Shell, tmp_path: Path, name: str) -> None:
    """torchtitan's degrees of experts as any other."""
    words = "-m torchtitan.train --module qwen3 --config qwen3_30b_a3b"
    (tmp_path / "run.sh").write_text(f"torchrun --nproc_per_node=8 {words} --parallelism.{name}_parallel_degree=0\n")
    found = shell(f"check {tmp_path / 'run.sh'} --gpus 8xH100 -q")
    assert found.code == 2 and "below 1" in found.err


def test_gate_for_ci(shell: Shell, script: Path) -> None:
    """--margin keeps memory free, --quiet says nothing on stderr."""
    found = shell(f"check {script} --margin 8% --quiet")
    assert found.code == 1 and found.err == "" and "no with 8% kept free" in found.out


def test_json(shell: Shell, script: Path) -> None:
    """The published schema; the plan's memory and the verdict agree."""
    illegal = edited(script, ("--bf16", "--bf16 --fp16"))
    for path, code in ((script, 0), (illegal, 2)):
        found = shell(f"check {path} --json")
        jsonschema.validate(found.json, json.loads(SCHEMA.read_text()))
        assert found.code == code and found.json["legal"] is (code == 0)
    assert found.json["problems"][0]["rule"] == "one_precision"
    assert found.json["problems"][0]["line"] > 1


def test_what_was_measured(shell: Shell, script: Path) -> None:
    """Outside the band the constants that would explain it, the likeliest first; inside none."""
    predicted = shell(f"check {script} --json").json["plan"]["step_time_s"]
    slow = shell(f"check {script} --measured-step {1.4 * predicted:.2f}s --measured-memory 71GiB")
    assert "+40% on the prediction: outside its band" in slow.out and "71.0 GiB on the fullest rank" in slow.out
    assert "suspect   speed of all kernels at 0.6" in slow.out
    near = shell(f"check {script} --measured-step {1.02 * predicted:.2f}s --json")
    jsonschema.validate(near.json, json.loads(SCHEMA.read_text()))
    assert near.json["measured"]["suspects"] == [] and not near.json["measured"]["outside_band"]
    odd = shell(f"check {script} --measured-step {predicted / 50:.2f}s")
    assert "outside its band" in odd.out and "no constant by itself" in odd.out
    assert "--measured-step 29.4s" in shell(f"check {script} --measured-step soon").err


def test_an_answer_of_the_planner(shell: Shell, tmp_path: Path) -> None:
    """recommend --json | check -"""
    path = tmp_path / "answer.json"
    path.write_text(shell(f"recommend {ASKED} --json").out)
    found = shell(f"check {path}")
    assert found.code == 0 and "yes, for Megatron-LM" in found.out
    assert "none makes it 10 % faster" in found.out
    second = json.loads(path.read_text())["plans"][1]
    assert json.loads(shell(f"check {path} --plan 2 --json").out)["plan"].items() >= {"tp": second["tp"]}.items()
    assert "no number 99" in shell(f"check {path} --plan 99").err


def test_what_a_file_says_itself(shell: Shell, script: Path, tmp_path: Path) -> None:
    """An option beside a file that says otherwise is named as of no effect; one that agrees is not."""
    said = shell("check", str(script), "--gpus", "4x8xH100", "--seq", "1024", "--tp", "1").err
    assert "--seq 1,024 changes nothing: the file says" in said and "--tp 1 changes nothing" in said
    path = tmp_path / "answer.json"
    path.write_text(shell("recommend -m llama3-8b -g 8xH100 --seq 4096 --json -q").out)
    said = shell("check", str(path), "--seq", "4096", "--model", "llama3-70b", "--micro-batch", "512").err
    assert "--micro-batch 512 changes nothing" in said and "--seq" not in said and "of llama3-8b" in said


def test_a_deepspeed_json(shell: Shell, tmp_path: Path) -> None:
    """Model and sequence come from options; a key that DeepSpeed would ignore without a word is named with its line."""
    path = tmp_path / "ds.json"
    path.write_text(
        '{\n "train_batch_size": 64,\n "train_micro_batch_size_per_gpu": 1,\n "zero_optimisation": {"stage": 3},\n'
        ' "zero_optimization": {"stage": 2},\n "bf16": {"enabled": true}\n}\n'
    )
    found = shell(f"check {path} -g 8xA100 -m llama2-7b --seq 4096")
    assert found.code == 2
    assert "line 4: zero_optimisation is no key that DeepSpeed reads" in found.out
    assert "did you mean zero_optimization ?" in found.out and "b=1 ZeRO-2 m=8" in found.out


def test_a_script_with_its_json_beside_it(shell: Shell, tmp_path: Path) -> None:
    """--out writes both; check finds the JSON next to the script."""
    done = shell(f"launch -m llama3-8b -g 8xA100 -f deepspeed --out {tmp_path} -q")
    assert done.code == 0 and sorted(os.listdir(tmp_path)) == ["ds_config.json", "run.sh"]
    found = shell(f"check {tmp_path / 'run.sh'}")
    assert found.code == 0 and "Megatron-DeepSpeed" in found.out


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"echo hello\n", "-g 8xA100", "no training command that can be read"),
        (b"\x80\x81\x00\xff", "-g 8xA100", "no text, or not UTF-8"),
        (b"torchrun pretrain_gpt.py --num-layers 32\n", "", "--gpus is missing"),
        (b"torchrun pretrain_gpt.py --num-layers $N --hidden-size 8\n", "-g 8xA100", "line 1: --num-layers needs N"),
        (b"{", "-g 8xA100", "is no JSON"),
        (b"[training\nx", "-g 8xA100", "no training command"),
        (b"x" * (5 * 2**20), "-g 8xA100", "larger than 4 MiB"),
        (b"", "-g 8xA100", "no training command"),
        (b'{"train_batch_size": "many"}', "-g 8xA100 -m llama2-7b", "wants a whole number"),
        (b'{"train_batch_size": 64}', "-g 8xA100", "does not say which model"),
    ],
)
def test_bad_files(shell: Shell, tmp_path: Path, content: bytes, options: str, says: str) -> None:
    """One screen, exit 2, no traceback."""
    path = tmp_path / "file"
    path.write_bytes(content)
    found = shell(f"check {path} {options}")
    assert found.code == 2 and found.out == ""
    assert says in found.err and "Traceback" not in found.err and len(found.err.splitlines()) <= 25


@pytest.mark.parametrize(
    ("options", "says"),
    [("--margin 80x", "no share"), ("--margin 120%", "no share"), ("--set NODES", "no NAME=VALUE"), ("-g 8xA1", "a1")],
)
def test_bad_options(shell: Shell, script: Path, options: str, says: str) -> None:
    """What, and what would be right."""
    found = shell(f"check {script} {options}")
    assert found.code == 2 and says in found.err


def test_missing_file(shell: Shell) -> None:
    """Its name."""
    assert "nowhere.sh: no such file" in shell("check nowhere.sh -g 8xA100").err


def test_variables_from_outside(shell: Shell, script: Path) -> None:
    """--set gives what the script takes from its environment."""
    path = edited(script, ("--num-layers 80", '--num-layers "$LAYERS"'))
    assert "--set LAYERS=VALUE" in shell(f"check {path}").err
    assert shell(f"check {path} --set LAYERS=80").code == 0


def test_arguments_of_the_script(shell: Shell, script: Path) -> None:
    """--set gives them by number."""
    path = edited(script, ("--num-layers 80", "--num-layers ${1}"))
    assert "--set 1=VALUE" in shell(f"check {path}").err
    assert shell(f"check {path} --set 1=80").code == 0


def test_nothing_is_run(shell: Shell, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one process is started, whatever the script says."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setattr(os, "system", never)
    marker = tmp_path / "marker"
    harmful = f'touch {marker}; X="$(touch {marker})"; eval "touch {marker}"\nset -euo pipefail'
    found = shell(f"check {edited(script, ('set -euo pipefail', harmful))}")
    assert found.code == 0 and not marker.exists()


def test_why_it_ran_out(shell: Shell, script: Path) -> None:
    """Explanations that take more than there is, and plans that take less than the script's."""
    found = shell(f"check {script} --oom")
    assert "why " in found.out
    answer = shell(f"check {script} --oom --json").json
    jsonschema.validate(answer, json.loads(SCHEMA.read_text()))
    measured, need = answer["measured"], answer["plan"]["memory_bytes"]["total"]
    assert measured["ran_out_of_memory"]
    assert all(one["peak_bytes"] > answer["usable_memory_bytes"] for one in measured["memory_causes"])
    assert all(one["plan"]["memory_bytes"]["total"] < need for one in answer["changes"])


def test_why_it_takes_more(shell: Shell, script: Path) -> None:
    """Outside the band of the peak the nearest explanations; inside none."""
    peak = shell(f"check {script} --json").json["plan"]["memory_bytes"]["total"]
    near, far = (
        shell(f"check {script} --measured-memory {factor * peak / 2**30}GiB --json").json for factor in (1.01, 1.4)
    )
    assert near["measured"]["memory_causes"] == [] and far["measured"]["memory_causes"]


def test_strictly_tight_is_a_failure(shell: Shell, script: Path) -> None:
    """The exit code of a gate: 1 where the limit lies inside the band."""
    plan = shell(f"check {script} --json").json["plan"]
    assert plan["verdict"] == "tight"
    assert (shell(f"check {script}").code, shell(f"check {script} --strict-fit").code) == (0, 1)


def test_edits_are_of_what_the_script_has(shell: Shell, tmp_path: Path) -> None:
    """What goes stands in the script, by its name there; what does not stand there is added."""
    script = tmp_path / "run.sh"
    layers = (
        "--num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096 --max-position-embeddings 4096"
    )
    switches = "--bf16 --use-flash-attn --recompute-activations --tokenizer-type NullTokenizer --vocab-size 32000"
    script.write_text(
        f"export CUDA_DEVICE_MAX_CONNECTIONS=1\ntorchrun --nproc_per_node 8 pretrain_gpt.py {layers} {switches} "
        "--tensor-model-parallel-size 4 --micro-batch-size 8 --global-batch-size 64\n"
    )
    found = shell(f"check {script} --gpus 8xA100 --json").json
    lines = [line for change in found["changes"] for line in change["edits"]]
    text = script.read_text()
    assert lines and all(line.split()[1] in text for line in lines if line.startswith("-"))
    assert not any(line.split()[1] in text for line in lines if line.startswith("add"))


def test_a_change_says_all_that_differs() -> None:
    """Policies of a whole batch, too: a change of nothing else had no words."""
    one = Plan(tp=2, ep=4, dp=8, schedule="interleaved", v=2, pp=2)
    of = job("mixtral-8x7b", "4x8xH100", seq=4096, batch=64)
    other = rank(of, Candidate(replace(one, dispatcher="deepep", overlap=True), 0.0, 0.0))
    said = difference(one, other.plan, Setup(of, one), other)
    assert said == "dispatcher alltoall -> deepep, expert traffic not overlapped -> overlapped"


@pytest.mark.parametrize("optimizer", ["adam", "adam-bf16-moments", "adam-fp8-moments"])
def test_a_script_trains_with_the_states_that_its_plan_has(shell: Shell, tmp_path: Path, optimizer: str) -> None:
    """Moments that Megatron's options put into the recipe are those that the job line names."""
    asked = ("-m", "llama3-8b", "-g", "8xH100", "--optimizer", optimizer, "-q")
    script = tmp_path / "run.sh"
    script.write_text(shell("launch", *asked).out, encoding="utf-8")
    trained = shell("recommend", *asked).out.splitlines()[0].rpartition(" · ")[2]
    assert shell("check", str(script), "-g", "8xH100", "-q").out.splitlines()[1] == f"job       {trained}"
