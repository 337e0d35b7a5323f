"""What no machine and no model has is refused where it is written, with the range."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from planner.catalog.library import open_library
from planner.errors import ProfileError

PROFILES = Path(__file__).parents[2] / "profiles"


def changed(folder: Path, kind: str, name: str, key: str, value: str) -> Path:
    """A packaged profile with one value replaced."""
    text, count = re.subn(
        rf"(?m)(\b{key}: )[^\n,}}]+", rf"\g<1>{value}", (PROFILES / kind / f"{name}.yaml").read_text("utf-8")
    )
    assert count, key
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("kind", "name", "key", "value", "says"),
    [
        (
            "accelerator",
            "h100-sxm5-80gb",
            "bandwidth",
            "0 GB/s",
            "bandwidth: '0 GB/s' is out of range: 1 MB/s to 1 EB/s",
        ),
        ("accelerator", "h100-sxm5-80gb", "memory", "0 GiB", "memory: '0 GiB' is out of range: 1 MB to 1000 TB"),
        ("accelerator", "h100-sxm5-80gb", "bf16", "1e300 FLOP/s", "is out of range: 1 GFLOP/s to 1000 EFLOP/s"),
        ("accelerator", "h100-sxm5-80gb", "gemm_dim", "1.0e+308", "gemm_dim: 1e+308 is out of range: 0 to 1,000,000"),
        ("accelerator", "h100-sxm5-80gb", "attention_backward", "1.0e-300", "1e-300 is out of range: 0.001 to 1.2"),
        ("accelerator", "h100-sxm5-80gb", "attention_backward", ".nan", "attention_backward: "),
        ("accelerator", "h100-sxm5-80gb", "kernel", "-1 us", "finite and not negative"),
        ("link", "nvlink4", "latency", "1e300 s", "latency: '1e300 s' is out of range: 0 s to 60 s"),
        ("link", "nvlink4", "latency", "1e400 s", "finite"),
        ("link", "nvlink4", "efficiency", ".inf", "efficiency: "),
        ("node", "dgx-h100", "count", "1000000000", "1,000,000,000 is out of range: 1 to 1,000,000 accelerators"),
        ("node", "dgx-h100", "network_rate", "0 Gb/s", "network_rate: '0 Gb/s' is out of range"),
        ("framework", "megatron-core", "elementwise", "0", "elementwise: 0 is out of range: 0.01 to 1,000 times"),
        ("framework", "megatron-core", "usable", "1.0e-9", "usable: 1e-09 is out of range"),
        ("engine", "vllm", "most", "1000000000", "most: 1,000,000,000 is out of range: 1 to 1,000,000 requests"),
        ("model", "gpt2-xl", "layers", "32000", "layers: 32,000 is out of range: 1 to 2,000 layers"),
        ("model", "gpt2-xl", "vocab", "1000000000", "vocab: 1,000,000,000 is out of range: 1 to 10,000,000 tokens"),
        ("model", "gpt2-xl", "hidden", f"0x{'f' * 5000}", "hidden: a number of more than 18 digits is out of range"),
        ("model", "gpt2-xl", "layers", "24", r"parameters: 1.56 B stated, but this shape has 8\d\d M"),
        ("model", "mixtral-8x7b", "top_k", "4", r"parameters_active: 12.9 B stated, but this shape has 2\d.\d B"),
    ],
)
def test_out_of_range(tmp_path: Path, kind: str, name: str, key: str, value: str, says: str) -> None:
    """The message names file, line and key, and the range with its unit."""
    path = changed(tmp_path, f"{kind}s", name, key, value)
    with pytest.raises(ProfileError, match=rf"{name}\.yaml:\d+: .*{says.replace('+', '[+]')}"):
        open_library().find(kind, str(path))


def test_nothing_stated_is_nothing_compared(tmp_path: Path) -> None:
    """A shape alone contradicts nothing."""
    path = changed(tmp_path, "models", "gpt2-xl", "layers", "24")
    path.write_text(re.sub("parameters: .*\n", "", path.read_text()))
    assert open_library().model(str(path)).value.layers == 24
