"""Calibrated constants as profiles: YAML files of an accelerator, its node and links, and a preset, in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from planner.accuracy.calibrate import Calibration
from planner.catalog.library import KINDS, record_of
from planner.catalog.textfile import replace_all
from planner.catalog.yamlfile import parse_yaml, validate
from planner.errors import PlannerError
from planner.schema.base import Profile, Record
from planner.schema.hardware import Link
from planner.schema.quantities import dimensions
from planner.units import format_bytes, parse
from planner.wording import os_reason

FORMATS: dict[str, Callable[[float], str]] = {
    "byte": lambda x: f"{x / 2**30:.9g} GiB",
    "byte/s": lambda x: f"{x / 1e9:.9g} GB/s",
    "flop/s": lambda x: f"{x / 1e12:.9g} TFLOP/s",
    "second": lambda x: f"{x * 1e3:.6g} ms",
    "watt": lambda x: f"{x:.9g} W",
}
"""How a quantity is written, by dimension."""

P = TypeVar("P", bound=Profile)

Files = dict[tuple[str, str], Profile]
"""(kind of KINDS, name) -> record."""


def overlay(result: Calibration, name: str | None, date: str) -> Files:
    """Profiles with the fitted constants under new names, so that they stand beside the packaged ones.

    Without `name` each is called `<packaged name>-calibrated`; with it the accelerator and the preset are called so,
    node and links `<name>-node`, `<name>-scaleup` and `<name>-network`.
    """
    cluster, framework = result.job.cluster, result.job.framework
    said = provenance(result, date)

    def called(old: str, part: str) -> str:
        return f"{old}-calibrated" if name is None else f"{name}{part}"

    def derived(profile: P, part: str, **changes: Any) -> P:
        own = {"name": called(profile.name, part), "aliases": (), "default_for": ()}
        source = f"{said}; otherwise {profile.name}: {profile.source}"[:2000]
        return profile.model_copy(update={**own, "source": source, **changes})

    ends: dict[str, Link] = {}
    for end in ("scaleup", "network"):
        link: Link | None = getattr(cluster, end)
        if link is not None:
            ends[end] = derived(link, f"-{end}")
    names = {end: link.name for end, link in ends.items()}
    accelerator_name = called(cluster.accelerator.name, "")
    rate = None if cluster.network is None else cluster.network.rate
    joined = {"scaleup": names.get("scaleup"), "network": names.get("network"), "network_rate": rate}
    node = derived(cluster.node, "-node", accelerator=accelerator_name, **joined)
    efficiency = cluster.accelerator.efficiency.model_copy(update={"source": said})
    accelerator = derived(cluster.accelerator, "", node=node.name, efficiency=efficiency)
    records = [("accelerator", accelerator), ("node", node), ("framework", derived(framework, ""))]
    return {(kind, p.name): p for kind, p in [*records, *(("link", link) for link in ends.values())]}


def provenance(result: Calibration, date: str) -> str:
    """ "calibrated to 3 runs (a, b, c) on 2025-01-31: median error of step time 12.3% before, 2.1% after ..." """
    ids = list(dict.fromkeys(run.id for run in result.runs))
    shown = ", ".join(ids[:8]) + (", ..." if len(ids) > 8 else "")
    said = f"calibrated to {len(ids)} run{'s' if len(ids) > 1 else ''} ({shown[:300]}) on {date}"
    for kind, words in (("step", "step time"), ("memory", "peak memory")):
        if (errors := result.errors(kind)) is not None:
            said += f"; median error of {words} {errors[0]:.1%} before, {errors[1]:.1%} after"
    moved = [f"{one.constant.name} x {one.factor:.3f}" for one in result.fitted if one.determined]
    if result.reserve is not None:
        moved.append(f"reserve {'+' if result.reserve >= 0 else '-'} {format_bytes(abs(result.reserve))}")
    return f"{said}; fitted: {', '.join(moved) or 'nothing'}"


def yaml_text(profile: Profile) -> str:
    """A profile as the YAML that reads back as the same record."""
    return yaml.safe_dump(plain(profile), sort_keys=False, allow_unicode=True, width=118)


def plain(record: Record) -> dict[str, Any]:
    """A record as YAML's own types, quantities with their units; what equals the default is left out."""
    kinds, facts = dimensions(type(record)), {}
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        if value is not None and value != field.default:
            facts[name] = _plain(value, kinds[name])
    return facts


def _plain(value: Any, dimension: str) -> Any:
    if isinstance(value, Record):
        return plain(value)
    if dimension and isinstance(value, int | float):
        return _quantity(float(value), dimension)
    if isinstance(value, tuple):
        return list(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _quantity(value: float, dimension: str) -> str:
    """ "80 GiB" rather than "85899345920 B", unless rounding would change it."""
    text = FORMATS[dimension](value)
    return text if abs(parse(text, dimension) - value) <= 1e-5 * value else f"{value!r} {_BASE[dimension]}"


_BASE = {"byte": "B", "byte/s": "B/s", "flop/s": "FLOP/s", "second": "s", "watt": "W"}


def write_overlay(files: Files, folder: Path) -> list[Path]:
    """Write every profile below a folder, all of them or none; each is read back through its schema first.

    Raises:
        PlannerError: the folder cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise PlannerError(f"--out {folder} is a file", "name a folder: --out calibrated")
    texts: dict[Path, str] = {}
    for (kind, name), profile in files.items():
        path = folder / KINDS[kind][0] / f"{name}.yaml"
        texts[path] = yaml_text(profile)
        value, lines = parse_yaml(texts[path], str(path))
        validate(value, record_of(kind), str(path), lines)
    try:
        for path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_all(texts)
    except (OSError, ValueError) as error:
        raise PlannerError(f"--out {folder}: {os_reason(error)}", "choose a folder that can be written") from None
    return list(texts)


def commands(files: Files, gpus: int) -> tuple[str, str]:
    """What to type next: the preset's name and the accelerators, as `recommend` takes them."""
    names = {kind: name for kind, name in files}
    return names["framework"], f"{gpus}x{names['accelerator']}"
