"""Scripts, flags, TOML and JSON with hostile words in them, through check."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import ask, cases, kept

SCRIPT = """\
#!/bin/bash
#SBATCH --nodes=1
TP=2
if [ "$X" = 1 ]; then B=2; else B=1; fi
ARGS=(--num-layers 48 --hidden-size 1600 --num-attention-heads 20 --seq-length 1024)
torchrun --nproc_per_node 8 pretrain_gpt.py ${ARGS[@]} --micro-batch-size ${B:-1} --bf16 \\
  --max-position-embeddings 1024 --global-batch-size 64 --tensor-model-parallel-size $TP --num-experts 4 \\
  --moe-layer-freq 2 --window-size 128,0 --hierarchical-context-parallel-sizes 2 2
"""
TOML = """\
[model]
name = "llama3"
flavor = "8B"
[training]
seq_len = 4096
local_batch_size = 1
[parallelism]
tensor_parallel_degree = 2
pipeline_parallel_degree = 2
[activation_checkpoint]
mode = "selective"
selective_ac_option = "2"
"""
JSON = """\
{"train_batch_size": 64, "train_micro_batch_size_per_gpu": 2, "zero_optimization": {"stage": 2,
"offload_optimizer": {"device": "cpu", "ratio": 0.5}}, "bf16": {"enabled": true}, "pipeline": {"stages": 2}}
"""
PIECES = (
    *("0", "-1", "1e400", "9" * 20, "9" * 5000, "²", "$X", "${X:-", "$(", "`", '"', "'", "\\\n", "(", ")", "{1..9}"),
    *("[", "]", "{", "}", ",", "=", "\n", "#", "--", "--tp", "<<E", "true", "null", "NaN", "\x00", "é", "\ud800", " "),
)


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> str:
    """The text with up to four words replaced by pieces of syntax, or pieces put between."""
    words = text.replace("\n", " \n ").split(" ")
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(words) - 1))
        words[place : place + draw(st.integers(0, 1))] = [draw(st.sampled_from(PIECES) | st.text(max_size=5))]
    return " ".join(words)


@given(st.sampled_from((SCRIPT, TOML, JSON)).flatmap(spoiled), st.booleans())
@cases(30)
def test_any_script(text: str, on_stdin: bool) -> None:
    """A verdict or one screen."""
    data = text.encode("utf-8", "surrogatepass")
    words = ["-g", "8xA100", "-m", "llama3-8b", "--json", "-q"]
    kept(ask(["check", "-" if on_stdin else "run.sh", *words], {"run.sh": data}, data))
