"""Accelerators, nodes and clusters: what they can do, in which direction, per what, and who says so."""

from typing import Literal

from pydantic import model_validator

from planner.schema.base import Name, Positive, Profile, Record, Text, Trust
from planner.schema.quantities import (
    Accelerators,
    BytesPerSecond,
    Dollars,
    Domains,
    Extent,
    FlopsPerSecond,
    Fraction,
    Memory,
    Seconds,
    Watts,
)


class ProductRate(Record):
    """Matrix products in one format narrower than 16 bit on this part.

    Attributes:
        gemm, gemm_dim: as in `Efficiency`, of the peak that computes the format.
        transposed: kernels read operands along the inner dimension only (Hopper's TN layout), so that a tensor with one
            scale is written twice, once transposed.
        cast: share of the memory bandwidth that making operands reaches; absent: that of streaming kernels.
        trust, source: as in `Efficiency`.
    """

    gemm: Fraction
    gemm_dim: Extent
    transposed: bool = False
    cast: Fraction | None = None
    trust: Trust
    source: Text


class ProductRates(Record):
    """Formats that training kernels exist for beside 16 bit; absent: none. experts: 16-bit products, one for each."""

    fp8: ProductRate | None = None
    fp8_block: ProductRate | None = None
    mxfp8: ProductRate | None = None
    nvfp4: ProductRate | None = None
    experts: ProductRate | None = None


Generation = Literal["volta", "turing", "ampere", "ada", "hopper", "blackwell", "cdna2", "cdna3", "cdna4"]


class Peak(Record):
    """Dense matrix throughput by precision (never the sparse marketing figure); absent: not supported; of int8 also
    where engines have no kernels (Blackwell: vllm-project/vllm csrc/.../cutlass/c3x/scaled_mm_helper.hpp).
    """

    bf16: FlopsPerSecond | None = None
    fp16: FlopsPerSecond | None = None
    fp8: FlopsPerSecond | None = None
    int8: FlopsPerSecond | None = None
    fp4: FlopsPerSecond | None = None

    @property
    def w8a8(self) -> float | None:
        """The precision of products with int8 on both sides; "int8" names weights that are widened."""
        return self.int8


class Efficiency(Record):
    """How much of the datasheet a kernel reaches on this part.

    Attributes:
        gemm: share of peak that an unboundedly large matrix product reaches.
        gemm_dim: size of a GEMM dimension at which that dimension alone halves the rate: x / (x + gemm_dim) each.
        attention: share of the 16-bit peak of a long causal forward pass at head size 128 by the kernel that most
            stacks run there (FlashAttention 2 on NVIDIA parts); attention_backward likewise.
        attention_seq: sequence length at which that share is halved: s / (s + attention_seq).
        attention_head: head size at which a forward score's exponentials take as long as its products; absent: 20.
        memory: share of the memory bandwidth that streaming kernels reach.
        kernel: fixed time per kernel.
        trust: "measured" (published or fitted to published runs, see source) or "assumed".
    """

    gemm: Fraction
    gemm_dim: Extent
    attention: Fraction
    attention_backward: Fraction
    attention_seq: Extent = 0.0
    attention_head: Extent | None = None
    memory: Fraction
    kernel: Seconds
    trust: Trust
    source: Text


class AttentionRate(Record):
    """What one kernel of the attention core reaches on this part.

    Attributes:
        forward, backward: share of the 16-bit peak, long causal sequences and heads of 128; half: sequence length at
            which they are halved, s / (s + half); head, trust, source: as in `Efficiency`; no head: the usual kernel's.
    """

    forward: Fraction
    backward: Fraction
    half: Extent = 0.0
    head: Extent | None = None
    trust: Trust
    source: Text


class AttentionRates(Record):
    """Kernels of the attention core whose rate is not that of `Efficiency`; absent: it is, or the part has none.

    Attributes:
        flash2, flash3, flash4: FlashAttention by version. cudnn: cuDNN's fused attention, which Transformer Engine and
            PyTorch call. triton: FlashAttention as written in Triton before version 2. trtllm: TensorRT-LLM's prefill
            kernels, also behind FlashInfer. ck: AMD's (Composable Kernel, AITER).
    """

    flash2: AttentionRate | None = None
    flash3: AttentionRate | None = None
    flash4: AttentionRate | None = None
    cudnn: AttentionRate | None = None
    triton: AttentionRate | None = None
    trtllm: AttentionRate | None = None
    ck: AttentionRate | None = None


class Inference(Record):
    """What kernels reach that serving runs and training does not: products of few rows, and reads of keys and values.

    Attributes:
        tokens: rows at which a product's rate is halved, m / (m + tokens): tiles are chosen for few rows.
        widened: the same where a kernel widens narrower weights; what that takes is counted as rows. Absent: `tokens`.
        memory: share of the memory bandwidth at which weights are read; kv: at which keys and values are.
        trust, source: as in `Efficiency`; the source says what was fitted to what.
    """

    tokens: Extent = 0.0
    widened: Extent | None = None
    memory: Fraction
    kv: Fraction
    trust: Trust
    source: Text


class Link(Profile):
    """A network that joins accelerators, and how well collectives run on it.

    Attributes:
        kind: "switch" gives every group the full rate; in a "mesh" a group of n gets (n - 1) pairs' worth;
            "bridge" joins only `domain` neighbours; "pcie" shares the host's lanes; "torus" is priced as a mesh;
            "network" joins nodes.
        rate: per accelerator and direction. For a "network" the node's own `network_rate` replaces it.
        pair_rate: per pair and direction (mesh and torus).
        port: who has a port of a "network" where --network gives no number of them.
        domain: accelerators joined at full rate, where that differs from the node's count (72, or 2 for a bridge).
        socket, socket_rate: accelerators on one processor socket of the host ("pcie"), and what all rings that leave it
            share, per direction.
        efficiency: share of `rate` that large ring collectives reach (bus bandwidth over rate).
        exchange: the same where every accelerator sends to every other; absent: as in rings. deepep: the same by
            DeepEP's kernels, which are written for eight; absent: as others.
        congestion: domains that halve a network's rate: rate / (1 + (domains - 1) / congestion); absent: none do.
        stall, stall_nodes: time that a send loses on clusters of at least so many nodes (seen on one; 0 elsewhere).
        latency: fixed time per collective; hop_latency: added per further member of the ring.
        peer_latency, peer_hop: fixed time, and time per member, of the all-reduce kernel with which serving engines
            join a few KB by reading each other's memory inside one domain; absent: not measured on this link.
        tested: published training runs over this network are in the accuracy corpus.
    """

    kind: Literal["switch", "mesh", "torus", "bridge", "pcie", "network"]
    rate: BytesPerSecond
    pair_rate: BytesPerSecond | None = None
    port: Literal["accelerator", "node"] = "accelerator"
    domain: Accelerators | None = None
    socket: Accelerators | None = None
    socket_rate: BytesPerSecond | None = None
    efficiency: Fraction
    exchange: Fraction | None = None
    deepep: Fraction | None = None
    latency: Seconds
    hop_latency: Seconds
    congestion: Domains | None = None
    stall: Seconds = 0.0
    stall_nodes: Positive = 1
    peer_latency: Seconds | None = None
    peer_hop: Seconds = 0.0
    trust: Trust
    tested: bool = False

    @model_validator(mode="after")
    def _rates_belong(self) -> "Link":
        if (self.kind in ("mesh", "torus")) != (self.pair_rate is not None):
            raise ValueError("pair_rate belongs to the kinds mesh and torus, and to no other")
        if (self.socket is None) != (self.socket_rate is None):
            raise ValueError("socket and socket_rate belong together")
        return self


class Accelerator(Profile):
    """One accelerator as frameworks see it (a GCD, not a package, where they differ).

    Attributes:
        memory: capacity that the driver reports, not the marketed one.
        bandwidth: of device memory; host_rate: to host memory, per direction.
        generation: family of its instruction set, by which frameworks choose kernels; absent: no framework does.
        attention: kernels of the attention core that differ from `efficiency`.
        flash: FlashAttention kernels exist for it (Volta has none: Dao-AILab/flash-attention README, "Requirements").
        node: the plain node that "8x<accelerator>" means; inference: kernels that only serving runs; else `efficiency`.
        tested: published training runs on this part are in the accuracy corpus; formats: products below 16 bit.
        preliminary: announced; its figures are the vendor's intent, and no part of them was measured.
    """

    vendor: Text
    form_factor: Text
    memory: Memory
    bandwidth: BytesPerSecond
    peak: Peak
    host_rate: BytesPerSecond
    power: Watts | None = None
    efficiency: Efficiency
    generation: Generation | None = None
    attention: AttentionRates = AttentionRates.model_construct()
    node: Name
    inference: Inference | None = None
    flash: bool = True
    tested: bool = False
    formats: ProductRates = ProductRates.model_construct()
    preliminary: bool = False

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be said of its figures, whatever is computed with them."""
        said = f"{self.name} is announced: its figures are the vendor's, before anybody measured a part"
        return (said,) if self.preliminary else ()


class Price(Record):
    """On-demand price per node and hour; never enters a ranking unless asked."""

    usd_per_hour: Dollars
    region: Text
    date: Text
    source: Text


class Node(Profile):
    """A machine: its accelerators, the link among them and its way out.

    Attributes:
        provider: aws, azure, gcp, nebius, lambda, onprem ... or generic.
        accelerator: name of the accelerator profile; count: how many.
        scaleup: link among accelerators, by name or written out; absent for a single one.
        network: link to other nodes; absent: nodes cannot be joined.
        network_rate: of that link, per accelerator and direction (node's NICs / count).
        host_memory: of the node; vcpus: of the node.
        host_bandwidth: of the node's host memory, as the CPU's Adam streams it; unsaid: two sockets of DDR4 (3.1 G
            parameters of 60 bytes in 1.8 s on a DGX A100: deepspeedai/DeepSpeed blogs/zenflow-corebinding); DDR5: 8.0 G
            in 1.7 s on eight H200 and B200 (stas00/ml-engineering insights/when-to-upgrade-gpus).
    """

    provider: Text
    accelerator: Name
    count: Accelerators
    scaleup: Name | Link | None = None
    network: Name | Link | None = None
    network_rate: BytesPerSecond | None = None
    host_memory: Memory | None = None
    host_bandwidth: BytesPerSecond = 100e9
    vcpus: Positive | None = None
    price: Price | None = None

    @model_validator(mode="after")
    def _links_are_whole(self) -> "Node":
        if self.count > 1 and self.scaleup is None:
            raise ValueError(f"{self.count} accelerators need a scaleup link")
        if (self.network is None) != (self.network_rate is None):
            raise ValueError("network and network_rate go together")
        return self


class Cluster(Record):
    """`nodes` equal nodes, of which `used` accelerators each take part, with their links resolved.

    Attributes:
        network: its rate is the node's network_rate.
        fabric: the network that was asked for in place of the node's own, in the words of --network.
    """

    accelerator: Accelerator
    node: Node
    scaleup: Link | None
    network: Link | None
    nodes: Positive
    used: Positive
    fabric: Text | None = None

    @model_validator(mode="after")
    def _can_be_joined(self) -> "Cluster":
        if self.used > self.node.count:
            raise ValueError(f"{self.used} accelerators per node, but {self.node.name} has {self.node.count}")
        if self.network is None and self.domain < self.gpus and self.nodes > 1:
            raise ValueError(f"{self.node.name} has no network: {self.nodes} of them cannot be joined")
        return self

    @property
    def crossed(self) -> Link | None:
        """The network, where nodes or scale-up domains have to be joined by it."""
        return self.network if self.nodes > 1 and self.gpus > self.domain else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be said of its figures, whatever is computed with them."""
        link, own = self.crossed, self.accelerator.doubts
        said = link and f"{link.name} was never held against measured runs; what it reaches is {link.trust}"
        return (*own, said) if link and said and not link.tested else own

    @property
    def gpus(self) -> int:
        """Accelerators in all."""
        return self.nodes * self.used

    @property
    def domain(self) -> int:
        """Accelerators joined by the scale-up link at full rate; may exceed a node (NVL72)."""
        return 1 if self.scaleup is None else (self.scaleup.domain or self.node.count)


class ClusterFile(Record):
    """A user's cluster in YAML.

    Attributes:
        node: a node by name or written out; nodes: how many of them.
        gpus_per_node: fewer than the node has, if so.
        network: another network than the node's, as --network has it.
        accelerator: written out, when the node names one that no profile describes.
    """

    node: Name | Node
    nodes: Positive = 1
    gpus_per_node: Positive | None = None
    network: Text | None = None
    accelerator: Accelerator | None = None
