"""Hardware profiles: every file loads, names what exists, and agrees with figures typed here from public pages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.library import open_library
from planner.cost.operators import core_rate, flash_rate, flash_time
from planner.schema.base import Profile
from planner.schema.hardware import Accelerator, Link, Node

PROFILES = Path(__file__).parents[1] / "profiles"
SCHEMAS: dict[str, type[Profile]] = {"accelerators": Accelerator, "links": Link, "nodes": Node}
FILES = {kind: sorted((PROFILES / kind).iterdir()) for kind in SCHEMAS}
LIBRARY = open_library()
EVERY = [(kind, path) for kind, paths in FILES.items() for path in paths]

PLAIN = ("onprem", "generic")
GB = 1e9
GBIT = 1e9 / 8
TERA = 1e12

NODE_GBITS = {
    "p3dn.24xlarge": 100,
    "p4d.24xlarge": 400,
    "p4de.24xlarge": 400,
    "p5.48xlarge": 3200,
    "p5en.48xlarge": 3200,
    "p6-b300.48xlarge": 6400,
    "trn1.32xlarge": 800,
    "trn2.48xlarge": 3200,
    "Standard_ND40rs_v2": 100,
    "Standard_ND96asr_v4": 1600,
    "Standard_ND96isr_H100_v5": 3200,
    "Standard_ND128isr_NDR_GB200_v6": 1600,
    "a2-megagpu-16g": 100,
    "a3-highgpu-8g": 800,
    "a3-megagpu-8g": 1600,
    "a3-ultragpu-8g": 3200,
    "dgx-1-v100": 400,
    "dgx-a100-80gb": 1600,
    "dgx-h100": 3200,
    "dgx-b300": 6400,
    "gh200-4way": 800,
    "BM.GPU.H100.8": 3200,
    "BM.GPU.A100-v2.8": 1600,
    "p6e-gb200.36xlarge": 1600,
    "g4dn.metal": 100,
}
"""Gb/s in all, as providers advertise a node (without the front end)."""

DENSE_TFLOPS = {
    "a100-sxm4-80gb": 312,
    "a100-pcie-80gb": 312,
    "h100-sxm5-80gb": 989,
    "h100-pcie-80gb": 756,
    "h200-sxm-141gb": 989,
    "b200-sxm-180gb": 2250,
    "gb200-nvl72": 2500,
    "l4-24gb": 121,
    "mi250x-128gb": 191.5,
    "mi300x-192gb": 1307,
    "gaudi2-96gb": 432,
    "tpu-v5e": 197,
    "tpu-v5p": 459,
    "trainium2": 667,
    "a800-sxm4-80gb": 312,
    "h800-sxm5-80gb": 989,
    "h20-96gb": 148,
    "l20-48gb": 119.5,
    "l40-48gb": 181,
    "a10-24gb": 125,
    "a30-24gb": 165,
    "a40-48gb": 149.7,
    "rtx-a6000-48gb": 154.8,
    "rtx-3090-24gb": 71,
    "mi300a-128gb": 980.6,
}
"""bf16, never the sparse figure; MI250X per GCD."""

SMALL = {
    "p100-pcie-16gb": (9.3, 15.9),
    "rtx-3060-12gb": (25.5, 11.75),
    "rtx-3060ti-8gb": (32.4, 7.78),
    "rtx-3070-8gb": (40.6, 7.78),
    "rtx-4060ti-16gb": (44.1, 15.6),
    "rtx-5060ti-16gb": (47.5, 15.6),
}
"""Cards below the bounds for all others: their published TFLOP/s and GiB, to which they are held exactly."""

TESTED = {"a100-sxm4-40gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "v100-sxm2-16gb", "v100-sxm2-32gb", "b200-sxm-180gb"}
TESTED |= {"a800-sxm4-80gb"}


def load(kind: str, path: Path) -> Any:
    """The profile in a file, with what it has from the one that it is like."""
    return LIBRARY.read(path, SCHEMAS[kind])


def plain(name: str) -> str:
    """Letters and digits in lower case: two names alike under this may be confused."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


@pytest.fixture(scope="module")
def accelerators() -> dict[str, Accelerator]:
    """Name -> accelerator."""
    return {path.stem: load("accelerators", path) for path in FILES["accelerators"]}


@pytest.fixture(scope="module")
def links() -> dict[str, Link]:
    """Name -> link."""
    return {path.stem: load("links", path) for path in FILES["links"]}


@pytest.fixture(scope="module")
def nodes() -> dict[str, Node]:
    """Name -> node."""
    return {path.stem: load("nodes", path) for path in FILES["nodes"]}


@pytest.mark.parametrize(("kind", "path"), EVERY, ids=[f"{kind}/{path.stem}" for kind, path in EVERY])
def test_file_loads_under_its_own_name(kind: str, path: Path) -> None:
    """The schema accepts the file, and the catalog finds it by its stem."""
    assert path.suffix == ".yaml"
    assert load(kind, path).name == path.stem


@pytest.mark.parametrize("kind", SCHEMAS)
class TestNames:
    """Spellings of one kind."""

    def test_mean_one_profile(self, kind: str) -> None:
        """No spelling belongs to two profiles, and none is listed twice."""
        profiles = [load(kind, path) for path in FILES[kind]]
        counted = Counter(plain(n) for p in profiles for n in (p.name, *p.aliases, *p.default_for))
        assert [name for name, times in counted.items() if times > 1] == []

    def test_lists_stand_on_one_line(self, kind: str) -> None:
        """The catalog reads them without parsing the file."""
        for path in FILES[kind]:
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith(("aliases:", "default_for:")):
                    assert line.endswith("]"), path


def test_there_are_enough(accelerators: dict[str, Accelerator], nodes: dict[str, Node]) -> None:
    """Parts that people rent, and machines by the names under which they rent them."""
    assert len(accelerators) >= 30
    assert sum(node.provider not in PLAIN for node in nodes.values()) >= 30


def test_nodes_name_what_exists(
    accelerators: dict[str, Accelerator], links: dict[str, Link], nodes: dict[str, Node]
) -> None:
    """Accelerator, scale-up link and network; a network joins nodes and nothing else does."""
    for node in nodes.values():
        assert node.accelerator in accelerators, node.name
        if node.scaleup is not None:
            assert isinstance(node.scaleup, str)
            assert links[node.scaleup].kind != "network", node.name
        if node.network is not None:
            assert isinstance(node.network, str)
            assert links[node.network].kind == "network", node.name


def test_single_accelerators_have_no_scaleup(nodes: dict[str, Node]) -> None:
    """There is nothing to join."""
    assert [n.name for n in nodes.values() if n.count == 1 and n.scaleup is not None] == []


def test_every_accelerator_has_its_plain_node(accelerators: dict[str, Accelerator], nodes: dict[str, Node]) -> None:
    """What "8x<accelerator>" means holds that accelerator and is no provider's offer (TPUs and only they have one)."""
    for part in accelerators.values():
        node = nodes[part.node]
        assert node.accelerator == part.name
        assert node.provider in (("gcp",) if part.vendor == "google" else PLAIN), part.name


def test_no_figure_is_out_of_this_world(accelerators: dict[str, Accelerator]) -> None:
    """A slipped unit or a sparse peak shows."""
    for part in accelerators.values():
        rate = part.peak.bf16 or part.peak.fp16
        assert rate is not None, part.name
        if part.name in SMALL:
            assert (rate, part.memory) == pytest.approx((SMALL[part.name][0] * TERA, SMALL[part.name][1] * 2**30))
            continue
        assert 50 * TERA < rate < 20_000 * TERA, part.name
        assert 2**33 < part.memory < 2**40, part.name
        assert 200 * GB < part.bandwidth < 25_000 * GB, part.name
        assert 10 * GB < part.host_rate <= 450 * GB, part.name
        assert rate <= (part.peak.fp8 or rate) <= (4.5 if part.preliminary else 4) * rate, part.name


@pytest.mark.parametrize(("name", "tflops"), DENSE_TFLOPS.items())
def test_peak_is_dense(accelerators: dict[str, Accelerator], name: str, tflops: float) -> None:
    """As datasheets have it without sparsity."""
    assert accelerators[name].peak.bf16 == pytest.approx(tflops * TERA)


def test_old_parts_have_no_bf16(accelerators: dict[str, Accelerator]) -> None:
    """The tensor cores of Volta and Turing know fp16 only, and Pascal has none."""
    old = ("p100", "v100", "t4-", "rtx-2080", "titan-rtx", "quadro-rtx")
    for name, part in accelerators.items():
        assert (part.peak.bf16 is None) == name.startswith(old), name


def test_tested_parts_are_measured(accelerators: dict[str, Accelerator]) -> None:
    """Only parts with published runs behind them claim so."""
    assert {part.name for part in accelerators.values() if part.tested} == TESTED
    assert all(accelerators[name].efficiency.trust == "measured" for name in TESTED)


def test_attention_backward_follows_forward(accelerators: dict[str, Accelerator]) -> None:
    """Backward passes of flash kernels reach 0.78 to 0.87 of the forward share: 846 of 1083 TFLOP/s on MI355X."""
    for part in accelerators.values():
        named = [getattr(part.attention, name) for name in type(part.attention).model_fields]
        pairs = [(part.efficiency.attention, part.efficiency.attention_backward)]
        pairs += [(one.forward, one.backward) for one in named if one is not None]
        assert all(0.78 <= backward / forward <= 0.87 for forward, backward in pairs), part.name


@pytest.mark.parametrize(
    ("kernel", "seq", "tflops"),
    [("flash2", 8192, 333.0), ("flash3", 4096, 579.0), ("flash3", 16384, 616.0), ("cudnn", 8192, 529.0)],
)
def test_hopper_kernels(accelerators: dict[str, Accelerator], kernel: str, seq: int, tflops: float) -> None:
    """Forward rates of the FlashAttention-3 paper (arXiv:2407.08608, figure 5; heads of 128, causal), 0.9 held."""
    part = accelerators["h100-sxm5-80gb"]
    share = flash_rate(part, kernel)
    reached = core_rate(part, "bf16", seq, 128, share.half) * share.forward
    assert reached == pytest.approx(0.9 * tflops * 1e12, rel=0.05)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("h100-sxm5-80gb", (165, 257, 342, 399, 438)),
        ("b200-sxm-180gb", (245, 380, 526, 649, 736)),
        ("b300-sxm-288gb", (278, 459, 659, 843, 969)),
        ("gb200-nvl72", (259, 404, 564, 701, 798)),
        ("gb300-nvl72", (287, 472, 687, 899, 1067)),
    ],
)
def test_heads_of_64(accelerators: dict[str, Accelerator], name: str, tflops: tuple[float, ...]) -> None:
    """Prompts of 1k to 16k, causal, in 16 bit (NVIDIA aiconfigurator, context attention of TensorRT-LLM 1.3)."""
    share, part = flash_rate(accelerators[name], "trtllm"), accelerators[name]
    seqs = [1024 * 2**i for i in range(5)]
    ratios = [core_rate(part, "bf16", s, 64, share.half, share.head) for s in seqs]
    ratios = [rate * share.forward / (figure * 1e12) for rate, figure in zip(ratios, tflops, strict=True)]
    assert sorted(ratios)[2] == pytest.approx(1.0, abs=0.05)
    assert all(0.85 < ratio < 1.17 for ratio in ratios)


@pytest.mark.parametrize("name", ["h200-sxm-141gb"])
def test_exponentials_hold_up_the_forward_pass_alone(accelerators: dict[str, Accelerator], name: str) -> None:
    """cuDNN, 8k, heads of 64 in a window of 1,024 (1,920 keys, 2,142 in whole tiles) beside heads of 128 at 2k: 349 and
    300 TFLOP/s beside 484 and 370 (NVIDIA cudnn-frontend benchmark/sdpa_benchmark_training/results, gpt_oss, llama3.1).
    """
    part = accelerators[name]
    for direction, narrow, wide in (("forward", 349.0, 484.0), ("backward", 300.0, 370.0)):
        times = [flash_time(part, "bf16", 1e15 * d, 2142.0, d, direction, "cudnn") for d in (64, 128)]  # type: ignore[arg-type]
        assert times[1] / times[0] / 2.0 == pytest.approx(narrow * 2142 / 1920 / wide, abs=0.04)


@pytest.mark.parametrize(("name", "gigabytes"), [("a100", 300), ("h100", 450), ("h200", 450), ("b200", 900)])
def test_nvlink_rate_is_one_direction(
    nodes: dict[str, Node], links: dict[str, Link], name: str, gigabytes: int
) -> None:
    """Vendors print 600, 900 and 1800 GB/s: both directions."""
    node = next(node for node in nodes.values() if node.provider == "onprem" and name in node.name)
    assert isinstance(node.scaleup, str)
    assert links[node.scaleup].rate == gigabytes * GB


@pytest.mark.parametrize(
    "name", ["gb200-nvl72-tray", "gb300-nvl72-tray", "vr200-nvl72-tray", "Standard_ND128isr_NDR_GB200_v6"]
)
def test_rack_is_larger_than_its_tray(nodes: dict[str, Node], links: dict[str, Link], name: str) -> None:
    """NVL72 joins 72 accelerators, 4 to a node."""
    node = nodes[name]
    assert isinstance(node.scaleup, str)
    assert (node.count, links[node.scaleup].domain) == (4, 72)


@pytest.mark.parametrize(
    "name", ["mi300x-box", "mi355x-box", "gaudi2-node", "gaudi3-node", "gh200-4way", "mi300a-node", "atlas-800t-a2"]
)
def test_mesh_pairs_add_up(nodes: dict[str, Node], links: dict[str, Link], name: str) -> None:
    """Seven direct links make the full rate of eight."""
    node = nodes[name]
    assert isinstance(node.scaleup, str)
    mesh = links[node.scaleup]
    assert mesh.kind == "mesh"
    assert mesh.pair_rate is not None
    assert mesh.pair_rate * (node.count - 1) == pytest.approx(mesh.rate)


def test_bridges_join_pairs_or_fours(links: dict[str, Link]) -> None:
    """H200 NVL is the only part with a bridge for four."""
    bridges = {link.name: link.domain for link in links.values() if link.kind == "bridge"}
    assert bridges == {"nvlink3-bridge": 2, "nvlink4-bridge": 2, "nvlink4-bridge-4way": 4}


@pytest.mark.parametrize(("name", "gigabits"), NODE_GBITS.items())
def test_network_adds_up_to_the_published_total(nodes: dict[str, Node], name: str, gigabits: int) -> None:
    """`network_rate` is one accelerator's share, in bytes."""
    node = nodes[name]
    assert node.network_rate is not None
    assert node.network_rate * node.count == pytest.approx(gigabits * GBIT)


def test_prices_are_plausible(nodes: dict[str, Node]) -> None:
    """One catalogue writes 700.0 for "no price"; GCP's price VM and accelerator apart."""
    priced = {name: node for name, node in nodes.items() if node.price is not None}
    assert len(priced) >= 15
    for name, node in priced.items():
        assert node.price is not None
        assert node.price.usd_per_hour != 700.0, name
        assert 0.1 < node.price.usd_per_hour / node.count < 500, name
    assert not [name for name in priced if name.startswith(("a2-", "a3-", "a4-"))]


def test_only_parts_of_the_corpus_are_called_measured(accelerators: dict[str, Accelerator]) -> None:
    """What a part has from another one is assumed of it."""
    assert {name for name, part in accelerators.items() if part.efficiency.trust == "measured"} == TESTED


def test_a_network_is_tested_where_runs_used_it(links: dict[str, Link]) -> None:
    """Networks between the nodes of the corpus's dense runs; no other kind of link claims it."""
    tested = {link.name for link in links.values() if link.tested}
    assert tested == {"infiniband-edr", "infiniband-hdr", "infiniband-ndr", "roce", "efa-v2", "efa-playbook"}
