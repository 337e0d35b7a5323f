"""Training logs and tables of measurements that a disk, an editor or an enemy has been at."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import ask, cases, kept

LOG = """\
  hidden_size ..................................... 1600
  num_layers ...................................... 48
  num_attention_heads ............................. 25
  seq_length ...................................... 1024
  padded_vocab_size ............................... 50304
  world_size ...................................... 8
  tensor_model_parallel_size ...................... 1
  micro_batch_size ................................ 4
  global_batch_size ............................... 64
  recompute_granularity ........................... None
  recompute_num_layers ............................ 2
 iteration 10/ 100 | elapsed time per iteration (ms): 745.3 | global batch size:    64 | lm loss: 1.0
 iteration 20/ 100 | elapsed time per iteration (ms): 740.1 | global batch size:    64 | lm loss: 1.0
[Rank 0] (after 10 iterations) memory (MB) | allocated: 100.5 | max allocated: 30000.2 | max reserved: 31000.0
step: 10  loss: 7.1  memory: 45.20GiB(47.57%)  tps: 7,520
epoch=0/micro_step=10/CurrSamplesPerSec=12.5, MemAllocated=30.1GB, MaxMemAllocated=30.1GB
"""
ROWS = """\
id,model,gpu,n_gpus,tp,pp,dp,micro_batch,seq_len,global_batch,recompute,metric,value
a-1,gpt2-xl,A100-80GB,8,1,1,8,4,1024,64,none,iter_seconds,0.74
a-2,gpt2-xl,A100-80GB,8,2,1,4,4,1024,64,full,tokens_per_sec_per_gpu,9000
a-3,gpt2-xl,A100-80GB,8,2,1,4,4,1024,64,full,peak_mem_gb,30
"""
HOSTILE = (
    "nan",
    "1e-320",
    "1e400",
    "-1",
    "0",
    "nan",
    "inf",
    "1" * 400,
    "²",
    "1,,0",
    "",
    "x",
    "\x00",
    '"',
    ",",
    "é",
    "1e-320",
    "1e9",
    "\x1b[31m",
)


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> bytes:
    """The text with up to four of its numbers or characters replaced."""
    for _ in range(draw(st.integers(0, 4))):
        words = [word for word in text.replace(",", " ").split(" ") if any(c.isdigit() for c in word)]
        old = draw(st.sampled_from(words or ["a"])).strip()
        text = text.replace(old, draw(st.sampled_from(HOSTILE)), draw(st.sampled_from((1, -1))))
    cut = draw(st.integers(0, 8 * len(text)))
    return text[:cut].encode()


@given(spoiled(LOG))
@cases(12)
def test_calibrate_log(content: bytes) -> None:
    """calibrate on a log."""
    words = ["calibrate", "run.log", "-g", "8xA100", "-q", "--json", "--recompute", "none", "--micro-batch", "4"]
    kept(ask([*words, "--seq", "1024", "--global-batch", "64", "-m", "gpt2-xl"], {"run.log": content}))


@given(spoiled(ROWS), st.sampled_from(("validate", "calibrate")))
@cases(12)
def test_tables(content: bytes, verb: str) -> None:
    """validate and calibrate on a CSV file."""
    kept(ask([verb, "rows.csv", "--json"], {"rows.csv": content}))


@given(st.sampled_from(HOSTILE), st.sampled_from(("0.74", "9000", "30")), st.sampled_from(("validate", "calibrate")))
@cases(24)
def test_values_of_tables(hostile: str, value: str, verb: str) -> None:
    """One measured value that no run has."""
    content = ROWS.replace(f",{value}\n", f",{hostile}\n")
    kept(ask([verb, "rows.csv", "--json"], {"rows.csv": content}))
