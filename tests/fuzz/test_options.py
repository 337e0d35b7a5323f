"""Options and cluster strings: any words get an answer or one screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import MEMORY, ask, cases, kept, weigh

PARTS = (
    "8",
    "x",
    "@",
    "GbE",
    "100",
    "NDR",
    "A100",
    "H100",
    "V100",
    "2x8x",
    "..",
    ":",
    "-80GB",
    "0",
    "-1",
    "1e9",
    "×",
    " ",
    "*",
    "80GiB",
    "\x00",
)
VALUES = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "8",
    "-1",
    "2..4",
    "..2",
    "1,2",
    "4..2",
    "1e3",
    "99999999999999999999",
    "nan",
    "",
    "é",
    "8%",
)
NAMES = (
    "full",
    "none",
    "lora",
    "block",
    "selective",
    "bf16",
    "fp16",
    "1f1b",
    "interleaved",
    "gpipe",
    "naive",
    "adam-8bit",
    "frozen",
)
PRESETS = (
    "megatron-core",
    "deepspeed",
    "torchtitan",
    "vllm",
    "optimizer",
    "eager",
    "flash",
    "svg",
    "json",
    "tpot",
    "slurm",
)
OPTIONS = (
    *("--tp", "--cp", "--ep", "--pp", "--dp", "--v", "--micro-batch", "--zero", "--sp", "--head", "--recompute-layers"),
    *("--global-batch", "--seq", "--precision", "--attention", "--method", "--lora-rank", "--optimizer", "--offload"),
    *(
        "--framework",
        "--recompute",
        "--schedule",
        "--top",
        "--plan",
        "--profiles",
        "--target",
        "--launcher",
        "--format",
    ),
    *("--width", "--margin", "--weights", "--kv", "--input", "--output", "--concurrency", "--rate", "--ttft", "--tpot"),
    *("--objective", "--tokens", "--days", "--budget", "--compare", "--forward", "--p2p", "--engine", "--set"),
    *("--network", "--images", "--image-size", "--tower"),
)
FLAGS = (
    "--exact",
    "--strict",
    "--json",
    "--quiet",
    "--dry-run",
    "--blocking",
    "--launch",
    "--fork",
    "--help",
    "--debug-",
)
VERBS = ("recommend", "serve", "explain", "launch", "timeline", "size", "compare", "show", "check")
JOBS = (
    ("--model", "gpt2-xl", "--gpus", "8xA100"),
    ("--model", "mixtral-8x7b", "--gpus", "16xH100"),
    ("--model", "llama3-8b", "--gpus", "1xV100"),
    ("--model", "qwen2.5-vl-3b", "--gpus", "8xA100"),
    ("--model", "llama3-8b", "--gpus", "4xH100..16xH100"),
    (),
)

pairs = st.tuples(st.sampled_from(OPTIONS), st.sampled_from((*VALUES, *NAMES, *PRESETS)) | st.text(max_size=5))
options = st.lists(pairs | st.tuples(st.sampled_from(FLAGS)), max_size=4)


@given(st.sampled_from(VERBS), st.sampled_from(JOBS), options)
@cases(60)
def test_any_options(verb: str, job: tuple[str, ...], given_options: list[tuple[str, ...]]) -> None:
    """Options of any verb, with values of any kind."""
    kept(ask([verb, *job, *(word for option in given_options for word in option)]))


@given(
    st.lists(
        st.text(max_size=8) | st.sampled_from((*VERBS, *OPTIONS, *FLAGS, *VALUES, "-", "--", "-m", "-o")), max_size=4
    )
)
@cases(40)
def test_any_words(words: list[str]) -> None:
    """Words that nobody would type."""
    kept(ask([word.replace("/", "_") for word in words]))


@given(st.lists(st.sampled_from(PARTS), max_size=5).map("".join) | st.text(max_size=12))
@cases(30)
def test_any_cluster(gpus: str) -> None:
    """A cluster, or what is wrong with the text."""
    kept(ask(["recommend", "-m", "gpt2-xl", "-q", f"--gpus={gpus}"]))


def test_memory() -> None:
    """The largest cluster that the documentation speaks of stays within its bound."""
    result, peak = weigh(["recommend", "-m", "llama3-405b", "-g", "2048x8xH100", "--json"])
    kept(result)
    assert peak < MEMORY
