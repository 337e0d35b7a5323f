"""Constants are found again in runs that were made with them; logs are read; overlays are profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.accuracy.calibrate import CONSTANTS, Calibration, calibrate, fit_times, with_factors
from planner.accuracy.corpus import Case, find_case
from planner.accuracy.fitting import fit
from planner.accuracy.logruns import Said, log_cases, preset_of
from planner.accuracy.logs import Log, deepspeed_facts, read_log
from planner.accuracy.overlay import overlay, plain, write_overlay, yaml_text
from planner.accuracy.predict import predict
from planner.catalog.clusters import find_cluster
from planner.catalog.library import open_library, record_of
from planner.catalog.yamlfile import read_profile
from planner.errors import PlannerError
from planner.questions.train import recommend
from planner.training.job import Job
from planner.training.space import Bounds
from tests.accuracy.samples import case, row, shelf

GIB = 2.0**30


def runs() -> list[Case]:
    """Layouts that stress different parts: compute, tensor parallel traffic, pipeline, gradients over the network."""
    layouts = [("8", "1", "4"), ("8", "4", "1"), ("4", "4", "2"), ("4", "2", "4"), ("2", "8", "1"), ("2", "4", "2")]
    layouts += [("1", "8", "1"), ("8", "8", "8"), ("8", "2", "1"), ("4", "8", "4")]
    jobs: dict[tuple[Any, ...], Job] = {}
    return [
        find_case(shelf(), row(id=f"run-{n}", tp=tp, pp=pp, micro_batch=b, global_batch=batch), jobs)
        for n, (tp, pp, b) in enumerate(layouts)
        for batch in ("64", "512")
    ]


def measured(cases: list[Case], factors: dict[str, float]) -> list[Case]:
    """Those runs with the times that the planner would predict, had it these constants."""
    found = predict(cases, preset=lambda job: with_factors(job, factors))
    return [replace(c, step=p.step) for c, p in zip(cases, found, strict=True)]


def factors_of(result: Calibration) -> dict[str, float]:
    """By name."""
    return {one.constant.name: one.factor for one in result.fitted}


@cache
def slower() -> Calibration:
    """Runs on a machine whose kernels all take 15 % longer."""
    return calibrate(measured(runs(), {"compute": 0.85}))


def test_least_squares_finds_a_line_and_shrugs_at_an_outlier() -> None:
    """y = 2x with one point gone; a wide prior."""
    x = np.arange(1.0, 9.0)
    y = 2.0 * x
    y[3] = 100.0
    found = fit(lambda p: (p[0] * x - y) / 0.1, np.array([100.0]))
    assert found.x[0] == pytest.approx(2.0, abs=0.02)
    assert 0 < found.deviation[0] < 0.1


def test_without_data_the_prior_stays() -> None:
    """Nothing moves, and the uncertainty is the prior's."""
    found = fit(lambda p: np.zeros(3), np.array([0.2, 0.4]))
    assert found.x.tolist() == [0.0, 0.0]
    assert found.deviation == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize(
    ("truth", "within"),
    [
        ({"compute": 0.85}, 0.04),
        ({"compute": 1.1, "elementwise": 1.5}, 0.2),
        ({"elementwise": 2.0}, 0.2),
        ({"compute": 0.9, "network": 0.6}, 0.15),
    ],
    ids=str,
)
def test_constants_are_recovered(truth: dict[str, float], within: float) -> None:
    """Runs without noise: errors go, and the constants that made them come back."""
    result = calibrate(measured(runs(), truth))
    found = factors_of(result)
    for name, factor in truth.items():
        assert np.log(found[name] / factor) == pytest.approx(0.0, abs=within), found
    before, after = result.errors("step") or (0.0, 0.0)
    assert after < 0.012 < before


def test_nothing_to_correct_moves_nothing() -> None:
    """Perfect predictions stay perfect."""
    result = calibrate(measured(runs(), {}))
    assert all(factor == pytest.approx(1.0, abs=1e-6) for factor in factors_of(result).values())


def test_one_run_moves_most_of_the_way() -> None:
    """All kernels 15 % slower, a single run: other layouts are predicted with a third of the error at most."""
    truth = {"compute": 0.85}
    _, one, *others = measured(runs(), truth)
    factors = {f.constant.name: f.factor for f in fit_times([one])}
    errors = [abs(p.step / (p.case.step or 1) - 1) for p in predict(others)]
    left = [
        abs(p.step / (p.case.step or 1) - 1) for p in predict(others, preset=lambda job: with_factors(job, factors))
    ]
    assert np.median(left) < np.median(errors) / 3


def test_one_run_gone_wrong_moves_little() -> None:
    """Twenty times slower than predicted, which no likely constant explains: other layouts stay within 5 %."""
    one, *others = measured(runs(), {})
    factors = {f.constant.name: f.factor for f in fit_times([replace(one, step=20 * (one.step or 0))])}
    found = predict(others, preset=lambda job: with_factors(job, factors))
    assert np.median([abs(p.step / (p.case.step or 1) - 1) for p in found]) < 0.05


def test_what_the_runs_do_not_touch_stays() -> None:
    """One node says nothing about the network, and is told so."""
    cases = measured([case(n_gpus="8", pp="1", micro_batch=b) for b in ("1", "2", "4")], {"compute": 0.9})
    network = next(f for f in fit_times(cases) if f.constant.name == "network")
    assert (network.factor, network.determined) == (1.0, False)
    assert network.share == pytest.approx(1.0)


def test_noise_is_survived() -> None:
    """4 % of noise and one run that went wrong by a factor of two."""
    rng = np.random.default_rng(1)
    cases = [
        replace(c, step=(c.step or 0) * float(np.exp(rng.normal(0, 0.04)))) for c in measured(runs(), {"compute": 0.85})
    ]
    cases[5] = replace(cases[5], step=2 * (cases[5].step or 0))
    before, after = calibrate(cases).errors("step") or (0.0, 0.0)
    assert after < 0.05 < before


def test_repeats_of_a_run_count_once() -> None:
    """The median of five equal layouts is one run."""
    one = measured(runs()[:1], {"compute": 0.85})
    many = [replace(one[0], id=f"r{n}", step=(one[0].step or 0) * x) for n, x in enumerate((0.5, 1, 1, 1, 3))]
    assert factors_of(calibrate(many)) == factors_of(calibrate(one))


def test_reserve() -> None:
    """Peaks that are 3 GiB above the prediction move the reserve so far."""
    peaks = [c for c in runs() if c.plan.m < 40][:4]
    found = [replace(c, step=None, peak=p.peak + 3 * GIB) for c, p in zip(peaks, predict(peaks), strict=True)]
    result = calibrate(found)
    assert result.reserve == pytest.approx(3 * GIB, rel=0.15)
    assert result.job.framework.reserve == pytest.approx(found[0].job.framework.reserve + (result.reserve or 0))
    before, after = result.errors("memory") or (0, 0)
    assert after < before / 4
    assert not any(f.determined for f in result.fitted) and result.errors("step") is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"gpu": "H100-80GB-SXM"}, "accelerators"), ({"framework": "nanotron"}, "frameworks")],
)
def test_two_machines(changes: dict[str, str], what: str) -> None:
    """Constants of both cannot be one."""
    with pytest.raises(PlannerError, match=what):
        calibrate([case(), case(**changes)])


def test_verdicts_alone_fit_nothing() -> None:
    """Out of memory is no time."""
    with pytest.raises(PlannerError, match="no run"):
        calibrate([case(metric="fit", value="oom")])


def test_every_constant_acts_once() -> None:
    """Names are unique, and a factor of one changes nothing."""
    job = case().job
    assert len({c.name for c in CONSTANTS}) == len(CONSTANTS)
    for constant in CONSTANTS:
        assert constant.change(job, 1.0) == job
        assert constant.change(job, 0.5) != job


class TestOverlay:
    """Profiles with the fitted constants."""

    @pytest.fixture
    def result(self) -> Calibration:
        """All kernels 15 % slower."""
        return slower()

    @pytest.mark.parametrize("name", [None, "box7"])
    def test_reads_back_as_written(self, result: Calibration, tmp_path: Path, name: str | None) -> None:
        """Through the catalogue, field by field."""
        files = overlay(result, name, "2025-01-31")
        paths = write_overlay(files, tmp_path / "mine")
        assert len(paths) == len(files) == 5
        library = open_library(tmp_path / "mine")
        for (kind, called), profile in files.items():
            read = library.find(kind, called).value
            assert plain(read) == plain(profile)
            assert "calibrated to 10 runs" in read.source and "2025-01-31" in read.source
        names = {called for _, called in files}
        assert ("box7" in names) == (name is not None)

    def test_the_cluster_has_the_constants(self, result: Calibration, tmp_path: Path) -> None:
        """ "64x<accelerator>" resolves to the calibrated accelerator, node and links, and ranks with other times."""
        files = overlay(result, None, "2025-01-31")
        write_overlay(files, tmp_path)
        library = open_library(tmp_path)
        cluster = find_cluster("64xa100-sxm4-80gb-calibrated", library).value
        assert cluster.accelerator.efficiency.gemm == pytest.approx(
            result.job.cluster.accelerator.efficiency.gemm, 1e-4
        )
        assert cluster.scaleup is not None and cluster.scaleup.name == "nvlink3-calibrated"
        assert cluster.network is not None and cluster.network.rate == pytest.approx(25e9)
        framework = library.framework("megatron-core-calibrated").value
        job = case().job
        old = recommend(job, Bounds(), 1).ranked[0]
        new = recommend(replace(job, cluster=cluster, framework=framework), Bounds(), 1).ranked[0]
        assert new.step_time > 1.1 * old.step_time

    def test_other_spellings_stay_with_the_packaged_profile(self, result: Calibration, tmp_path: Path) -> None:
        """ "a100" does not come to mean the calibrated one."""
        write_overlay(overlay(result, None, "2025-01-31"), tmp_path)
        assert open_library(tmp_path).accelerator("a100").value.name == "a100-sxm4-80gb"

    def test_all_or_nothing(self, result: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A move that fails takes back those before it, and no draft stays behind."""
        folder = tmp_path / "mine"
        files = overlay(result, None, "2025-01-31")
        first = write_overlay(files, folder)[0]
        first.write_text("old")
        moves = 0

        def replace_once(source: Path, target: Path) -> None:
            nonlocal moves
            moves += 1
            if moves > 2:
                raise OSError(28, "No space left on device")
            Path(source).rename(target)

        monkeypatch.setattr("planner.catalog.textfile.os.replace", replace_once)
        with pytest.raises(PlannerError, match="no space left"):
            write_overlay(files, folder)
        assert first.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["mine"]

    def test_a_file_in_the_way(self, result: Calibration, tmp_path: Path) -> None:
        """Named, with the option."""
        (tmp_path / "mine").write_text("")
        with pytest.raises(PlannerError, match="is a file"):
            write_overlay(overlay(result, None, "2025-01-31"), tmp_path / "mine")

    @pytest.mark.parametrize("kind", ["accelerator", "node", "link", "framework"])
    def test_packaged_profiles_survive_the_round_trip(self, kind: str, tmp_path: Path) -> None:
        """Every packaged profile, written and read back."""
        library = open_library()
        for name in library.names(kind):
            profile = library.find(kind, name).value
            path = tmp_path / f"{name}.yaml"
            path.write_text(yaml_text(profile))
            assert plain(read_profile(path, record_of(kind))) == plain(profile), name


MEGATRON = """\
using world size: 16, data-parallel size: 2, tensor-model-parallel size: 4, pipeline-model-parallel size: 2
------------------------ arguments ------------------------
  bf16 ............................................ True
  context_parallel_size ........................... 1
  data_parallel_size .............................. 2
  ffn_hidden_size ................................. 16384
  fp16 ............................................ False
  global_batch_size ............................... 128
  hidden_size ..................................... 4096
  micro_batch_size ................................ 2
  num_attention_heads ............................. 32
  num_layers ...................................... 32
  num_query_groups ................................ 1
  padded_vocab_size ............................... 51200
  pipeline_model_parallel_size .................... 2
  recompute_granularity ........................... {recompute}
  recompute_method ................................ {method}
  recompute_num_layers ............................ {layers}
  seq_length ...................................... 2048
  sequence_parallel ............................... True
  swiglu .......................................... False
  tensor_model_parallel_size ...................... 4
  untie_embeddings_and_output_weights ............. False
  use_distributed_optimizer ....................... True
  virtual_pipeline_model_parallel_size ............ None
  world_size ...................................... 16
-------------------- end of arguments ---------------------
 [2025-01-31 10:00:00] iteration        1/     100 | consumed samples:           64 | elapsed time per iteration (ms): \
9000.0 | learning rate: 1.0E-06 | global batch size:    64 | lm loss: 1.09E+01 |
[Rank 0] (after 1 iterations) memory (MB) | allocated: 9000.0 | max allocated: 20480.0 | reserved: 24576.0 | \
max reserved: 24576.0
[Rank 4] (after 1 iterations) memory (MB) | allocated: 9000.0 | max allocated: 20480.0 | reserved: 24576.0 | \
max reserved: 25600.0
"""


def megatron(recompute: str = "None", method: str = "None", layers: str = "None") -> str:
    """A log of seven iterations at the full batch, behind one at half of it."""
    lines = [
        f" iteration {n:8}/     100 | consumed samples: {128 * n:8} | elapsed time per iteration (ms): {ms:.1f} | "
        "throughput per GPU (TFLOP/s/GPU): 150.2 | global batch size:   128 | lm loss: 1.0E+01 |\n"
        for n, ms in enumerate((30000.0, 12000.0, 11000.0, 5050.0, 5000.0, 4950.0, 5000.0), start=2)
    ]
    return MEGATRON.format(recompute=recompute, method=method, layers=layers) + "".join(lines)


@pytest.fixture
def log(tmp_path: Path) -> Callable[[str], Log]:
    """Reads a text as a log."""

    def read(text: str) -> Log:
        path = tmp_path / "train.log"
        path.write_text(text)
        return read_log(path)

    return read


def said(gpus: str = "2x8xA100", preset: str = "megatron-core", **cells: str) -> Said:
    """What options would say."""
    library = open_library()
    model = library.model("llama3-8b").value if preset != "megatron-core" else None
    return Said(shelf(), model, find_cluster(gpus, library).value, library.framework(preset).value, cells, {})


class TestMegatron:
    """Iterations, arguments and memory in one log."""

    def test_times_and_facts(self, log: Callable[[str], Log]) -> None:
        """The median behind the warm-up at the last batch; the fullest rank; the arguments as cells."""
        found = log(megatron())
        assert (found.kind, found.metric, found.figure) == ("megatron", "iter_seconds", 5.0)
        assert (found.peak, found.tool) == (25.0, "reserved")
        assert (
            found.facts["zero_stage"] == "1" and found.facts["n_kv_heads"] == "" and found.facts["recompute"] == "none"
        )

    def test_case(self, log: Callable[[str], Log]) -> None:
        """Nothing but the cluster has to be said."""
        (time, peak), notes = log_cases(log(megatron()), said())
        plan = time.plan
        assert (plan.tp, plan.pp, plan.dp, plan.b, plan.m, plan.sp, plan.zero) == (4, 2, 2, 2, 32, 1, 1)
        assert (time.job.model.layers, time.job.model.hidden, time.job.workload.seq) == (32, 4096, 2048)
        assert (time.step, peak.peak, peak.tool, notes) == (5.0, 25 * GIB, "reserved", ())
        assert calibrate([time, peak]).errors("step") is not None

    @pytest.mark.parametrize(
        ("arguments", "layers"),
        [(("full", "uniform", "1"), 16), (("full", "block", "5"), 5), (("None", "None", "None"), 0)],
    )
    def test_recompute(self, log: Callable[[str], Log], arguments: tuple[str, str, str], layers: int) -> None:
        """Uniform recomputes every layer, block so many of each stage."""
        assert log_cases(log(megatron(*arguments)), said())[0][0].plan.recompute_layers == layers

    def test_options_go_first(self, log: Callable[[str], Log]) -> None:
        """What the user says counts."""
        assert log_cases(log(megatron()), said(micro_batch="4"))[0][0].plan.m == 16

    def test_wrong_cluster(self, log: Callable[[str], Log]) -> None:
        """The log knows how many took part."""
        with pytest.raises(PlannerError, match="a run on 16 GPUs, but --gpus names 8"):
            log_cases(log(megatron()), said("8xA100"))

    def test_ranks_in_front_of_the_lines(self, log: Callable[[str], Log]) -> None:
        """Launchers put a name before every line."""
        found = log("".join(f"[default3]:{line}\n" for line in megatron().splitlines()))
        assert found.facts["tp"] == "4" and found.figure == 5.0


class TestTorchtitan:
    """Speed per GPU and reserved memory, in colour."""

    TEXT = "".join(
        f"[rank0]:[titan] 2025-01-31 10:00:00,000 - root - INFO - \x1b[31mstep: {n:2}  \x1b[32mloss:  7.1234  "
        f"\x1b[33mmemory: {20 + n / 100:.2f}GiB(25.31%)  \x1b[34mtps: {tps:,}  \x1b[36mtflops: 400.12  "
        "\x1b[35mmfu: 40.46%\x1b[39m\n"
        for n, tps in enumerate((900, 6000, 7000, 8000, 8192, 8300), start=1)
    )

    def test_case(self, log: Callable[[str], Log]) -> None:
        """B * s / (tps * GPUs) seconds."""
        found = log(self.TEXT)
        assert (found.kind, found.figure, found.peak, found.tool) == ("torchtitan", 8192, 20.06, "reserved")
        cells = {"seq_len": "8192", "global_batch": "16", "micro_batch": "1", "recompute": "full", "zero_stage": "3"}
        (time, _), notes = log_cases(found, said("8xH100", "torchtitan", **cells))
        assert time.step == pytest.approx(16 * 8192 / (8192 * 8))
        assert time.plan.dp == 8 and "tp = pp = 1" in notes[0]

    def test_what_is_missing_is_named(self, log: Callable[[str], Log]) -> None:
        """With the options that give it."""
        with pytest.raises(PlannerError) as error:
            log_cases(log(self.TEXT), said("8xH100", "torchtitan"))
        assert "--seq" in error.value.hint[0] and "--recompute" in error.value.hint[0]

    def test_older_name(self, log: Callable[[str], Log]) -> None:
        """ "wps" until 2025."""
        assert log(self.TEXT.replace("tps:", "wps:")).figure == 8192


class TestDeepSpeed:
    """Three ways to print a time."""

    def test_samples(self, log: Callable[[str], Log], tmp_path: Path) -> None:
        """Sequences per second, and the config beside it."""
        found = log(
            "".join(
                f"[2025-01-31 10:00:00,000] [INFO] [timer.py:260:stop] epoch=0/micro_step={n}/global_step={n}, "
                f"RunningAvgSamplesPerSec=11.0, CurrSamplesPerSec={speed}, MemAllocated=10.1GB, "
                "MaxMemAllocated=30.5GB\n"
                for n, speed in enumerate((2.0, 10.0, 12.0, 12.8, 12.8, 13.0))
            )
        )
        assert (found.kind, found.figure, found.peak, found.tool) == ("deepspeed", 12.8, 30.5, "allocated")
        config = tmp_path / "ds.json"
        config.write_text(
            '{"train_batch_size": 64, "train_micro_batch_size_per_gpu": 2, "zero_optimization": {"stage": 3},'
            ' "bf16": {"enabled": true}, "gradient_accumulation_steps": "auto"}'
        )
        cells = deepspeed_facts(config)
        assert cells == {"global_batch": "64", "micro_batch": "2", "zero_stage": "3", "precision": "bf16"}
        assert preset_of(found, cells) == "deepspeed-zero3"
        more = {"seq_len": "2048", "recompute": "full"}
        (time, _), _ = log_cases(found, said("8xA100", "deepspeed-zero3", **cells, **more))
        assert time.step == pytest.approx(5.0) and time.plan.zero == 3

    def test_pipeline_engine(self, log: Callable[[str], Log]) -> None:
        """Steps of runtime/pipe/engine.py."""
        found = log("steps: 10 loss: 2.3456 iter time (s): 2.500 samples/sec: 25.600\n" * 4)
        assert (found.metric, found.figure, found.peak) == ("samples", 25.6, None)

    def test_breakdown(self, log: Callable[[str], Log]) -> None:
        """Forward, backward and step of the wall-clock breakdown, not their parts."""
        line = "rank=0 time (ms) | fwd: 100.00 | bwd: 250.00 | bwd_inner: 240.00 | bwd_allreduce: 9.00 | step: 50.00\n"
        assert log(line * 6).figure == pytest.approx(0.4)

    @pytest.mark.parametrize("text", ["[]", "{", "\x00", '"x"'])
    def test_bad_config(self, tmp_path: Path, text: str) -> None:
        """No traceback."""
        (tmp_path / "ds.json").write_text(text)
        with pytest.raises(PlannerError, match="not a JSON config"):
            deepspeed_facts(tmp_path / "ds.json")


@pytest.mark.parametrize("text", ["", "hello\n", "loss: 3.2\n", "elapsed time per iteration (ms): soon\n"])
def test_a_log_without_times(log: Callable[[str], Log], text: str) -> None:
    """Says what it looked for."""
    with pytest.raises(PlannerError, match="no iteration times"):
        log(text)
