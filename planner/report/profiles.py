"""Profiles in words: one line each for a list, all facts for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from planner.schema.quantities import dimensions
from planner.units import format_bytes, format_count, format_flops, format_rate, format_seconds

if TYPE_CHECKING:
    from planner.catalog.library import Library

SAYS: dict[str, Callable[[float], str]] = {
    "byte": format_bytes,
    "byte/s": format_rate,
    "flop/s": format_flops,
    "second": format_seconds,
    "watt": "{:.0f} W".format,
    "count": format_count,
}
"""By dimension."""


def record(kind: str, profile: Any) -> dict[str, Any]:
    """A profile's facts as plain data (SI numbers); models also with the parameters that the shape adds up to."""
    facts: dict[str, Any] = profile.model_dump(mode="json", exclude_none=True)
    if kind == "model":
        from planner.blocks.counts import active_parameters, parameters

        facts["computed_parameters"] = parameters(profile).total
        facts["computed_active_parameters"] = active_parameters(profile)
    return facts


def table(facts: dict[str, Any], of: Any, indent: str = "") -> list[str]:
    """Facts of a profile as aligned lines, quantities with their units."""
    width, known = max(map(len, facts), default=0), dimensions(type(of)) if isinstance(of, BaseModel) else {}
    lines = []
    for key, value in facts.items():
        say = SAYS.get("count" if key.startswith("computed_") else known.get(key, ""))
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *table(value, getattr(of, key), indent + "  ")] if value else []
            continue
        shown = say(value) if say else ", ".join(map(str, value)) if isinstance(value, list) else value
        if shown not in ("", ()):
            lines.append(f"{indent}{key:<{width}}  {shown}")
    return lines


def listing(kind: str, library: Library) -> list[dict[str, Any]]:
    """One row per profile: its name, the facts that tell it apart, and the line to print."""
    profiles = [library.find(kind, name).value for name in library.names(kind)]
    width = max((len(p.name) for p in profiles), default=0)
    rows = []
    for profile in profiles:
        facts = _facts(kind, profile)
        line = f"{profile.name:<{width}}  " + " · ".join(str(v) for v in facts.values() if v)
        rows.append({"name": profile.name, **facts, "line": line.rstrip()})
    return rows


def _facts(kind: str, p: Any) -> dict[str, Any]:
    if kind == "model":
        from planner.blocks.counts import parameters

        experts = f"{p.moe.experts} experts, top {p.moe.top_k}" if p.moe else ""
        shape = f"{p.layers} layers × {p.hidden}, {p.heads} heads ({p.kv_heads} kv)"
        return {"size": format_count(parameters(p).total), "shape": shape, "experts": experts, "hf_id": p.hf_id or ""}
    if kind == "accelerator":
        best = p.peak.bf16 or p.peak.fp16
        trust = f"efficiency {p.efficiency.trust}"
        return {
            "memory": format_bytes(p.memory),
            "bandwidth": format_rate(p.bandwidth),
            "peak": format_flops(best),
            "trust": trust,
        }
    if kind == "node":
        network = f"{format_rate(p.network_rate)} per GPU out" if p.network_rate else "no network"
        price = f"{p.price.usd_per_hour:.2f} $/h ({p.price.date})" if p.price else ""
        return {
            "accelerators": f"{p.count} × {p.accelerator}",
            "network": network,
            "provider": p.provider,
            "price": price,
        }
    if kind == "link":
        return {"kind": p.kind, "rate": format_rate(p.rate), "efficiency": f"{p.efficiency:.0%} {p.trust}"}
    if kind == "engine":
        steps = "mixed steps" if p.mixed else "prefill and decode in turns"
        return {
            "scheduler": f"{p.scheduler} batching, {steps}",
            "host": f"host {format_seconds(p.host)} per step",
            "trust": p.trust,
        }
    if kind == "recipe":
        products = p.products.model_dump().values()
        return {"products": ", ".join(dict.fromkeys(products)), "attention": f"attention {p.attention}"}
    return {"schedules": ", ".join(p.schedules), "zero": "ZeRO " + ", ".join(map(str, p.zero)), "trust": p.trust}
