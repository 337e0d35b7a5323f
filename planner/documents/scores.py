"""Predictions against measured runs."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from planner.documents.values import Whole


class Errors(TypedDict):
    """Relative errors of n predictions.

    Attributes:
        median, p90: of the errors without their sign; bias: median with it.
    """

    n: Whole
    median: float | None
    p90: float | None
    bias: float | None


class Peaks(Errors):
    """Relative errors of n peaks of memory.

    Attributes:
        median_gib: predicted less measured.
    """

    median_gib: float


Memory = Peaks | Errors


class Ranking(TypedDict):
    """How well layouts of one job are ordered; Spearman's is the mean over the correlated groups."""

    groups: Whole
    mean_regret: float | None
    median_regret: float | None
    spearman: float | None
    correlated: Whole


class Group(TypedDict):
    """How well the layouts of one job are ordered.

    Attributes:
        spread: worst over best measured time.
        regret: measured time of the predicted best over the best measured, less one.
        spearman: rank correlation; null for groups of two.
    """

    name: str
    source: str
    layouts: Whole
    spread: float
    regret: float
    spearman: float | None


class Fit(TypedDict):
    """Verdicts on runs whose outcome is known, predicted and measured; shares are of those that ran out of memory."""

    recall: float | None
    precision: float | None
    balanced_accuracy: float | None
    fits_fits: Whole
    fits_oom: Whole
    oom_oom: Whole
    oom_fits: Whole


class FitOfClass(Fit):
    """Verdicts on runs whose outcome is known; of those that ran the share said to fit."""

    ran: Whole
    ran_share: float | None


class Inside(TypedDict):
    """How many of n measured values lie in the band that is printed for them."""

    n: Whole
    inside: Whole
    share: float | None


class Source(TypedDict):
    """The scores of one source."""

    source: str
    step_time: Errors
    ranking: Ranking
    memory: Memory
    fit: Fit


class Summary(TypedDict):
    """Equal weight for sources (step time, memory), sweep groups (ranking) and verdicts (fit)."""

    step_time: Errors
    ranking: Ranking
    ranking_by_source: Ranking
    memory: Memory
    fit: Fit


class Apart(TypedDict):
    """The scores of what stays out of the main one, by label."""

    summary: Summary
    sources: list[Source]


Class = TypedDict(
    "Class",
    {
        "class": str,
        "step_time": Errors,
        "step_time_by_source": Errors,
        "step_time_in_band": Inside,
        "memory": Errors,
        "memory_in_band": Inside,
        "fit": FitOfClass,
    },
)
Class.__doc__ = "All runs that tell something, by what is trained; a run may be of several."


class Rows(TypedDict):
    """How many rows were used, how many of them in the main score, and why others were not."""

    read: Whole
    used: Whole
    main: Whole
    skipped: Whole
    reasons: dict[str, Whole]
    labels: dict[str, Whole]


class Validation(TypedDict):
    """planner validate --json."""

    schema: Literal["planner.validation/1"]
    summary: Summary
    sources: list[Source]
    groups: list[Group]
    apart: dict[str, Apart]
    classes: list[Class]
    rows: Rows


class Size(TypedDict):
    """Relative errors of so many predictions: means of the errors without and medians, and the mean with their sign."""

    rows: Whole
    mean: float
    median: float
    bias: float


class Order(TypedDict):
    """Pairs of layouts of one workload, and the share that is ordered as measured."""

    pairs: Whole
    right: float


class Choices(TypedDict):
    """Choices under a bound on the time per token: the share that breaks it, and what the others lose."""

    n: Whole
    violating: float
    regret: float


class Counted(TypedDict):
    """How many rows count, are scored apart, and are not scored."""

    scored: Whole
    apart: Whole
    skipped: Whole


class ServingValidation(TypedDict):
    """planner validate --serve --json."""

    schema: Literal["planner.serving-validation/1"]
    sizes: dict[str, Size]
    order: Order
    choices: Choices
    by_machine: dict[str, Size]
    apart: dict[str, Size]
    rows: Counted


class Medians(TypedDict):
    """Relative errors; null without such runs."""

    median_before: float
    median_after: float


class Before(TypedDict):
    """Relative errors by what was measured."""

    step_time: Medians | None
    memory: Medians | None


class StepRun(TypedDict):
    """A measured step against the packaged and the fitted constants."""

    id: str
    kind: Literal["step"]
    measured_s: float
    before_s: float
    after_s: float


class MemoryRun(TypedDict):
    """A measured peak against the packaged and the fitted constants."""

    id: str
    kind: Literal["memory"]
    measured_bytes: float
    before_bytes: float
    after_bytes: float


class Constant(TypedDict):
    """What became of one constant.

    Attributes:
        determined: the runs tell enough of it; factor: on the packaged value, 1 when not determined.
    """

    name: str
    meaning: str
    determined: bool
    factor: float
    relative_deviation: float
    posterior_over_prior_width: float


class Calibration(TypedDict):
    """planner calibrate --json."""

    schema: Literal["planner.calibration/1"]
    planner_version: str
    summary: Before
    runs: list[StepRun | MemoryRun]
    constants: list[Constant]
    reserve_shift_bytes: float | None
    framework: str
    gpus: str
    files: list[str]
