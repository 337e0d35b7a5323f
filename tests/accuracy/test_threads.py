"""Verdicts of issue threads as they lie, and what the presets say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.accuracy.corpus import Corpus
from planner.accuracy.predict import predict
from planner.accuracy.rows import read_table
from tests.accuracy.samples import read_corpus

HEADER = (
    "id,source(repo#n),model,n_layers,hidden,ffn,heads,kv_heads,vocab,seq,gpu,gpu_mem_gb,n_gpus,tp,pp,vp,dp,cp,ep,zero,"
    "recompute,mbs,gbs,flash,precision,outcome,measured_peak_gb,measured_iter_s,notes,verified,scorable"
)
LITGPT = "Lightning-AI/litgpt:tutorials/resource-tables.md"
LLAMA = "llama2-7b,32,4096,11008,32,32,32000,1304,A100,40"
ROWS = (
    f"U318,{LITGPT},{LLAMA},2,1,1,1,2,1,1,3,full,1,,1,bf16-pure LoRA,fits,22.18,,,text,y",
    f"U308,{LITGPT},{LLAMA},1,1,1,1,1,1,1,0,none,4,,1,bf16-pure LoRA,oom,,,,text,y",
    f"U305,{LITGPT},{LLAMA},1,1,1,1,1,1,1,0,none,1,,1,bf16-pure LoRA nf4,fits,14.14,,,text,y",
    "U074,hiyouga/LlamaFactory#8642,qwen3-32b,64,5120,25600,64,8,151936,1024,H200,141,8,1,1,,8,1,,2,full,1,,,"
    "bf16-mixed(fp32 master),oom,,,,text,y",
    "U024,NVIDIA-NeMo/Automodel#2673,llama3-70b,80,8192,28672,64,8,128256,1024,H100,80,32,1,8,,4,,,3,,4,,,bf16,oom,,,,"
    "text,y",
    "U012,alibaba/Megatron-LLaMA#11,llama2-7b,32,4096,11008,32,32,32000,,A800,80,2,2,1,,1,,,,,4,,,,oom,,,,partial,y",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The rows, read as a file of that layout."""
    path: Path = tmp_path_factory.mktemp("threads") / "oom_cases.csv"
    path.write_text("\n".join((HEADER, *ROWS)) + "\n")
    return read_corpus(read_table(path).rows)


def test_verdicts_are_a_family_of_their_own(corpus: Corpus) -> None:
    """Verdicts alone, none of the main score; what nobody read is left out, with the reason."""
    assert {case.source for case in corpus.cases} == {"thread"} and len(corpus.cases) == 5
    assert all("threads" in case.labels and case.fit and not case.main for case in corpus.cases)
    assert [one.id for one in corpus.skipped] == ["thread-U012"] and "not read" in corpus.skipped[0].reason


def test_what_the_threads_leave_open(corpus: Corpus) -> None:
    """Presets by repository; a pipeline has a micro-batch for every stage."""
    found = {case.id.removeprefix("thread-"): case for case in corpus.cases}
    assert found["U318"].job.framework.name == "litgpt" and found["U074"].job.framework.name == "hf"
    assert found["U305"].job.workload.method == "qlora" and found["U318"].job.workload.lora_rank == 8
    assert found["U024"].plan.m == 8 and found["U074"].job.workload.optimizer == "adam"


def test_verdicts(corpus: Corpus) -> None:
    """As the threads have them: loading beside a shard, the fp32 gradients of a whole ZeRO-2 shard, a full pipeline."""
    for one in predict(corpus.cases):
        assert one.fits == (one.case.fit == "fits"), one.case.id
