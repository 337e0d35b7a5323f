"""Measured fine-tuning runs as they lie, and the bytes that the Trainer's presets give them."""

from __future__ import annotations

import pytest

from planner.accuracy.corpus import Corpus
from planner.accuracy.predict import predict
from planner.accuracy.rows import read_table
from tests.accuracy.samples import read_corpus

HEADER = (
    "id,source,model,gpu,n_gpus,framework,method,base_weights,lora_rank,lora_targets,torch_dtype,mixed_precision,kernels,"
    "fused_cross_entropy,seq_len,micro_batch,global_batch,recompute,zero_stage,outcome,peak_alloc_bytes,tokens_per_s"
)
TARGETS = "q_proj k_proj v_proj o_proj"
A100 = "refs/a100_80gb_liger.csv,llama3-8b,A100-80GB-SXM"
POWER = "refs/a100_80gb_granite.csv,powerlm-3b,A100-80GB-SXM"
CODER, MIXTRAL = (f"refs/a100_80gb.csv,{name},A100-80GB-SXM" for name in ("santacoder-1.1b", "mixtral-8x7b"))
FULL, LORA, QLORA = "full,none,,", f"lora,none,16.0,{TARGETS}", f"qlora,nf4,16.0,{TARGETS}"
MIXED = "bfloat16,bf16"
ROWS = (
    f"fms-liger-005,{A100},1,HF Trainer,{FULL},{MIXED},foak-liger,yes,4096,4,4,full,0,ran,80315811840,3288",
    f"fms-liger-009,{A100},1,HF Trainer,{LORA},{MIXED},foak,no,4096,4,4,full,0,ran,37645387776,3829",
    f"fms-liger-023,{A100},1,HF Trainer,{QLORA},{MIXED},foak-liger,yes,4096,16,16,full,0,ran,39986200576,3900",
    f'fms-liger-066,{A100},4,"HF Trainer, FSDP",{FULL},{MIXED},foak,no,4096,8,32,full,3,ran,68955700000,2264',
    f"fms-liger-012,{A100},1,HF Trainer,{LORA},{MIXED},foak,no,4096,32,32,full,0,oom,,",
    f"fms-granite-017,{POWER},1,HF Trainer,{QLORA},{MIXED},baseline-peft-bnb,no,4096,4,4,full,0,ran,18174161920,1025",
    f"fms-003,{CODER},1,HF Trainer,{FULL},bfloat16,none,none,no,4096,8,8,full,0,ran,15193274880,18410",
    f"fms-071,{CODER},1,HF Trainer,{QLORA},{MIXED},accelerated-peft-bnb,no,4096,8,8,full,0,ran,17486716416,16003",
    f"fms-063,{MIXTRAL},1,HF Trainer,{QLORA},{MIXED},baseline-peft-bnb,no,4096,8,8,full,0,ran,60545920512,1690",
    f"fms-moe-001,{A100},1,HF Trainer,{FULL},bfloat16,none,none,no,,8,128,full,0,ran,,1951",
)
"""Of foundation-model-stack/fms-acceleration scripts/benchmarks/refs @876e2ed: 74.80, 35.06, 37.24, 64.22,
16.93, 14.15, 16.29, 56.39 GiB.
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The rows, read as a file of that layout."""
    path = tmp_path_factory.mktemp("finetune") / "measured.csv"
    path.write_text("\n".join((HEADER, *ROWS)) + "\n")
    return read_corpus(read_table(path).rows)


def test_rows_are_a_kind_of_their_own(corpus: Corpus) -> None:
    """A time and a peak of each run, a verdict of the one that failed; the one without lengths is left out."""
    assert {case.source for case in corpus.cases} == {"finetune"}
    assert [bool(case.step) for case in corpus.cases].count(True) == 8
    assert [case.fit for case in corpus.cases if case.fit] == ["oom"]
    assert all("finetune" in case.labels and not case.main for case in corpus.cases)
    assert [one.reason for one in corpus.skipped] == ["the lengths of its samples vary"]
    methods = [(case.job.workload.method, case.job.workload.loss) for case in corpus.cases if case.peak]
    assert methods[:4] == [("full", "linear"), ("lora", None), ("qlora", "linear"), ("full", None)]
    assert [case.job.framework.logits_bytes for case in corpus.cases if case.peak][1:] == [8, 8, 8, 12, 6, 12, 14]


def test_peaks_as_measured(corpus: Corpus) -> None:
    """Allocated bytes within 3 %, and that it ran or did not."""
    for one in predict(corpus.cases):
        assert one.fits == (one.case.fit != "oom")
        if one.case.peak is not None:
            assert one.peak == pytest.approx(one.case.peak, rel=0.03)
