"""Options by the frameworks' names, lengths as people write them, the batch by tokens or accumulation."""

from __future__ import annotations

import pytest

from planner.cli.app import app
from planner.cli.commands import HOMES, register
from planner.errors import PlannerError, UnitError
from planner.questions.option_names import ELSEWHERE, OURS, SWITCHES, THEIRS, ours_of
from planner.units import tokens
from tests.cli.run import Shell


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--tensor-model-parallel-size 2", "--tp 2"),
        ("--tensor_parallel_size=2", "--tp=2"),
        ("--parallelism.pipeline_parallel_degree 4", "--pp 4"),
        ("--training.seq_len 32k", "--seq 32k"),
        ("--per_device_train_batch_size 1", "--micro-batch 1"),
        ("--zero_stage 3 --gradient_checkpointing True --bf16", "--zero 3 --recompute full --precision bf16"),
        ("--gradient_checkpointing false --use_peft=false", ""),
        ("--num-virtual-stages-per-pipeline-rank 2", "--v 2"),
        ("--kv-cache-dtype fp8 --request-rate 4 --input-len 2k", "--kv fp8 --rate 4 --input 2k"),
        ("--tp 2 -m x -- --tensor-model-parallel-size", "--tp 2 -m x -- --tensor-model-parallel-size"),
    ],
)
def test_words(typed: str, meant: str) -> None:
    """Any spelling; values and what is behind "--" stay."""
    assert ours_of(typed.split()) == meant.split()


def test_names_are_told_apart() -> None:
    """No name means two things, none hides an option of ours, and every target is one."""
    names = [name for group in OURS.values() for name in group.split()]
    assert len(names) == len(set(names)) == len(THEIRS)
    assert not {*names} & {*SWITCHES} and not {*names, *SWITCHES} & {*ELSEWHERE}
    register(app, [])
    import typer

    commands = typer.main.get_group(app).commands
    options = {word[2:] for name in ("recommend", "serve") for one in commands[name].params for word in one.opts}
    assert {*OURS, *(option for option, _ in SWITCHES.values())} <= options
    register(app, [])
    every = {w[2:] for c in typer.main.get_group(app).commands.values() for p in c.params for w in p.opts}
    assert len(HOMES) > 1 and not {*names, *SWITCHES, *ELSEWHERE} & every


@pytest.mark.parametrize(
    ("text", "count"), [("4096", 4096), ("32k", 32768), ("1M", 2**20), ("1.5k", 1536), ("131,072", 131072)]
)
def test_lengths(text: str, count: int) -> None:
    """Powers of two, as context lengths are."""
    assert tokens(text) == count


@pytest.mark.parametrize("text", ["", "k", "3x", "1.0001k", "1e3", "9" * 20, "32 k b"])
def test_no_lengths(text: str) -> None:
    """Refused with an example."""
    with pytest.raises(UnitError, match="tokens"):
        tokens(text)


def test_of_a_job(shell: Shell) -> None:
    """The answer is that of our own names."""
    ours = "recommend -m llama3.1-8b -g 8xH100 --tp 2 --global-batch 64 --seq 32768 --micro-batch 1 --json -q"
    theirs = (
        "recommend -m llama3.1-8b -g 8xH100 --tensor-model-parallel-size 2 --global-batch-size 64 --seq-length 32k "
        "--micro-batch-size 1 --json -q"
    )
    one, other = shell(ours).json, shell(theirs).json
    assert other["inputs"]["workload"]["seq"] == 32768
    assert other["plans"] == one["plans"]


@pytest.mark.parametrize(
    ("options", "batch"),
    [
        ("--batch-tokens 4M --seq 8k", 512),
        ("--batch-tokens 1M --seq 4k", 256),
        ("--per-device-train-batch-size 2 --gradient-accumulation-steps 4", 64),
        ("--gradient-accumulation-steps 4 --tp 2 --pp 2", 8),
    ],
)
def test_batch(shell: Shell, options: str, batch: int) -> None:
    """Said otherwise."""
    found = shell(f"recommend -m llama3.1-8b -g 8xH100 --json -q {options}").json
    assert found["inputs"]["workload"]["global_batch"] == batch


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--batch-tokens 1k --seq 4k", "less than one sequence"),
        ("--batch-tokens 4M --global-batch 8", "both say the batch"),
        ("--num-layers-per-virtual-pipeline-stage 2", "--v counts chunks"),
        ("--seq 3x", "--seq"),
    ],
)
def test_mistakes(shell: Shell, options: str, says: str) -> None:
    """One screen, exit code 2."""
    found = shell(f"recommend -m llama3.1-8b -g 8xH100 {options}")
    assert found.code == 2 and says in found.err


def test_no_single_option() -> None:
    """What to write instead is said."""
    for name in ELSEWHERE:
        with pytest.raises(PlannerError):
            ours_of([f"--{name}", "2"])
