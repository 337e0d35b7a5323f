"""From "16x8xH100" to a cluster, and from everything else to one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner.catalog.clusters import MOST, cluster_spec, find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import Library, open_library
from planner.errors import AmbiguousName, PlannerError, ProfileError, UnknownName
from planner.schema.hardware import Cluster

ACCELERATOR = """\
name: {name}
aliases: [{aliases}]
default_for: [{default_for}]
vendor: NVIDIA
form_factor: SXM
memory: 80 GiB
bandwidth: 2039 GB/s
peak: {{bf16: 312 TFLOP/s}}
host_rate: 25 GB/s
efficiency: {{gemm: 0.8, gemm_dim: 100, attention: 0.5, attention_backward: 0.4, memory: 0.9, kernel: 4 us,
  trust: assumed, source: a test}}
node: {node}
source: a test
"""
NODE = """\
name: {name}
aliases: [{aliases}]
provider: test
accelerator: {accelerator}
count: {count}
{links}
source: a test
"""
LINK = """\
name: {name}
kind: {kind}
rate: 300 GB/s
efficiency: 0.8
latency: 10 us
hop_latency: 1 us
trust: assumed
source: a test
{extra}
"""
JOINED = "scaleup: nvlink\nnetwork: ib\nnetwork_rate: 200 Gb/s"


def write(root: Path, folder: str, name: str, template: str, **values: object) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    defaults = {"aliases": "", "default_for": "", "links": JOINED, "extra": ""}
    (root / folder / f"{name}.yaml").write_text(template.format(**(defaults | {"name": name} | values)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("profiles")
    for size in (40, 80):
        write(
            root,
            "accelerators",
            f"a100-sxm4-{size}gb",
            ACCELERATOR,
            aliases=f"a100-{size}gb",
            default_for="a100" if size == 80 else "",
            node="dgx-a100",
        )
    write(root, "accelerators", "h100-sxm5-80gb", ACCELERATOR, aliases="h100", node="dgx-h100")
    write(root, "accelerators", "gb200-nvl72", ACCELERATOR, node="gb200-tray")
    write(root, "accelerators", "mi300x", ACCELERATOR, node="mi300x-box")
    write(root, "accelerators", "lonely", ACCELERATOR, node="workstation")
    write(root, "accelerators", "homeless", ACCELERATOR, node="no-such-node")
    write(root, "nodes", "dgx-a100", NODE, accelerator="a100-sxm4-80gb", count=8)
    write(root, "nodes", "hgx-a100-16x", NODE, accelerator="a100-sxm4-80gb", count=16)
    write(root, "nodes", "dgx-h100", NODE, accelerator="h100-sxm5-80gb", count=8)
    write(root, "nodes", "p5.48xlarge", NODE, accelerator="h100-sxm5-80gb", count=8)
    write(root, "nodes", "gpu_8x_h100", NODE, accelerator="h100-sxm5-80gb", count=8, links="scaleup: nvlink")
    write(root, "nodes", "2x4-odd", NODE, accelerator="h100-sxm5-80gb", count=4)
    tray = JOINED.replace("nvlink", "nvl72")
    write(root, "nodes", "gb200-tray", NODE, accelerator="gb200-nvl72", count=4, links=tray)
    write(root, "nodes", "mi300x-box", NODE, accelerator="mi300x", count=8)
    write(root, "nodes", "workstation", NODE, accelerator="lonely", count=1, links="")
    write(root, "links", "nvlink", LINK, kind="switch")
    write(root, "links", "nvl72", LINK, kind="switch", extra="domain: 72")
    write(root, "links", "ib", LINK, kind="network")
    return root


@pytest.fixture(scope="module")
def library(root: Path) -> Library:
    return Library((root,))


def shape(cluster: Cluster) -> tuple[str, str, int, int]:
    return cluster.accelerator.name, cluster.node.name, cluster.nodes, cluster.used


A100, H100 = "a100-sxm4-80gb", "h100-sxm5-80gb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8xA100-80GB", (A100, "dgx-a100", 1, 8)),
        ("8XA100-80GB", (A100, "dgx-a100", 1, 8)),
        (" 8 x a100-80gb ", (A100, "dgx-a100", 1, 8)),
        ("8×a100-80gb", (A100, "dgx-a100", 1, 8)),
        ("4xH100", (H100, "dgx-h100", 1, 4)),
        ("1xH100", (H100, "dgx-h100", 1, 1)),
        ("16x8xH100", (H100, "dgx-h100", 16, 8)),
        ("2048x8xH100", (H100, "dgx-h100", 2048, 8)),
        ("2x4xH100", (H100, "dgx-h100", 2, 4)),
        ("A100-80GB:8", (A100, "dgx-a100", 1, 8)),
        ("A100:80GB:8", (A100, "dgx-a100", 1, 8)),
        ("A100:40GB:8", ("a100-sxm4-40gb", "dgx-a100", 1, 8)),
        ("H100:80GB:8", (H100, "dgx-h100", 1, 8)),
        ("H100 : 8", (H100, "dgx-h100", 1, 8)),
        ("p5.48xlarge", (H100, "p5.48xlarge", 1, 8)),
        ("4xp5.48xlarge", (H100, "p5.48xlarge", 4, 8)),
        ("4xP5.48XLARGE", (H100, "p5.48xlarge", 4, 8)),
        ("p5.48xlarge:16", (H100, "p5.48xlarge", 2, 8)),
        ("DGX-H100", (H100, "dgx-h100", 1, 8)),
        ("2xdgx-h100", (H100, "dgx-h100", 2, 8)),
        ("2x4xdgx-h100", (H100, "dgx-h100", 2, 4)),
        ("3xhgx-a100-16x", (A100, "hgx-a100-16x", 3, 16)),
        ("gpu_8x_h100", (H100, "gpu_8x_h100", 1, 8)),
        ("2x4-odd", (H100, "2x4-odd", 1, 4)),
        ("3x2x4-odd", (H100, "2x4-odd", 3, 4)),
        ("8xMI300X", ("mi300x", "mi300x-box", 1, 8)),
        ("MI300X:8", ("mi300x", "mi300x-box", 1, 8)),
        ("gb200-nvl72:72", ("gb200-nvl72", "gb200-tray", 18, 4)),
        ("1xlonely", ("lonely", "workstation", 1, 1)),
        ("08xH100", (H100, "dgx-h100", 1, 8)),
    ],
)
def test_every_spelling_of_the_grammar(library: Library, text: str, expected: tuple[str, str, int, int]) -> None:
    assert shape(find_cluster(text, library).value) == expected


def test_assumptions_are_said(library: Library) -> None:
    found = find_cluster("64xA100", library)
    assert found.value.nodes == 8
    assert found.assumptions == (
        '"A100" means a100-sxm4-80gb here; also: a100-sxm4-40gb',
        "64xA100: 8 nodes of 8 (dgx-a100)",
    )
    assert find_cluster("8x8xH100", library).assumptions == ()


def test_a_name_of_both_kinds_is_read_as_nodes_and_said(tmp_path: Path, root: Path) -> None:
    write(tmp_path, "nodes", "gb200-nvl72", NODE, accelerator="gb200-nvl72", count=72)
    found = find_cluster("2xgb200-nvl72", Library((tmp_path, root)))
    assert found.value.gpus == 144
    said = '"gb200-nvl72" is a node and an accelerator: 2 nodes; write gb200-nvl72:2 for 2 accelerators'
    assert found.assumptions == (said,)
    assert find_cluster("gb200-nvl72:2", Library((tmp_path, root))).value.gpus == 2


def test_an_accelerator_goes_before_the_default_name_of_a_node(tmp_path: Path, root: Path) -> None:
    node = NODE.replace("provider", "default_for: [h100]\nprovider")
    write(tmp_path, "nodes", "cloud-h100", node, accelerator="h100-sxm5-80gb", count=8)
    assert shape(find_cluster("8xh100", Library((tmp_path, root))).value) == (H100, "dgx-h100", 1, 8)


def test_strict_refuses_an_ambiguous_device(root: Path) -> None:
    with pytest.raises(AmbiguousName):
        find_cluster("8xA100", Library((root,), strict=True))


def test_links_are_resolved_and_the_network_has_the_rate_of_the_node(library: Library) -> None:
    cluster = find_cluster("2x8xH100", library).value
    assert cluster.scaleup is not None and cluster.network is not None
    assert (cluster.scaleup.name, cluster.scaleup.rate) == ("nvlink", 300e9)
    assert (cluster.network.name, cluster.network.rate) == ("ib", 25e9)
    assert find_cluster("gb200-nvl72:72", library).value.domain == 72
    alone = find_cluster("1xlonely", library).value
    assert (alone.scaleup, alone.network, alone.domain) == (None, None, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12xA100-80GB", "12 accelerators do not fill nodes of 8"),
        ("2x16xH100", "a node has 8 of these"),
        ("0xH100", '"0" is not a positive whole number'),
        ("-8xH100", '"-8" is not a positive whole number'),
        ("1.5xH100", '"1.5" is not a positive whole number'),
        ("1e3xH100", '"1e3" is not a positive whole number'),
        ("8x0xH100", '"0" is not a positive whole number'),
        ("٣xH100", "no accelerator or node is called|positive whole number"),
        ("H100:0", '"0" is not a positive whole number'),
        ("H100:-1", '"-1" is not a positive whole number'),
        ("H100:many", '"many" is not a positive whole number'),
        ("A100:80GB", '"80GB" is not a positive whole number'),
        ("1" + "0" * 30 + "xH100", "at most 10,000,000 accelerators"),
        ("9" * 6000 + "xH100", "at most 10,000,000 accelerators"),
        ("0" * 6000 + "8xH1000", "called"),
        ("10000000x8xH100", "at most 10,000,000 accelerators"),
        ("10000000xdgx-h100", "at most 10,000,000 accelerators"),
        ("H100", "says no number of accelerators"),
        ("", "says no number of accelerators"),
        (":8", "no accelerator or node is called"),
        ("8x", "no accelerator or node is called"),
        ("8xZ9000", 'no accelerator or node is called "Z9000"'),
        ("A100:24GB:8", 'no accelerator or node is called "A100-24GB"'),
        ("H100:x:8", "no accelerator or node is called"),
        ("2xgpu_8x_h100", "gpu_8x_h100 has no network: 2 of them cannot be joined"),
        ("2xlonely", "workstation has no network"),
        ("8xhomeless", 'no node is called "no-such-node"'),
        ("cluster.yaml", "cluster.yaml: no such file"),
        ("/", "/: is a directory"),
    ],
)
def test_everything_else_is_one_clear_error(library: Library, text: str, message: str) -> None:
    with pytest.raises(PlannerError, match=message) as caught:
        find_cluster(text, library)
    assert len(str(caught.value)) < 200


def test_a_count_that_fills_no_nodes_shows_two_that_do(library: Library) -> None:
    with pytest.raises(PlannerError) as caught:
        find_cluster("12xH100", library)
    assert caught.value.hint == ("1x8xH100   8 accelerators", "2x8xH100   16 accelerators")
    for line in caught.value.hint:
        find_cluster(line.split()[0], library)


def test_more_than_a_node_has_names_the_nodes_that_have_it(library: Library) -> None:
    with pytest.raises(PlannerError) as caught:
        find_cluster("2x16xA100-80GB", library)
    assert caught.value.hint == ("nodes with 16: hgx-a100-16x",)
    with pytest.raises(PlannerError) as caught:
        find_cluster("2x9xA100-80GB", library)
    assert caught.value.hint == ("at most 2x8xA100-80GB",)


def test_suggestions_come_from_accelerators_and_nodes(library: Library) -> None:
    with pytest.raises(UnknownName) as caught:
        find_cluster("4xp5.48xlrge", library)
    assert "p5.48xlarge" in caught.value.hint[0]
    with pytest.raises(UnknownName) as caught:
        find_cluster("8xh1000", library)
    assert "h100-sxm5-80gb" in caught.value.hint[0]
    assert any("planner show accelerators" in line for line in caught.value.hint)
    assert any("planner show nodes" in line for line in caught.value.hint)


# nodes of another size


def test_a_plain_node_of_the_size_that_is_asked_for(tmp_path: Path, root: Path) -> None:
    quad = NODE.replace("provider: test", "provider: generic")
    write(tmp_path, "nodes", "lonely-quad", quad, accelerator="lonely", count=4)
    found = find_cluster("16x4xlonely", Library((tmp_path, root)))
    assert shape(found.value) == ("lonely", "lonely-quad", 16, 4)
    assert found.assumptions == ("16x4xlonely: nodes of 4 are lonely-quad; workstation has 1",)


@pytest.mark.parametrize(("text", "nodes"), [("32x8xGB200-NVL72", 64), ("2x72xGB200-NVL72", 36)])
def test_trays_that_one_domain_joins(library: Library, text: str, nodes: int) -> None:
    found = find_cluster(text, library)
    assert shape(found.value) == ("gb200-nvl72", "gb200-tray", nodes, 4)
    assert "which nvl72 joins up to 72" in found.assumptions[-1]


@pytest.mark.parametrize("text", ["2x6xGB200-NVL72", "2x76xGB200-NVL72"])
def test_trays_are_whole_and_inside_the_domain(library: Library, text: str) -> None:
    with pytest.raises(PlannerError, match="a node has 4 of these"):
        find_cluster(text, library)


# another network

GBIT = 1e9 / 8


@pytest.mark.parametrize(
    ("network", "name", "gigabits"),
    [
        ("ib", "ib", 2400),
        ("eth", "ethernet", 12.5),
        ("100GbE", "ethernet", 12.5),
        ("8x100GbE", "ethernet", 100),
        ("2 x 400 Gbps", "ethernet", 100),
        ("4xib", "ib", 1200),
        ("ib-200G", "ib", 200),
        ("200Gb/s ib", "ib", 200),
        ("1xib:400gbit", "ib", 50),
    ],
)
def test_a_network_is_shared_by_the_accelerators_of_a_node(
    with_ethernet: Library, network: str, name: str, gigabits: float
) -> None:
    """The ports of a node, at their rate, over its eight accelerators."""
    plain, found = (find_cluster(f"4x8xH100{at}", with_ethernet) for at in ("", f"@{network}"))
    assert found.value.network is not None
    assert (found.value.network.name, found.value.network.rate) == (name, pytest.approx(gigabits * GBIT))
    assert found.value.model_copy(update={"network": plain.value.network, "fabric": None}) == plain.value
    assert any(said.startswith(f"--network {network}: ") for said in found.assumptions)
    again = find_cluster(cluster_spec(found.value), with_ethernet)
    assert again.value == found.value


@pytest.fixture(scope="module")
def with_ethernet(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """ "ethernet", of which a node has one port."""
    own = tmp_path_factory.mktemp("networks")
    slow = LINK.replace("rate: 300 GB/s", "aliases: [eth]\nrate: 100 Gb/s")
    write(own, "links", "ethernet", slow, kind="network", extra="port: node")
    return Library((own, root))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("nvlink", "nvlink joins accelerators inside a node"),
        ("ibb", 'no network is called "ibb"'),
        ("", 'no network is called ""'),
        ("0GbE", "1 to 1024 ports of 1 to 10,000 Gb/s"),
        ("2000xib", "1 to 1024 ports"),
        ("100GbE ib", 'no network is called "100GbE ib"'),
    ],
)
def test_no_other_network_is_taken(with_ethernet: Library, network: str, message: str) -> None:
    with pytest.raises(PlannerError, match=message):
        find_cluster(on_network("4x8xH100", network), with_ethernet)


def test_a_network_that_joins_nothing_is_said(with_ethernet: Library) -> None:
    found = find_cluster("8xH100@100GbE", with_ethernet)
    assert "changes nothing" in found.assumptions[-1]


def test_a_slow_port_is_not_what_was_measured(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "links", "fast", LINK, kind="network", extra="tested: true")
    library = Library((tmp_path, root))
    for network, tested in (("fast", True), ("1xfast", False)):
        link = find_cluster(f"4x8xH100@{network}", library).value.network
        assert link is not None and link.tested is tested


def test_the_option_goes_before_what_the_cluster_says() -> None:
    assert on_network("4x8xH100@ib", "eth") == "4x8xH100@eth"
    assert on_network("4x8xH100@ib", None) == "4x8xH100@ib"


# a cluster written out


def cluster_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return str(path)


INLINE = """\
node:
  name: mine
  provider: me
  accelerator: {accelerator}
  count: 4
  source: a test
  scaleup: nvlink
  network: {{name: eth, kind: network, rate: 1 GB/s, efficiency: 0.5, latency: 1 us, hop_latency: 1 us, trust: assumed,
    source: a test}}
  network_rate: 10 GB/s
nodes: 3
"""


def test_a_file_names_a_node(tmp_path: Path, library: Library) -> None:
    path = cluster_file(tmp_path, "node: dgx-h100\nnodes: 4\ngpus_per_node: 6\n")
    assert shape(find_cluster(path, library).value) == (H100, "dgx-h100", 4, 6)


def test_a_file_names_another_network(tmp_path: Path, with_ethernet: Library) -> None:
    path = cluster_file(tmp_path, "node: dgx-h100\nnodes: 4\nnetwork: 100GbE\n")
    found = find_cluster(path, with_ethernet).value
    assert found.network is not None and found.network.rate == pytest.approx(12.5 * GBIT)


def test_a_file_writes_a_node_out(tmp_path: Path, library: Library) -> None:
    found = find_cluster(cluster_file(tmp_path, INLINE.format(accelerator="A100")), library)
    assert shape(found.value) == (A100, "mine", 3, 4)
    assert found.value.network is not None and found.value.network.rate == 10e9
    assert found.assumptions == ('"A100" means a100-sxm4-80gb here; also: a100-sxm4-40gb',)


def test_a_file_writes_an_accelerator_out(tmp_path: Path, library: Library) -> None:
    own = ACCELERATOR.format(name="own", aliases="", default_for="", node="mine")
    inline = "accelerator:\n" + "".join(f"  {line}\n" for line in own.splitlines())
    path = cluster_file(tmp_path, INLINE.format(accelerator="own") + inline)
    assert shape(find_cluster(path, library).value) == ("own", "mine", 3, 4)
    (tmp_path / "other").mkdir()
    path = cluster_file(tmp_path / "other", INLINE.format(accelerator="other") + inline)
    with pytest.raises(PlannerError, match=r'accelerator: "own", but the node has "other"'):
        find_cluster(path, library)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node: dgx-h100\nnode_count: 4\n", r"cluster\.yaml:2: node_count: unknown key"),
        ("node: dgx-h200\n", r'no node is called "dgx-h200"'),
        ("node: dgx-h100\ngpus_per_node: 9\n", r"9 accelerators per node, but dgx-h100 has 8"),
        ("node: dgx-h100\nnodes: 1000000000\n", r"at most 10,000,000"),
        ("node: {name: x}\n", r"cluster\.yaml:1: node\.source: missing \(and 3 more\)"),
        ("nodes: 4\n", r"cluster\.yaml:1: node: missing"),
        ("", r"cluster\.yaml: empty file"),
    ],
)
def test_what_is_wrong_with_a_cluster_file_is_said(tmp_path: Path, library: Library, text: str, message: str) -> None:
    with pytest.raises(PlannerError, match=message):
        find_cluster(cluster_file(tmp_path, text), library)


# properties


@given(st.integers(1, 10_000), st.integers(1, 8), st.sampled_from(["h100", "mi300x", "p5.48xlarge", "a100-40gb"]))
@settings(max_examples=40, deadline=None)
def test_nodes_and_counts_come_back(library: Library, nodes: int, count: int, name: str) -> None:
    cluster = find_cluster(f"{nodes}x{count}x{name}", library).value
    assert (cluster.nodes, cluster.used) == (nodes, count)


@given(st.integers(1, MOST + 10))
@settings(max_examples=40, deadline=None)
def test_a_bare_count_is_kept_or_refused(library: Library, count: int) -> None:
    try:
        cluster = find_cluster(f"{count}xh100", library).value
    except PlannerError:
        assert count > MOST or (count > 8 and count % 8)
    else:
        assert cluster.gpus == count


GRAMMATICAL = st.lists(
    st.sampled_from(["8", "16", "0", "-1", "x", ":", "×", "h100", "A100", "80gb", "p5.48xlarge", " ", ".", "/", "dgx"]),
    max_size=8,
).map("".join)


@given(st.one_of(st.text(max_size=60), GRAMMATICAL))
@example("8x\ud800")
@example("\0.yaml")
@example("a" * 5000 + "/b")
@example("8x" * 2000)
@example("²xh100")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_no_text_raises_anything_but_a_planner_error(library: Library, text: str) -> None:
    try:
        assert find_cluster(text, library).value.gpus >= 1
    except PlannerError as error:
        assert len(str(error)) < 400


def test_a_node_profile_that_is_broken_says_so(tmp_path: Path, root: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "dgx-h100.yaml").write_text("name: dgx-h100\n")
    with pytest.raises(ProfileError, match=r"dgx-h100\.yaml:1: source: missing"):
        find_cluster("8xh100", Library((tmp_path, root)))


# what is shipped


@pytest.fixture(scope="module")
def packaged() -> Library:
    return open_library()


@pytest.mark.parametrize(
    ("text", "accelerator", "shape"),
    [
        ("8xA100", "a100-sxm4-80gb", (1, 8)),
        ("16x8xH100", "h100-sxm5-80gb", (16, 8)),
        ("A100:40GB:8", "a100-sxm4-40gb", (1, 8)),
        ("H100:80GB:8", "h100-sxm5-80gb", (1, 8)),
        ("4xp5.48xlarge", "h100-sxm5-80gb", (4, 8)),
        ("gb200-nvl72:72", "gb200-nvl72", (18, 4)),
        ("8x4090", "rtx-4090-24gb", (1, 8)),
        ("8xMI300X", "mi300x-192gb", (1, 8)),
        ("8xRTX3090", "rtx-3090-24gb", (1, 8)),
        ("8xRTX6000Ada", "rtx-6000-ada-48gb", (1, 8)),
        ("8xA6000", "rtx-a6000-48gb", (1, 8)),
        ("8xA800", "a800-sxm4-80gb", (1, 8)),
        ("H800:8", "h800-sxm5-80gb", (1, 8)),
        ("32xH20", "h20-96gb", (4, 8)),
        ("8xH20-141GB", "h20-141gb", (1, 8)),
        ("8xH100-NVL", "h100-nvl-94gb", (1, 8)),
        ("8xH100-96GB", "h100-sxm5-96gb", (1, 8)),
        ("4xTesla-T4", "t4-16gb", (1, 4)),
        ("8xAscend910B", "ascend-910b3-64gb", (1, 8)),
        ("16x4xGH200", "gh200-96gb", (16, 4)),
        ("16xGH200", "gh200-96gb", (16, 1)),
        ("16xalps", "gh200-96gb", (16, 4)),
        ("32x8xGB200", "gb200-nvl72", (64, 4)),
        ("64x4xGB300", "gb300-nvl72", (64, 4)),
        ("72xVR200", "vr200-nvl72", (18, 4)),
        ("2xBM.GPU.H100.8", "h100-sxm5-80gb", (2, 8)),
        ("2xND H100 v5", "h100-sxm5-80gb", (2, 8)),
    ],
)
def test_common_spellings(packaged: Library, text: str, accelerator: str, shape: tuple[int, int]) -> None:
    cluster = find_cluster(text, packaged).value
    assert (cluster.accelerator.name, cluster.nodes, cluster.used) == (accelerator, *shape)


def test_every_packaged_accelerator_and_node_makes_a_cluster(packaged: Library) -> None:
    for name in packaged.names("accelerator"):
        assert find_cluster(f"1x{name}", packaged).value.accelerator.name == name
    for name in packaged.names("node"):
        found = find_cluster(name, packaged)
        assert (found.value.node.name, found.assumptions) == (name, ())


def test_a_name_without_a_number_is_shown_with_one() -> None:
    """GH200 alone: what to write is that name with a number, not another one's."""
    with pytest.raises(PlannerError) as caught:
        find_cluster("GH200", open_library())
    assert caught.value.hint[0] == "8xGH200          8 accelerators"


@pytest.mark.parametrize(
    ("text", "gpus", "said"),
    [
        ("2xGB200-NVL72", 2, '"2xGB200-NVL72": 2 of the 72 accelerators of a rack; all of it is 72xGB200-NVL72'),
        ("1xGB300 NVL72", 1, "1 of the 72 accelerators of a rack; all of it is 72xGB300 NVL72"),
        ("72xGB200-NVL72", 72, ""),
        ("2xGB200", 2, ""),
        ("4xH200-NVL", 4, ""),
    ],
)
def test_a_rack_is_not_meant_by_its_name(text: str, gpus: int, said: str) -> None:
    """The accelerator is called like the rack that it is in: fewer than that are said to be so."""
    found = find_cluster(text, open_library())
    assert found.value.gpus == gpus
    notes = " ".join(found.assumptions)
    assert said in notes and ("of a rack" in notes) == bool(said)


@pytest.mark.parametrize(
    ("text", "gpus", "part", "gib"),
    [
        ("2xDGX Spark", 2, "gb10-128gb", 119.7),
        ("1xGB10", 1, "gb10-128gb", 119.7),
        ("8xRTX PRO 6000 Blackwell Server Edition", 8, "rtx-pro-6000-server", 94.97),
        ("4xRTX Pro 6000 Max-Q", 4, "rtx-pro-6000-max-q", 94.97),
        ("1xRTX5090D", 1, "rtx-5090d-32gb", 31.36),
        ("p6e-gb300.36xlarge", 4, "gb300-nvl72", 276.5),
        ("g6e.12xlarge", 4, "l40s-48gb", 44.4),
        ("a3-highgpu-4g", 4, "h100-sxm5-80gb", 79.1),
        ("g4-standard-384", 8, "rtx-pro-6000-server", 94.97),
        ("gpu_1x_gh200", 1, "gh200-96gb", 94.5),
        ("b300-8x", 8, "b300-sxm-288gb", 267.7),
        ("8xMI250", 8, "mi250-128gb", 64.0),
        ("2xRTX PRO 5000", 2, "rtx-pro-5000-48gb", 47.4),
        ("GB200 NVL4", 4, "gb200-nvl72", 184.31),
        ("ct6e-standard-8t", 8, "tpu-v6e", 31.25),
    ],
)
def test_machines_as_people_name_them(text: str, gpus: int, part: str, gib: float) -> None:
    """Accelerators of each and the memory of one, as its driver reports it."""
    cluster = find_cluster(text, open_library()).value
    assert (cluster.gpus, cluster.accelerator.name) == (gpus, part)
    assert cluster.accelerator.memory / 2**30 == pytest.approx(gib, rel=2e-3)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("H100x8", "8xH100"), ("8H100", "8xH100"), ("4 L40S", "4xL40S"), ("B200 x 16", "16xB200")],
)
def test_a_number_at_the_wrong_place_is_shown_at_the_right_one(text: str, meant: str) -> None:
    """Suggested, not taken."""
    with pytest.raises(PlannerError) as caught:
        find_cluster(text, open_library())
    assert caught.value.hint[0] == f"did you mean: {meant} ?"
