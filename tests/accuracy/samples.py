"""Hand-made rows of measurements."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from planner.accuracy.corpus import Case, Corpus, find_case
from planner.accuracy.machines import Shelf
from planner.accuracy.rows import Row
from planner.catalog.library import open_library

GPT = {
    "id": "paper-001",
    "source": "made up for tests",
    "model": "Toy (22B)",
    "n_layers": "48",
    "hidden": "6144",
    "ffn_hidden": "24576",
    "n_heads": "64",
    "vocab": "51200",
    "gated_mlp": "no",
    "seq_len": "2048",
    "gpu": "A100-80GB-SXM",
    "n_gpus": "64",
    "gpus_per_node": "8",
    "interconnect": "NVLink; 8x200 Gbps HDR IB per node",
    "tp": "8",
    "pp": "4",
    "vp": "1",
    "sequence_parallel": "no",
    "zero_stage": "0",
    "schedule": "1f1b",
    "micro_batch": "4",
    "global_batch": "64",
    "recompute": "full",
    "flash_attention": "no",
    "precision": "fp16",
    "framework": "Megatron-LM",
    "metric": "iter_seconds",
    "value": "5.0",
}
"""A row that says everything; dp is left to be derived: 64 / (8*4) = 2."""


def row(**changes: str) -> dict[str, str]:
    """That row with other cells."""
    return GPT | changes


@cache
def shelf() -> Shelf:
    """The packaged profiles."""
    return Shelf(open_library())


def case(**changes: str) -> Case:
    """The case of that row."""
    return find_case(shelf(), row(**changes))


def read_corpus(rows: Iterable[Row]) -> Corpus:
    """Cases and skipped rows of some rows."""
    corpus = Corpus()
    corpus.add(rows)
    return corpus
