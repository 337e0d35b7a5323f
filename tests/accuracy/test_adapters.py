"""Published layouts are brought into the common format."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.accuracy.corpus import Corpus
from planner.accuracy.rows import read_folder, read_table
from planner.errors import PlannerError
from planner.units import GIB
from tests.accuracy.samples import read_corpus, row

PLAYBOOK = (
    "sweep_group,model,n_layers,hidden,ffn_hidden,n_heads,n_kv_heads,vocab,tied_embeddings,seq_len,gpu,n_gpus,"
    "gpus_per_node,tp,pp,dp,zero_stage,micro_batch,grad_accum,global_batch,status,tokens_per_sec_per_gpu,"
    "iter_seconds_derived,mfu_reported_pct,peak_mem_gb,flag\n"
    "pb-1B-8g,1B,16,2048,8192,32,32,131072,yes,4096,H100-80GB-SXM,8,8,1,1,8,0,2,16,256,ok,40000,3.2,39.2,50.2,\n"
    "pb-1B-8g,1B,16,2048,8192,32,32,131072,yes,4096,H100-80GB-SXM,8,8,2,1,4,1,2,32,256,crashed_or_oom,,,,,\n"
    "pb-1B-8g,1B,16,2048,8192,32,32,131072,yes,4096,H100-80GB-SXM,8,8,1,1,8,0,2,8,256,ok,1,1,1,1,inconsistent_batch\n"
)
SIMUMAX = (
    "source,model,gpu,n_gpus,seq,mbs,gbs,tp,pp,vp,cp,ep,zero,recompute,precision,metric,measured,predicted,"
    "rel_err_pct,n_layers,dp,n_microbatches,measured_how,note\n"
    "docs,llama3-70b,B200-SXM,8,4096,1,16,1,2,1,1,1,1,none,bf16,iter_ms,843.0,828,-1.69,12,4,4,published number,\n"
    "docs,llama3-8b,A100-PCIe-80GB,8,4096,1,32,1,1,1,1,1,1,none,bf16,tflops_per_gpu,,1,1,32,8,4,only the error,\n"
)


def corpus_of(folder: Path, text: str) -> Corpus:
    """The cases of one file."""
    path = folder / "table.csv"
    path.write_text(text)
    return read_corpus(read_table(path).rows)


def test_playbook(tmp_path: Path) -> None:
    """A run is a time and a peak of rank 0; crashes and inconsistent rows are no verdicts."""
    corpus = corpus_of(tmp_path, PLAYBOOK)
    time, peak = corpus.cases
    assert time.step == pytest.approx(256 * 4096 / (40000 * 8))
    assert (peak.peak, peak.tool, peak.rank) == (50.2 * GIB, "allocated", "first")
    assert time.group == "pb-1B-8g" and time.source == "pb" and time.job.model.tied_embeddings
    assert [s.reason for s in corpus.skipped] == ["crashed_or_oom", "inconsistent_batch"]


def test_simumax(tmp_path: Path) -> None:
    """Milliseconds become seconds; a value that was never published is skipped."""
    corpus = corpus_of(tmp_path, SIMUMAX)
    assert corpus.cases[0].step == pytest.approx(0.843)
    assert corpus.cases[0].job.model.layers == 12 and corpus.cases[0].job.model.hidden == 8192
    assert len(corpus.skipped) == 1


def test_a_folder_is_read_without_what_is_no_table(tmp_path: Path) -> None:
    """Other CSV files are named, not fatal."""
    (tmp_path / "a.csv").write_text(",".join(row()) + "\n" + ",".join(f'"{v}"' for v in row().values()) + "\n")
    (tmp_path / "b.csv").write_text("name,colour\nx,blue\n")
    tables, others = read_folder(tmp_path)
    assert [len(t.rows) for t in tables] == [1] and others == ["b.csv"]
    assert len(read_corpus(tables[0].rows).cases) == 1


@pytest.mark.parametrize("text", [b"", b"\x00\x01\x02", b"\xff\xfe\xff", b"name,value\n1,2\n"])
def test_what_is_no_table(tmp_path: Path, text: bytes) -> None:
    """One error that names the file."""
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    with pytest.raises(PlannerError, match=r"x\.csv"):
        read_table(path)
