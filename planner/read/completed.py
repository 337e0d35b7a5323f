"""Options of a Megatron-LM command that stand elsewhere: lengths that the user gives, words of a tokenizer, slime's."""

from __future__ import annotations

from dataclasses import replace

from planner.read.context import Context
from planner.read.options import Option, Options
from planner.read.reading import Reading
from planner.read.table import NotModelled

ROLLOUT = ("rollout-batch-size", "hf-checkpoint", "rollout-function-path", "actor-num-nodes")
"""Options by which slime's train.py is known (THUDM/slime 624b824a, slime/utils/arguments.py)."""


SWITCHED_ON = ("use-distributed-optimizer", "no-create-attention-mask-in-dataloader")
"""Options of Megatron-LM that slime sets itself, and what its own loader does."""


def is_slime(options: Options) -> bool:
    """Whether slime reads these options and not Megatron-LM's own script."""
    return any(name in options for name in ROLLOUT)


def completed(options: Options, context: Context) -> Options:
    """The options with what the user states, and with slime's defaults and without its own options."""
    given = dict(options.given)
    if is_slime(options):
        own = {name[2:] for name, _ in options.strange}
        given = {name: option for name, option in given.items() if name not in own} | _packed(options)
        options = replace(options, strange=())
    if context.seq and "seq-length" not in given:
        given["seq-length"] = Option((str(context.seq),), 0)
    if is_slime(options) and "seq-length" in given:
        given.setdefault("max-position-embeddings", given["seq-length"])
    return replace(options, given=given)


def _packed(options: Options) -> dict[str, Option]:
    """Micro-batches of so many tokens on each rank: one sequence of that length, over context parallel ranks."""
    tokens = options.whole("max-tokens-per-gpu")
    found = {} if "micro-batch-size" in options else {"micro-batch-size": Option(("1",), 0)}
    found |= {name: Option((), 0) for name in SWITCHED_ON} | _steps(options)
    if tokens and "seq-length" not in options:
        line = options.line("max-tokens-per-gpu")
        found["seq-length"] = Option((str(tokens * (options.whole("context-parallel-size") or 1)),), line)
    if not {"bf16", "fp16"} & options.given.keys():
        found["bf16"] = Option((), 0)
    return found


def _steps(options: Options) -> dict[str, Option]:
    """The global batch where it is said in steps: those that a rollout's samples make."""
    steps, prompts = options.whole("num-steps-per-rollout"), options.whole("rollout-batch-size")
    if not steps or not prompts or "global-batch-size" in options:
        return {}
    samples = prompts * (options.whole("n-samples-per-prompt") or 1) // steps
    return {"global-batch-size": Option((str(samples),), options.line("num-steps-per-rollout"))}


def rollouts(options: Options, reading: Reading) -> Reading:
    """What slime does beside the training step, by name."""
    if not is_slime(options):
        return reading
    found = [
        NotModelled(
            "max-tokens-per-gpu",
            options.text("max-tokens-per-gpu"),
            ("time",),
            "micro-batches are packed: each is timed as one document, as many a step as sequences",
            options.line("max-tokens-per-gpu"),
        )
    ] * ("max-tokens-per-gpu" in options)
    if options.text("loss-type") != "sft_loss":
        name = next(name for name in ROLLOUT if name in options)
        why = "the actor's training step is what is weighed and timed: no reference, reward or rollout"
        found.append(NotModelled(name, options.text(name), ("memory", "time"), why, options.line(name)))
    return replace(reading, not_modelled=(*reading.not_modelled, *found))


def words_of(options: Options, context: Context) -> tuple[int | None, tuple[str, ...]]:
    """The vocabulary of the model whose tokenizer is named, and a note; nothing where the options say it."""
    if context.vocabulary or "vocab-size" in options or "padded-vocab-size" in options:
        return context.vocabulary, ()
    for name in ("tokenizer-model", "hf-checkpoint", "tokenizer-name-or-path"):
        option = options.given.get(name)
        if option is None or not option.values or option.unknown:
            continue
        found = context.lookup(option.values[0])
        if found is not None:
            return found.vocab, (f"vocabulary {found.vocab:,}, that of {found.name}, whose tokenizer is named",)
    return None, ()
