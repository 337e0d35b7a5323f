"""What is to be served: a model, a cluster, requests and the engine that runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.blocks.operator import Operator, Product
from planner.blocks.record import Encoder, Kind, Latent, Structure
from planner.blocks.structure import structure
from planner.formula import formula
from planner.frozen import frozen
from planner.plan import Num, Plan
from planner.schema.engine import Engine
from planner.schema.formats import COMPUTED, NARROW, STORED, Module, WeightType
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.serving import ServeWorkload


@frozen
class ServeJob:
    """Everything that a deployment's cost depends on beside the plan itself.

    A serving plan is a `Plan` with tp, ep, pp and dp replicas; m micro-batches of b requests are in flight in each, so
    that a replica serves b*m requests. A stage is max(tp, ep) accelerators wide: experts lie over ep of them, and where
    ep exceeds tp the attention is copied ep/tp times, each copy with requests of its own.
    """

    model: Model
    cluster: Cluster
    workload: ServeWorkload
    engine: Engine

    @property
    def structure(self) -> Structure:
        """The model as the sequence of what its stages hold, with the layers that its checkpoint keeps in 16 bit."""
        own = self.model.checkpoint
        ends = own.wide_layers if own is not None and self.native else 0
        return structure(self.model, (ends - ends // 2, ends // 2))

    @property
    def image_tokens(self) -> int:
        """Tokens of a prompt that stand for its images."""
        of, work = self.model.tower, self.workload
        return work.images * of.tokens(work.image_size) if of is not None else 0

    @property
    def native(self) -> bool:
        """Whether the weights are those of the model's published checkpoint, stored in fewer than 16 bits."""
        return self.model.checkpoint is not None and self.model.checkpoint.weights == self.workload.weights

    def format(self, module: Module) -> WeightType:
        """Format of one class of linear layer: the checkpoint's where the job asks for it, else one for all."""
        if self.native and self.model.checkpoint is not None:
            return self.model.checkpoint.format(module)
        return "bf16" if module == "router" else self.workload.weights

    def stored(self, op: Operator) -> float:
        """Bytes of an operator's weight: of a linear layer as its class is stored, of all else in 16 bit."""
        if not linear(op):
            return self.element
        of, own = self.format(op.part), self.model.checkpoint  # type: ignore[arg-type]
        group = own.group if own is not None and self.native and of == "int4" else None
        return STORED[of] if group is None else 0.5 + STORED["fp16"] / group

    @property
    def element(self) -> float:
        """Bytes of an element in 16 bit: activations, logits, embedding, head, norms."""
        return STORED[self.wide]

    @property
    def dispatched(self) -> float:
        """Bytes of an element on its way to experts beyond a domain, which get it as their products take it; what they
        give comes back in 16 bit (deepseek-ai/DeepEP README.md).
        """
        of = self.precision(self.format("experts"))
        narrow = {"fp8": STORED["fp8_block"], "fp4": STORED["nvfp4"]}
        return narrow[of] if of in narrow and self.multiplies(of) else self.element

    @property
    def cached(self) -> float:
        """Bytes per element of the KV cache."""
        return STORED[self.workload.kv]

    def computed(self, op: Operator) -> str:
        """Precision of an operator's products."""
        wanted = self.precision(self.format(op.part)) if linear(op) else self.wide  # type: ignore[arg-type]
        return wanted if wanted in NARROW and self.multiplies(wanted) else self.wide

    def precision(self, weights: WeightType) -> str:
        """What products of a format want; AMD's CDNA 4 takes mxfp4 on both sides of them, unless the published
        checkpoint has 16-bit activations beside it (vllm-project/vllm quantization/quark/schemes/quark_ocp_mx.py).
        """
        both = weights == "mxfp4" and not self.native and self.cluster.accelerator.vendor == "amd"
        return "fp4" if both and self.multiplies("fp4") else COMPUTED[weights]

    def caches(self, kv: str) -> bool:
        """Whether the accelerator computes in a format of the KV cache; engines refuse others (NVFP4), or most of their
        kernels do (fp8 before Ada).
        """
        return kv in ("bf16", "fp16") or self.multiplies("fp8" if kv == "fp8" else "fp4")

    def multiplies(self, precision: str) -> bool:
        """Whether the accelerator has products in a precision; of w8a8, whether the engine has them there."""
        part = self.cluster.accelerator
        kernels = precision != "w8a8" or part.vendor in self.engine.int8
        return kernels and getattr(part.peak, precision) is not None

    def runs(self, weights: WeightType) -> bool:
        """Whether some kernel of the engine multiplies by weights of a format on this accelerator.

        Narrow weights without narrow products are widened by Marlin's kernels (vllm-project/vllm
        layers/quantization/utils/marlin_utils_fp8.py and marlin_utils_fp4.py, the same in sgl-project/sglang): from
        Ampere on.
        """
        wanted, accelerator = COMPUTED[weights], self.cluster.accelerator
        if weights == "nvfp4" and accelerator.vendor != "nvidia":
            return False
        if wanted not in NARROW or self.multiplies(wanted):
            return True
        return weights in self.engine.widens and accelerator.vendor == "nvidia" and accelerator.peak.bf16 is not None

    @property
    def kernel(self) -> str:
        """The kernel of the attention core."""
        return self.engine.attention.on(self.cluster.accelerator.generation) or "flash"

    def launched(self, kind: Kind) -> bool:
        """Whether the host launches a block by itself: a tower's, or the engine has no kernel for its attention inside
        a graph.
        """
        if isinstance(kind, Encoder):
            return True
        special = isinstance(mixer := getattr(kind, "mixer", None), Latent) or getattr(mixer, "sinks", False)
        part = self.cluster.accelerator
        return bool(special) and part.vendor == "nvidia" and self.engine.attention.on(part.generation) is None

    @property
    def prompted(self) -> str:
        """Precision of a prompt's attention core: TensorRT-LLM's kernels multiply in fp8 where the cache is in it."""
        return "fp8" if self.kernel == "trtllm" and self.workload.kv == "fp8" and self.multiplies("fp8") else self.wide

    @property
    def wide(self) -> str:
        """The 16-bit precision of attention and LM head: bf16 where the accelerator has it."""
        return "bf16" if self.cluster.accelerator.peak.bf16 is not None else "fp16"


def linear(op: Operator) -> bool:
    """Whether an operator is a linear layer that quantisation takes."""
    return isinstance(op.work, Product) and not op.work.wide


@formula("width")
def width(plan: Plan) -> Num:
    """Accelerators of one stage: max(tp, ep)."""
    return np.maximum(plan.tp, plan.ep)


@formula("copies of the attention")
def copies(plan: Plan) -> Num:
    """Copies of the attention in one stage, each with its own requests: max(ep/tp, 1)."""
    return width(plan) / plan.tp


@formula("in the fullest copy")
def fullest(plan: Plan, requests: Num) -> Num:
    """Of a replica's requests those in the copy of the attention that has most: one at least, none is divided."""
    return np.maximum(requests / copies(plan), np.minimum(requests, 1.0))


def replica_gpus(plan: Plan) -> Num:
    """Accelerators of one replica."""
    return width(plan) * plan.pp


@formula("running requests")
def running(plan: Plan) -> Num:
    """Requests in flight in one replica."""
    return plan.b * plan.m


@formula("in flight")
def at_batch(plan: Plan, requests: Num) -> Plan:
    """The plan with so many requests running per replica: spread over as many micro-batches as stages, if they are."""
    slots = np.minimum(plan.pp, np.maximum(requests, 1.0))
    return replace(plan, b=requests / slots, m=slots)
