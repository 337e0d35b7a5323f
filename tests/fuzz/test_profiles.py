"""Profiles with values that no machine and no model has: a refusal that names the file, or an answer without a NaN."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import ask, cases, kept

PROFILES = Path(__file__).parents[2] / "profiles"
READ = ("accelerators/h100-sxm5-80gb", "nodes/dgx-h100", "links/nvlink4", "links/infiniband-ndr")
TRAINING = (*READ, "frameworks/megatron-core", "models/gpt2-xl", "models/mixtral-8x7b", "models/gemma3-1b")
SERVING = (*READ, "engines/vllm", "models/llama3-8b", "models/deepseek-v2-lite")

NUMBERS = ("0", "-1", "1", "2", "1e-300", "1e308", ".nan", ".inf", "0.001", "1000000", "1000000000", "0x" + "f" * 40)
UNITS = ("B", "TB", "GB/s", "EB/s", "s", "ns", "FLOP/s", "EFLOP/s", "W", "T", "B/s", "GiB")
PLAIN = ("null", "true", "[]", "{}", "''", "{a: 1}", "[1, 2]", "h100", "&a 1", "!!float 1", "1:30:00", "2001-01-01")
EDGES = ("60 s", "1 MB/s", "1 EB/s", "1 GFLOP/s", "1000 EFLOP/s", "1000 TB", "1 MB", "1.2", "0.01", "1000.0")
VALUE = st.one_of(
    st.builds("{} {}".format, st.sampled_from(NUMBERS), st.sampled_from(UNITS)),
    st.sampled_from((*NUMBERS, *PLAIN, *EDGES)),
    st.floats(allow_nan=True).map(str),
    st.text(max_size=10),
)


@st.composite
def changed(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, str]:
    """One to three profiles, each with the value of a key or two replaced, by path in a folder of profiles."""
    found = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        text = (PROFILES / f"{name}.yaml").read_text(encoding="utf-8")
        places = list(re.finditer(r"(?<=: )[^\n,}]+|(?<=: )\{[^\n]+", text))
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=2, unique=True)):
            text = text.replace(f": {place[0]}", f": {draw(VALUE)}", 1)
        found[f"mine/{name}.yaml"] = text
    return found


@given(changed(TRAINING), st.sampled_from(("recommend", "explain")), st.sampled_from(TRAINING[5:]))
@cases(15)
def test_training(files: dict[str, str], verb: str, model: str) -> None:
    """recommend and explain."""
    kept(ask([verb, "-m", model[7:], "-g", "2x8xH100", "--profiles", "mine", "-q", "--json"], files))


@given(changed(SERVING), st.sampled_from(SERVING[5:]))
@cases(15)
def test_serving(files: dict[str, str], model: str) -> None:
    """serve."""
    kept(ask(["serve", "-m", model[7:], "-g", "8xH100", "--profiles", "mine", "-q", "--json"], files))


@given(st.text(max_size=60) | st.binary(max_size=60) | st.text("[]{}:&*!|>-? \n'\"#a,", max_size=60))
@cases(12)
def test_no_yaml(content: str | bytes) -> None:
    """Any bytes as a model or a cluster."""
    files = {"mine.yaml": content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content}
    kept(ask(["recommend", "-m", "mine.yaml", "-g", "8xH100", "-q"], files))
    kept(ask(["recommend", "-m", "gpt2-xl", "-g", "mine.yaml", "-q"], files))
