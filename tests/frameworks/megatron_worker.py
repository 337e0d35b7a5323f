"""Megatron's argument parser, its checks and its model, question by question.

Started with a directory (see `fetch_megatron.py`) it knows that version, argument parser included; started without
one, the installed megatron-core. A question names its `op`:
check       flags, world, env, arch      -> a verdict with every parsed value
parameters  (flags, ... | shape, layout), rank  -> parameters of each model chunk of that rank
layers      (flags, ... | shape, layout) -> layers of each chunk of each pipeline rank
groups      layout, token, expert        -> groups of ranks
options                                  -> every option of the parser, and its default
version                                  -> megatron-core's
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from functools import cache
from typing import Any

from tests.frameworks import megatron_build as build
from tests.frameworks import megatron_path
from tests.frameworks.serve import Answer, command_line, environment, serve, stage

FUSED = ("apply_rope_fusion", "moe_permute_fusion")
"""Both need Transformer Engine, which needs a device: off while the configuration is made. Nothing depends on them."""


@cache
def build_parser_once() -> None:
    """Its building reads the docstrings of all configuration classes: a tenth of a second that every set would cost."""
    from megatron.training import arguments

    original = arguments.add_megatron_arguments
    built: list[Any] = []

    def once(parser: Any) -> Any:
        if not built:
            built.append(original(parser))
        return built[0]

    arguments.add_megatron_arguments = once


def validated(question: Answer) -> tuple[Any, Any]:
    """Parsed and checked arguments, and the model's configuration made of them: as training does."""
    import torch
    from megatron.core import num_microbatches_calculator as batches
    from megatron.training import arguments

    build_parser_once()
    megatron_path.ARCH["major"] = question.get("arch", 9)
    added = {"RANK": "0", "WORLD_SIZE": str(question["world"])} | question.get("env", {})
    with environment(added), command_line(*question["flags"]):
        try:
            with stage("parse"):
                args = copy.deepcopy(arguments.parse_args())  # defaults are shared with the parser
            asked = {name: getattr(args, name) for name in FUSED}
            vars(args).update(dict.fromkeys(FUSED, False))
            with stage("validate"):
                arguments.validate_args(args)
            with stage("config"):
                config = arguments.core_transformer_config_from_args(args)
            vars(args).update(asked)
            with stage("batches"):
                batches.unset_num_microbatches_calculator()
                names = ("rampup_batch_size", "global_batch_size", "micro_batch_size", "data_parallel_size")
                sizes = {name: getattr(args, name) for name in names}
                wanted = args.decrease_batch_size_if_needed
                batches.init_num_microbatches_calculator(rank=1, decrease_batch_size_if_needed=wanted, **sizes)
                args.num_microbatches = batches.get_num_microbatches()
        finally:
            torch.use_deterministic_algorithms(False)
    args.padded_vocab_size = padded_vocabulary(args)
    return args, config


def padded_vocabulary(args: Any) -> int | None:
    """As the tokenizer's builder makes it; before 0.18 it is no function of its own."""
    if args.vocab_size is None:
        return None
    sizes = args.vocab_size, args.make_vocab_size_divisible_by, args.tensor_model_parallel_size
    try:
        from megatron.training.vocab_utils import calculate_padded_vocab_size
    except ModuleNotFoundError:
        return int(-(-sizes[0] // (sizes[1] * sizes[2])) * sizes[1] * sizes[2])
    return int(calculate_padded_vocab_size(*sizes, logging_enabled=False))


def layout_of(args: Any) -> dict[str, Any]:
    """The degrees of a set of arguments, in the words of `megatron.Layout`."""
    return {
        "world": args.world_size,
        "tp": args.tensor_model_parallel_size,
        "pp": args.pipeline_model_parallel_size,
        "vp": args.virtual_pipeline_model_parallel_size or 1,
        "cp": args.context_parallel_size,
        "ep": args.expert_model_parallel_size,
        "etp": args.expert_tensor_parallel_size,
        "pp_before_dp": args.use_tp_pp_dp_mapping,
        "instances": args.num_distributed_optimizer_instances,
    }


def model_of(args: Any) -> dict[str, Any]:
    """What GPTModel is told beside its configuration (gpt_builders.py)."""
    return {
        "padded_vocab": args.padded_vocab_size,
        "positions": args.max_position_embeddings,
        "position_embedding": args.position_embedding_type,
        "tied": not args.untie_embeddings_and_output_weights,
    }


def described(question: Answer) -> tuple[Any, Answer, Answer]:
    """Configuration, layout and the rest of the model, of flags or of plain numbers."""
    if "flags" in question:
        args, config = validated(question)
        return config, layout_of(args), model_of(args)
    with stage("config"):
        config = build.config_of(question["shape"], question["layout"])
    layout = question["layout"] | {"vp": config.virtual_pipeline_model_parallel_size or 1}
    return config, layout, question["shape"]


def check(question: Answer) -> Answer:
    """The verdict on a set of flags."""
    args, config = validated(question)
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {"ok": True, "args": vars(args), "config": fields}


def parameters(question: Answer) -> Answer:
    """Per chunk of one rank."""
    config, layout, model = described(question)
    with build.groups(layout, question["rank"]):
        return {"ok": True, "counts": build.parameters(config, model, layout["vp"])}


def layers(question: Answer) -> Answer:
    """Per pipeline rank and chunk."""
    config, layout, _ = described(question)
    return {"ok": True, "counts": build.layers(config, layout["pp"], layout["vp"])}


def groups(question: Answer) -> Answer:
    """Lists of ranks."""
    return {"ok": True, "groups": build.rank_groups(question["layout"], question["token"], question["expert"])}


def version(_: Answer) -> Answer:
    """Of the package that was found."""
    import megatron.core

    return {"ok": True, "version": megatron.core.__version__}


def options(_: Answer) -> Answer:
    """As text; an enumeration by its name, a list by its entries."""
    from argparse import ArgumentParser

    from megatron.training.arguments import add_megatron_arguments

    actions = add_megatron_arguments(ArgumentParser(allow_abbrev=False))._actions
    names = {name[2:]: action for action in actions for name in action.option_strings if name.startswith("--")}
    return {"ok": True, "options": {name: said(one.default) for name, one in names.items()}}


def said(value: Any) -> str:
    """As a command would have it."""
    value = getattr(value, "name", value)
    return " ".join(map(said, value)) if isinstance(value, list | tuple) else str(value)


OPERATIONS = {
    "check": check,
    "parameters": parameters,
    "layers": layers,
    "groups": groups,
    "options": options,
    "version": version,
}

if __name__ == "__main__":
    megatron_path.open_path(sys.argv[1] if len(sys.argv) > 1 else None)
    serve(lambda question: OPERATIONS[question.pop("op", "check")](question))
