"""What is refused of requests and formats that are to be served, and what is said of images."""

from __future__ import annotations

from collections.abc import Iterator

from planner.errors import PlannerError
from planner.schema.formats import COMPUTED
from planner.schema.model import Model
from planner.schema.serving import ServeWorkload
from planner.serving.job import ServeJob


def check(job: ServeJob) -> None:
    """Refuse what the model, the accelerator or the engine cannot do.

    Raises:
        PlannerError: which of it.
    """
    _check_prompt(job)
    if not job.runs(job.workload.weights):
        raise _unread(job)
    if job.workload.output == 1 and job.workload.tpot is not None:
        raise PlannerError("--tpot bounds the tokens after the first: --output 1 has none", "--ttft alone")
    if job.workload.kv == "nvfp4" and not job.caches("nvfp4"):
        name = job.cluster.accelerator.name
        raise PlannerError(f"no engine keeps an nvfp4 cache on {name}, which has no fp4 products", "--kv fp8 or bf16")
    if job.engine.scheduler == "static" and job.workload.rate is not None:
        raise PlannerError(f"{job.engine.name} runs one batch to its end: it has no answer to --rate", "--batch 16")


def _unread(job: ServeJob) -> PlannerError:
    """Weights for which the accelerator has no products, nor the engine a kernel that widens them."""
    weights, accelerator = job.workload.weights, job.cluster.accelerator
    if weights == "w8a8":
        said = f"{job.engine.name} has no int8 products on {accelerator.name}, which w8a8 weights need"
        return PlannerError(
            said, f"--weights {'fp8' if job.runs('fp8') else 'int8'}" + ", or --engine vllm" * (not job.engine.int8)
        )
    foreign = weights == "nvfp4" and job.multiplies("fp4")
    have = ", ".join(k for k, v in accelerator.peak.model_dump().items() if v)
    what = (
        f"{accelerator.name} has no {weights if foreign else COMPUTED[weights]} products, which {weights} weights need"
    )
    why = f" (it has {have}; {job.engine.name} does not widen them there)"
    return PlannerError(
        what + why,
        "--weights mxfp4: of scales that it takes" if foreign else "--weights int8 or int4: widened inside the kernel",
    )


def _check_prompt(job: ServeJob) -> None:
    """Refuse images that no tower sees or that leave no text, and requests beyond the model's context."""
    w, model, tokens = job.workload, job.model, job.image_tokens
    if w.images and model.tower is None:
        raise PlannerError(f"--images {w.images}: {model.name} has no vision tower here", "leave out --images")
    if w.images and tokens >= w.fresh:
        cached = f" behind the {w.prefix:,} that are cached" if w.prefix else ""
        said = f"the {tokens:,} tokens of {counted(w.images)} leave no text of the {w.fresh:,} of a prompt{cached}"
        raise PlannerError(said, f"--input {tokens + w.prefix}, and as many more as there are of text")
    if w.length > model.context:
        what = f"{w.input:,} prompt{among(job)} + {w.output:,} output tokens"
        said = f"{what} exceed the {model.context:,} of {model.name}"
        raise PlannerError(said, f"--input and --output of {model.context:,} together at most")


def image_tokens(model: Model, asked: ServeWorkload) -> int:
    """Tokens of a prompt's images; 0 of a model without a tower.

    Raises:
        PlannerError: they are more than the model's context.
    """
    tokens = 0 if model.tower is None else asked.images * model.tower.tokens(asked.image_size)
    if tokens >= model.context:
        said = f"the {tokens:,} tokens of {counted(asked.images)} exceed the {model.context:,} of {model.name}"
        raise PlannerError(said, "fewer --images, or smaller ones")
    return tokens


def counted(images: int) -> str:
    """ "1 image", "2 images"."""
    return f"{images:,} image{'s' * (images > 1)}"


def among(job: ServeJob) -> str:
    """ " (1,369 of 1 image)" behind a number of prompt tokens, where there are images."""
    return f" ({job.image_tokens:,} of {counted(job.workload.images)})" if job.workload.images else ""


def seen(job: ServeJob) -> Iterator[str]:
    """What a vision tower sees, and what is not known of it."""
    of, w = job.model.tower, job.workload
    if job.model.text_only:
        kinds = "images or sound" if of is None else "sound"
        yield f"{job.model.name}: without the encoders of {kinds} before it"
    if of is None:
        return
    if not w.images:
        yield "no image is in the prompts (--images): the vision tower's weights lie on every stage, and take no time"
        return
    size = f"images are brought to {of.image:,}" if of.image else f"images are of {w.image_size:,}"
    each, taken = of.tokens(w.image_size), f"{job.image_tokens:,} of the {w.input:,} prompt tokens"
    yield f"{size} pixels a side, {each:,} tokens each, {taken}"
    yield "low confidence: the time that vision encoders take was never held against measured runs"
    tiles = ", tiles that an image is cut into" if of.image else ""
    yield (
        f"not modelled: reading and resizing images on the host{tiles}, videos, cached images, encoders that are whole "
        "on every GPU (vLLM --mm-encoder-tp-mode data, SGLang --mm-enable-dp-encoder) or on GPUs of their own"
    )
