"""The tables of options against the parsers themselves: what a new release adds shows up here by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import pytest

from planner.read.deepspeed import known_keys
from planner.read.options import known_options
from planner.read.table import Given, Table, flat, key, table
from tests.frameworks.deepspeed import deepspeed_keys
from tests.frameworks.heavy.torchtitan import torchtitan_accepts
from tests.frameworks.megatron import MegatronValidator
from tests.frameworks.verdict import need

OPEN = ("", "None", "==SUPPRESS==")
"""Defaults that say nothing."""


def without_row(table: Table, options: Mapping[str, str]) -> list[str]:
    """Options of a parser that the table does not know, nor any key below them."""
    return sorted(
        name
        for name in options
        if table.group(name) is None and not any(row.startswith(f"{key(name)}.") for row in table.rows)
    )


def named_defaults(table: Table, options: Mapping[str, str], switches: set[str]) -> dict[str, str]:
    """Options that would be named although they have the framework's own default."""
    given = [Given(name, value) for name, value in options.items() if value not in OPEN and name not in switches]
    return {one.option: one.value for one in table.not_modelled(given)}


MEANT = {"moe-token-dispatcher-type": "allgather"}
"""Defaults that are named on purpose: the estimate has another."""


def test_megatron(megatron: MegatronValidator) -> None:
    """Every option of the parser has a row, and no default is named."""
    options = megatron.options()
    assert not without_row(table("megatron"), options)
    switches = {name[2:] for name, takes in known_options("megatron").items() if takes == "0"}
    found = named_defaults(table("megatron"), options, switches)
    assert {name: value for name, value in found.items() if MEANT.get(name) != value} == {}


def test_megatron_options_are_those_of_the_parser(megatron: MegatronValidator) -> None:
    """The list that the reader sorts words by; versions before may have more."""
    listed = {name[2:] for name in known_options("megatron")}
    assert not {name for name in megatron.options() if key(name) not in {key(one) for one in listed}}


def test_deepspeed() -> None:
    """Every key of every section that a model reads, and every key at the top."""
    options = deepspeed_keys()
    assert not without_row(table("deepspeed"), options)
    assert named_defaults(table("deepspeed"), options, set()) == {}
    rows = table("deepspeed").rows
    assert not {name for name in known_keys() if not any(row.partition(".")[0] == name for row in rows)}


def test_torchtitan() -> None:
    """Every field of JobConfig."""
    verdict = torchtitan_accepts('[model]\nname = "llama3"\nflavor = "debugmodel"\n', 1)
    options = {one.option: one.value for one in flat(verdict.args)}
    assert not without_row(table("torchtitan"), options)
    assert named_defaults(table("torchtitan"), options, set()) == {}


@pytest.mark.parametrize("name", ["megatron", "megatron-deepspeed", "deepspeed", "torchtitan"])
def test_source_and_version_are_stated(name: str) -> None:
    """As docs print them."""
    found = table(name)
    assert found.version and found.source and found.framework


def test_accelerate() -> None:
    """Every option of `accelerate launch`, and every key of its configuration file."""
    need("torch", "accelerate")
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import launch_command_parser

    actions = launch_command_parser()._actions
    options = {name[2:]: str(one.default) for one in actions for name in one.option_strings if name.startswith("--")}
    options |= {field.name: str(field.default) for field in fields(ClusterConfig) if field.name not in SECTIONS}
    found = table("accelerate")
    assert not without_row(found, {name: value for name, value in options.items() if key(name) not in ELSEWHERE})
    plain = {name: value for name, value in options.items() if value not in (*OPEN, "False") and "MISSING" not in value}
    assert named_defaults(found, plain, set()) == {}


SECTIONS = ("fp8_config", "deepspeed_config", "fsdp_config", "parallelism_config", "megatron_lm_config")
SECTIONS += ("mpirun_config", "dynamo_config")
"""Of the file: read key by key, flat."""

ELSEWHERE = ("help", "aws_access_key_id", "aws_secret_access_key", "command_file", "commands")
"""Of other clouds than those that the planner knows."""
