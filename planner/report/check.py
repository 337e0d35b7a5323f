"""What `planner check` says: a verdict on one screen, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, cast

from planner import __version__
from planner.blocks.counts import parameters
from planner.frozen import picked
from planner.launch.check import Measured, Verdict
from planner.launch.nearest import SETTINGS, Change
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import OnePlan
from planner.questions.train import Ranked
from planner.read.format import find_format
from planner.read.megatron import UNNAMED
from planner.report.jsonout import inputs
from planner.report.jsonout import plan as plan_data
from planner.report.table import trained
from planner.report.words import PART_NAMES, degrees, largest_part, memory_words, moment, with_band
from planner.training.space import recompute_words
from planner.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from planner.documents import checks

MOST_PROBLEMS = 8
LONGEST_LIST = 6
MOST_SUSPECTS = 4


def text(name: str, verdict: Verdict) -> list[str]:
    """The verdict in lines of "what  finding"."""
    setup = verdict.setup
    plan = f"{degrees(setup.plan)} m={setup.plan.m}, recompute {recompute_words(setup.job, setup.plan)}"
    rows = [("script", _script(name, verdict)), ("job", trained(setup.job)), ("plan", plan)]
    rows += _legal(verdict) + _numbers(verdict) + _not_modelled(verdict) + _measured(verdict)
    rows += _changes(verdict) + _best(verdict) + _ignored(verdict)
    return [f"{what:<9} {said}" if said else "" for what, said in rows]


def title_of(verdict: Verdict) -> str:
    """Whose file it is, as people call it."""
    return find_format(verdict.reading.form).title if verdict.reading.form else TARGETS[verdict.reading.target].title


def _script(name: str, verdict: Verdict) -> str:
    job = verdict.setup.job
    known = job.model.name != UNNAMED
    model = job.model.name if known else f"{float(parameters(job.model).total) / 1e9:.3g} B parameters"
    return (
        f"{name}: {title_of(verdict)}, {model}, {job.cluster.gpus:,} × "
        f"{job.cluster.accelerator.name}, {job.workload.global_batch:,} sequences of {job.workload.seq:,} tokens"
    )


def _legal(verdict: Verdict) -> list[tuple[str, str]]:
    title = title_of(verdict)
    if verdict.legal:
        return [("legal", f"yes, for {title}{_limited(verdict, 'legality')}")]
    shown = verdict.problems[:MOST_PROBLEMS]
    rows = [("illegal", f"{where(p.line)}{p.message}  [{p.rule}: {p.source}]") for p in shown]
    more = len(verdict.problems) - len(shown)
    return rows + ([("", f"and {more} more")] if more else [])


def where(line: int) -> str:
    """ "line 12: " or nothing."""
    return f"line {line}: " if line else ""


def _numbers(verdict: Verdict) -> list[tuple[str, str]]:
    ranked = verdict.ranked
    if ranked is None:
        return [("fits", "not known: degrees and batch of the script do not make a plan of this cluster")]
    part = largest_part(ranked)
    size = format_bytes(float(ranked.estimate.memory.parts[part]))
    used = f"{memory_words(ranked)} on rank {float(ranked.estimate.rank):.0f}, {moment(ranked)}"
    kept = f" with {verdict.margin:.0%} kept free" if verdict.margin else ""
    answer = f"{'tight' if verdict.tight else 'yes'}{kept}, {format_bytes(verdict.headroom)} to spare"
    if not verdict.fits:
        answer = f"no{kept}, short by {format_bytes(-verdict.headroom)}"
    time = {k: float(v) for k, v in ranked.estimate.time.parts.items()}
    costs = sorted(time, key=lambda k: -time[k])[:3]
    spent = ", ".join(f"{PART_NAMES[k]} {time[k] / ranked.step_time:.0%}" for k in costs)
    speed = f"{with_band(ranked)}, {ranked.tokens_per_second:,.0f} tokens/s, {ranked.mfu:.1%} MFU; {spent}"
    weighed = f"{answer}: {used}, most of it {part} ({size}){_limited(verdict, 'memory')}"
    return [("fits", weighed), ("step", f"{speed}{_limited(verdict, 'time')}")]


def _limited(verdict: Verdict, what: str) -> str:
    """The mark of a finding that leaves options out of account."""
    count = sum(what in one.touches for one in verdict.reading.not_modelled)
    return f"; does not account for {count} option{'s' if count > 1 else ''} named below" if count else ""


def _not_modelled(verdict: Verdict) -> list[tuple[str, str]]:
    """Every option that the estimate leaves out, with what it touches; the first LONGEST_LIST with the reason."""
    found = verdict.reading.not_modelled
    said = [f"{where(one.line)}{one.said} ({', '.join(one.touches)}): {one.why}" for one in found[:LONGEST_LIST]]
    said += ["and " + ", ".join(one.said for one in found[LONGEST_LIST:])] if found[LONGEST_LIST:] else []
    return [("but", "the numbers do not account for"), *(("", f"  {line}") for line in said)] if found else []


def _measured(verdict: Verdict) -> list[tuple[str, str]]:
    """Measured against predicted; of a step outside the band, what would explain it."""
    found, ranked = verdict.measured, verdict.ranked
    if found is None or ranked is None:
        return []
    rows = []
    if found.step is not None:
        against = f"step {format_seconds(found.step)}, {found.step / ranked.step_time - 1:+.0%} on the prediction"
        rows.append(("measured", f"{against}: {'outside' if found.outside else 'inside'} its band"))
    if found.memory is not None:
        against = f"{found.memory / ranked.need - 1:+.0%} on the prediction"
        rows.append(("measured", f"{format_bytes(found.memory)} on the fullest rank, {against}"))
    rows += _causes(verdict, found)
    if found.outside and not found.suspects:
        rows.append(("suspect", "no constant by itself: another plan, data loading, a failing GPU or node?"))
    return rows + [
        ("suspect", f"{s.words} at {s.factor:.2g} of what is assumed: {s.spreads:.1f} times its usual spread")
        for s in found.suspects[:MOST_SUSPECTS]
    ]


def _causes(verdict: Verdict, found: Measured) -> list[tuple[str, str]]:
    """What would explain a peak outside its band, or that the run ran out."""
    rows = []
    if found.ran_out and not verdict.fits:
        rows.append(("why", "as predicted: the plan does not fit"))
    elif found.ran_out and verdict.tight:
        rows.append(("why", "the plan is tight: the limit lies inside the band of its peak"))
    rows += [("why", f"{one.words}: {format_bytes(one.need)}") for one in found.causes[:MOST_SUSPECTS]]
    if not rows and (found.ran_out or found.strange):
        rows.append(("why", "no setting by itself: other processes on the device, a leak, growth over steps?"))
    return rows


def _changes(verdict: Verdict) -> list[tuple[str, str]]:
    if not verdict.changes:
        ran_out, runs = verdict.measured is not None and verdict.measured.ran_out, verdict.legal and verdict.fits
        said = "none makes it 10 % faster" if runs else "no plan of this job fits this cluster"
        return [("change", "no plan of this job takes clearly less" if ran_out else said)]
    rows = []
    for change in verdict.changes:
        if change.count == 0:
            return [("change", "nothing in the plan: it runs once the lines above are right")]
        differs = difference(verdict.setup.plan, change.ranked.plan, verdict.setup, change.ranked)
        rows.append(("change", f"{differs}: {_costs(verdict, change.ranked)}"))
        rows += [("", f"  {line}") for line in edits(verdict, change)]
    return rows


def _costs(verdict: Verdict, one: Ranked) -> str:
    """Time of a plan, also against the plan as written, and its memory."""
    change = one.step_time / verdict.ranked.step_time - 1.0 if verdict.ranked else None
    faster = "" if change is None else f" ({change:+.0%})" if abs(change) >= 0.005 else " (as fast)"
    return f"step {format_seconds(one.step_time)}{faster}, {format_bytes(one.need)}"


def difference(before: OnePlan, after: OnePlan, setup: Setup, ranked: Ranked) -> str:
    """ "b 2 -> 1, recompute none -> full": what differs between two plans."""
    names = ("tp", "cp", "ep", "etp", "pp", "v", "dp", "dp_replicate", "b", "sp", "zero", "head", "dispatcher")
    said = [
        f"{n} {getattr(before, n)} -> {getattr(after, n)}" for n in names if getattr(before, n) != getattr(after, n)
    ]
    if before.overlap != after.overlap:
        said.append(f"expert traffic {'not overlapped -> overlapped' if after.overlap else 'overlapped -> not'}")
    policies = recompute_words(setup.job, before), recompute_words(ranked.job, after)
    return ", ".join(said + ([f"recompute {policies[0]} -> {policies[1]}"] if policies[0] != policies[1] else []))


def edits(verdict: Verdict, change: Change) -> list[str]:
    """Lines of the file's own language that go (-) and come (+)."""
    if verdict.reading.form:
        return keyed(verdict, change)
    target = TARGETS[verdict.reading.target]
    after = Setup(change.ranked.job, change.ranked.plan)
    if refusal(target, verdict.setup) is not None or refusal(target, after) is not None:
        return []
    old, new = (_settings(target.bare(target.program(s))) for s in (verdict.setup, after))
    found = []
    for kind, i, j, k, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            found += [f"- {line.strip()}" for line in old[i:j]] + [f"+ {line.strip()}" for line in new[k:end]]
    return _as_given(found, verdict.reading.given) if verdict.reading.given else found


SHORT = {"recompute-granularity": "recompute-activations", "recompute-modules": "recompute-activations"}
"""Options that another one stands for."""


def _as_given(changes: list[str], given: frozenset[str]) -> list[str]:
    """Only what the command has goes, by the name that it has there; what comes without going is an addition."""
    found, gone = [], set()
    for sign, option, *values in (line.split(maxsplit=2) for line in changes):
        name = option.removeprefix("--")
        if sign == "-" and name in given:
            found.append(" ".join(("-", option, *values)))
        elif sign == "-" and SHORT.get(name) in given:
            found.append(f"- --{SHORT[name]}")
        elif sign == "+":
            found.append(" ".join(("+" if name in gone else "add", option, *values)))
        gone |= {name} if sign == "-" and name in given else set()
    return list(dict.fromkeys(found))


def keyed(verdict: Verdict, change: Change) -> list[str]:
    """Changes of keys that the file has, or "add" for those that it does not have; nothing where a key is not known."""
    before, after, keys = verdict.setup.plan, change.ranked.plan, verdict.reading.keys
    policy = recompute_words(change.ranked.job, after)
    differ = [(name, getattr(after, name)) for name in SETTINGS if getattr(before, name) != getattr(after, name)]
    found: list[str] = []
    for name, value in differ:
        key, old = keys.get("recompute" if name == "recompute_layers" else name, ("", ""))
        new = {"full": "true", "none": "false"}.get(policy, policy) if name == "recompute_layers" else f"{value}"
        new = {"1": "true", "0": "false"}[new] if name == "sp" else new
        if name == "zero" and key == "deepspeed":
            new = f"a JSON with zero_optimization.stage {value}"
        if key.startswith("!"):
            key, new = key[1:], {"true": "false", "false": "true"}.get(new, new)
        if key:
            found += [f"- {key}: {old:.60}", f"+ {key}: {new}"] if old else [f"add {key}: {new}"]
    return found


def _settings(text: str) -> list[str]:
    """One setting per line: of a JSON "zero_optimization.stage: 2"."""
    if not text.startswith("{"):
        return text.splitlines()
    return [f"{path}: {json.dumps(value)}" for path, value in _flat(json.loads(text))]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def _best(verdict: Verdict) -> list[tuple[str, str]]:
    if (best := verdict.best) is None:
        return []
    plan = f"{degrees(best.plan)}, recompute {recompute_words(best.job, best.plan)}"
    return [("best", f"{plan}: {_costs(verdict, best)}")]


def _ignored(verdict: Verdict) -> list[tuple[str, str]]:
    ignored = verdict.reading.ignored
    rows = [("ignored", f"{where(line)}{why}") for line, why in ignored[:LONGEST_LIST]]
    more = len(ignored) - len(rows)
    return rows + ([("", f"and {more} more lines")] if more else [])


def document(verdict: Verdict, name: str, assumptions: tuple[str, ...]) -> checks.Check:
    """The verdict as JSON."""
    found = {
        "schema": "planner.check/1",
        "planner_version": __version__,
        "file": name,
        "target": verdict.reading.target,
        "inputs": inputs(verdict.setup.job),
        "assumptions": list(assumptions),
        "legal": verdict.legal,
        "fits": verdict.fits,
        "margin": verdict.margin,
        "usable_memory_bytes": verdict.capacity,
        "problems": [picked(p, "rule message line source", line=p.line or None) for p in verdict.problems],
        "not_modelled": [
            picked(o, "option value line touches why", line=o.line or None) for o in verdict.reading.not_modelled
        ],
        "plan": plan_data(verdict.ranked, 1) if verdict.ranked else None,
        "measured": _measured_data(verdict),
        "changes": [
            {"settings": one.count, "edits": edits(verdict, one), "plan": plan_data(one.ranked, n)}
            for n, one in enumerate(verdict.changes, 1)
        ],
        "best": plan_data(verdict.best, 1) if verdict.best else None,
        "ignored": [{"line": line or None, "why": why} for line, why in verdict.reading.ignored],
    }
    return cast("checks.Check", found)


def _measured_data(verdict: Verdict) -> checks.Measured | None:
    if (found := verdict.measured) is None:
        return None
    own = {
        "memory_causes": [picked(one, "name meaning=words peak_bytes=need") for one in found.causes],
        "suspects": [picked(one, "name meaning=words factor spreads") for one in found.suspects],
    }
    names = "step_time_s=step peak_memory_bytes=memory outside_band=outside ran_out_of_memory=ran_out"
    return cast("checks.Measured", picked(found, f"{names} memory_causes suspects", **own))
