"""PyTorch as the judge of bytes: three small models of Transformers are trained on the meta device, storages counted.

Opt-in: it runs where torch and transformers are. Attention is a stub that keeps what a flash kernel keeps.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest

from planner.plan import Plan
from planner.schema.model import Model
from planner.training.moments import allocated_bytes, rank_moments
from tests.jobs import job

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
mode = pytest.importorskip("torch.utils._python_dispatch")

B, SEQ, V, H, F, LAYERS, HEADS = 2, 1024, 32_000, 512, 2048, 4, 8
FAMILIES = {"Llama": ("none", 8), "Qwen2": ("qkv", 2), "Mistral": ("none", 4)}


class Storages(mode.TorchDispatchMode):  # type: ignore[misc, name-defined]
    """Bytes of the storages that are alive, and their most since `peak` was set."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what an operator makes."""
        made = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_iter(made):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return made

    def _see(self, storage: Any) -> None:
        if storage._cdata not in self.live:
            self.live[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, storage._cdata)

    def _gone(self, key: int) -> None:
        self.now -= self.live.pop(key, 0)


class Flash(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """Keeps queries, keys, values, output and a statistic per row."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
        """No scores."""
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        """Gradients alone."""
        return tuple(torch.empty_like(one) for one in ctx.saved_tensors[:3])


def trained(family: str, kv_heads: int) -> dict[str, float]:
    """Bytes at rest, and the most over the passes and over the update, of the second step."""
    config = getattr(transformers, f"{family}Config")(
        vocab_size=V,
        hidden_size=H,
        intermediate_size=F,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="sdpa",
    )
    found: dict[str, float] = {}
    with Storages() as storages:
        with torch.device("meta"):
            model = getattr(transformers, f"{family}ForCausalLM")(config).to(torch.bfloat16)
            tokens, mask = torch.zeros(B, SEQ, dtype=torch.long), torch.zeros(B, 1, 1, 1, dtype=torch.bfloat16)
        model.train()
        model.gradient_checkpointing_enable()
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        for _ in range(2):
            gc.collect()
            found["rest"] = storages.peak = storages.now
            loss = model(input_ids=tokens, labels=tokens, attention_mask=mask).loss
            loss.backward()
            del loss
            found["passes"], storages.peak = storages.peak, storages.now
            optimizer.step()
            found["optimizer step"] = storages.peak
            optimizer.zero_grad(set_to_none=True)
    return found


def said(bias: str, kv_heads: int) -> dict[str, float]:
    """What the planner has allocated at the same times."""
    shape = {"layers": LAYERS, "hidden": H, "ffn": F, "heads": HEADS, "kv_heads": kv_heads, "head_dim": H // HEADS}
    fields = {"name": "small", "source": "this test", "family": "small", "vocab": V, "context": SEQ, "mlp": "glu"}
    fields |= {"bias": bias, "norm": "rmsnorm", "position": "rope", "tied_embeddings": False}
    of = job("llama3.1-8b", "1xA100", "hf", seq=SEQ, batch=B, optimizer="adam-bf16")
    of = replace(of, model=Model.model_validate(fields | shape))
    of = replace(of, framework=of.framework.model_copy(update={"frees_gradients": True}))
    found, _ = rank_moments(of, Plan(b=B, recompute_layers=LAYERS).floats())[0]
    each = {name: float(allocated_bytes(memory)) for name, memory in found.items()}
    rest = float(found["loss"].weights + found["loss"].optimizer)
    return {"rest": rest, "passes": max(each["loss"], each["backward"]), "optimizer step": each["optimizer step"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_allocated_bytes_by_moment(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At rest, in both passes, in the update: within 3 %."""

    def attention(q: Any, k: Any, v: Any, **_: Any) -> Any:
        return Flash.apply(q, k, v)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    bias, kv_heads = FAMILIES[family]
    measured, predicted = trained(family, kv_heads), said(bias, kv_heads)
    assert predicted == {name: pytest.approx(value, rel=0.03) for name, value in measured.items()}
