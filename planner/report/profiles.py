"""Profiles in words: one line each for a list, all facts for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.units import format_bytes, format_count, format_flops, format_rate, format_seconds

if TYPE_CHECKING:
    from planner.catalog.library import Library

_UNITS = {
    "memory": format_bytes,
    "host_memory": format_bytes,
    "reserve": format_bytes,
    "bandwidth": format_rate,
    "rate": format_rate,
    "pair_rate": format_rate,
    "socket_rate": format_rate,
    "host_rate": format_rate,
    "host_bandwidth": format_rate,
    "network_rate": format_rate,
    "bf16": format_flops,
    "fp16": format_flops,
    "fp8": format_flops,
    "fp4": format_flops,
    "parameters": format_count,
    "parameters_active": format_count,
    "computed_parameters": format_count,
    "computed_active_parameters": format_count,
    "kernel": format_seconds,
    "latency": format_seconds,
    "peer_latency": format_seconds,
    "peer_hop": format_seconds,
    "host": format_seconds,
    "host_request": format_seconds,
    "host_pipeline": format_seconds,
    "front": format_seconds,
    "gemm.bf16": "{:g}".format,
    "gemm.fp8": "{:g}".format,
    "gemm.fp4": "{:g}".format,
    "inference.memory": "{:g}".format,
    "hop_latency": format_seconds,
    "host_layer": format_seconds,
    "host_layer_backward": format_seconds,
    "host_collective": format_seconds,
    "step": format_seconds,
    "power": "{:.0f} W".format,
    "efficiency.memory": "{:g}".format,
}
"""By key, or by parent and key where a key means two things."""


def record(kind: str, profile: Any) -> dict[str, Any]:
    """A profile's facts as plain data (SI numbers); models also with the parameters that the shape adds up to."""
    facts: dict[str, Any] = profile.model_dump(mode="json", exclude_none=True)
    if kind == "model":
        from planner.blocks.counts import active_parameters, parameters

        facts["computed_parameters"] = parameters(profile).total
        facts["computed_active_parameters"] = active_parameters(profile)
    return facts


def table(facts: dict[str, Any], indent: str = "", parent: str = "") -> list[str]:
    """Facts as aligned lines, quantities with their units."""
    width = max(map(len, facts), default=0)
    lines = []
    for key, value in facts.items():
        if value == {}:
            continue
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *table(value, indent + "  ", key)]
            continue
        say = _UNITS.get(f"{parent}.{key}") or _UNITS.get(key)
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
