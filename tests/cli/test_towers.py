"""What the commands say of a model with a vision tower."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import Shell

ASKED = "-m qwen2.5-vl-7b -g 8xH100 --seq 4096 --global-batch 64"
SEEN = f"{ASKED} --images 2 --image-size 448"


def test_recommend_says_what_it_sees(shell: Shell) -> None:
    """Images and their tokens, what was never measured, and both in the header."""
    result = shell(f"recommend {SEEN} --tower frozen")
    assert result.code == 0
    assert "images are of 448 pixels a side, 256 tokens each, 512 of the 4,096 tokens" in result.err
    assert "vision towers: their times and activations were never held against runs" in result.err
    assert "tower frozen, 2 images a sequence" in result.out
    assert "8.29 B parameters" in result.out
    assert f"planner launch --plan 1 {SEEN}" not in result.out  # which would refuse


def test_text_alone(shell: Shell) -> None:
    """The tower takes memory, and nothing else; without it, that is said as it ever was."""
    result = shell(f"recommend {ASKED}")
    assert "no image is in the batch (--images): the vision tower takes memory, and no time" in result.err
    absent = shell(f"recommend {ASKED} --tower absent")
    assert "its text decoder only" in absent.err and "7.62 B parameters" in absent.out


def test_one_size_for_all_images(shell: Shell) -> None:
    """Gemma 3 brings them to 896 pixels, whatever they are."""
    result = shell("recommend -m gemma3-4b -g 8xH100 --images 1 --image-size 2000 --seq 2048")
    assert "images are brought to 896 pixels a side, 256 tokens each" in result.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-m llama3.1-8b -g 8xH100 --images 1", "llama3.1-8b has no vision tower here"),
        (f"{ASKED} --images 40", "40 images take 54,760 tokens of the 4,096 of a sequence"),
        (f"{ASKED} --images 1 --image-size 0", "--image-size 0"),
        (f"{ASKED} --image-size 448", "--image-size 448 is of images: how many are there?"),
        ("-m llama3.1-8b -g 8xH100 --tower frozen", "--tower frozen: llama3.1-8b has no vision tower here"),
        (f"{ASKED} --images -1", "--images -1"),
        (f"{ASKED} --tower half", "--tower 'half'"),
    ],
)
def test_what_cannot_be_is_one_screen(shell: Shell, words: str, says: str) -> None:
    """Exit 2, the option and why."""
    result = shell(f"recommend {words}")
    assert result.code == 2 and says in result.err and len(result.err.splitlines()) < 8


def test_launch_writes_the_decoder_and_says_so(shell: Shell) -> None:
    """Of text; images are refused, with the plan that could be written."""
    result = shell(f"launch {ASKED}")
    assert result.code == 0
    assert "trains the decoder of qwen2.5-vl-7b alone; the plan counts its vision tower as well" in result.err
    refused = shell(f"launch {SEEN}")
    assert refused.code == 2 and "Megatron-LM is written without the vision tower" in refused.err
    assert "--images 0" in refused.err


def test_an_answer_keeps_its_images(shell: Shell, tmp_path: Path) -> None:
    """Saved, and explained from there: the operators of its layers are among the lines."""
    answer = shell(f"recommend {SEEN} --json -q --top 1")
    said = json.loads(answer.out)["inputs"]["workload"]
    assert (said["images"], said["image_size"], said["tower"]) == (2, 448, "trained")
    lines = shell(f"explain {SEEN} --json -q").json["lines"]
    assert any(line["symbol"].startswith("vision windowed layer") for line in lines)


def test_serving_counts_its_weights(shell: Shell) -> None:
    """Of text alone it takes no time, and that is said."""
    result = shell("serve -m qwen2.5-vl-7b -g 1xH100 --input 1000 --output 100")
    said = "no image is in the prompts (--images): the vision tower's weights lie on every stage, and take no time"
    assert said in result.err and "8.29 B parameters" in result.out and "Images  " not in result.out


SERVED = "serve -m qwen2.5-vl-72b -g 8xH100 --images 1 --image-size 1024"


def test_serving_sees_images(shell: Shell) -> None:
    """Their tokens come on top of the usual text; what they take is in the table, in JSON and among the formulas."""
    result = shell(f"{SERVED} --tp 4 --users 8")
    assert "2,393 prompt (1,369 of 1 image) + 256 output tokens" in result.out
    assert "Images  a prompt's 1 image: 1,369 of its 2,393 tokens, and 12.2 ms in the encoder" in result.out
    assert "Band    low confidence" in result.out and "never held against measured runs" in result.err
    assert "--mm-encoder-tp-mode data" in result.err and "videos" in result.err
    answer = shell(f"{SERVED} --tp 4 --users 8 --json -q").json
    asked, best = answer["inputs"]["workload"], answer["deployments"][0]
    assert (asked["input"], asked["images"], asked["image_size"], asked["image_tokens"]) == (2393, 1, 1024, 1369)
    lines = {line["symbol"]: line for line in shell(f"{SERVED} --tp 4 --users 8 --explain --json -q").json["lines"]}
    assert lines["image encoder"]["value"] == pytest.approx(best["encoder_s"])
    assert "image_encoder" in lines["a prompt's prefill"]["formula"]
    assert 0.0 < best["encoder_s"] < best["ttft_s"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-m llama3.1-8b -g 8xH100 --images 1", "llama3.1-8b has no vision tower here"),
        ("-m qwen2.5-vl-7b -g 8xH100 --image-size 448", "--image-size 448 is of images: how many are there?"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images -1", "--images"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images 1 --image-size 0", "--image-size"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images 1 --input 1369", "1,369 tokens of 1 image leave no text of the 1,369"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images 1 --prefix 2000", "behind the 2,000 that are cached"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images 3 --image-size 9000", "309,123 tokens of 3 images exceed the 128,000"),
        ("-m qwen2.5-vl-7b -g 8xH100 --images 1 --output 127000", "(1,369 of 1 image) + 127,000 output tokens exceed"),
    ],
)
def test_what_cannot_be_seen_is_one_screen(shell: Shell, words: str, says: str) -> None:
    """Exit 2, the option and why."""
    result = shell(f"serve {words}")
    assert result.code == 2 and says in result.err and len(result.err.splitlines()) < 8


def test_sizing_for_images(shell: Shell) -> None:
    """The smallest deployment for them; the next command asks for the same."""
    result = shell("size --serve -m qwen2.5-vl-7b --gpu h100 --images 2 --image-size 448 --kv fp8 --requests 2 -q")
    assert "(512 of 2 images)" in result.out
    said = result.out.splitlines()[-1]
    assert "--images 2 --image-size 448" in said and "--kv fp8" in said
    again = shell(said.split("planner ", 1)[1] + " -q")
    assert again.code == 0 and "1,536 prompt (512 of 2 images)" in again.out


def test_size_and_show(shell: Shell) -> None:
    """Other commands take the same options, and the profile is shown with it."""
    assert shell("size -m qwen2.5-vl-7b --gpu h100 --seq 4096 --global-batch 64 --images 2 -q").code == 0
    shown = shell("show model qwen2.5-vl-7b").out
    assert "tower" in shown and "window_every   8" in shown


FINE_TUNED = """model_name_or_path: Qwen/Qwen2.5-VL-7B-Instruct
stage: sft
finetuning_type: lora
cutoff_len: 2048
per_device_train_batch_size: 1
"""


@pytest.mark.parametrize(("more", "words"), [("", "tower frozen"), ("freeze_vision_tower: false\n", "LoRA rank 8, ")])
def test_scripts_freeze_it_as_their_trainer_does(shell: Shell, tmp_path: Path, more: str, words: str) -> None:
    """LLaMA-Factory freezes towers unless the file says otherwise; what images there are, the user says."""
    file = tmp_path / "sft.yaml"
    file.write_text(FINE_TUNED + more)
    result = shell(f"check {file} -g 8xH100 --images 1 --image-size 448")
    assert words in result.out and ("tower frozen" in result.out) == (more == "")
    assert "the vision tower is frozen, as the framework has it" in result.err or more
    assert "256 of the 2,048 tokens of a sequence" in result.err


def test_the_nearest_that_runs_keeps_the_images(shell: Shell) -> None:
    """A tower that TRL cannot freeze is trained; with images, not without."""
    words = "launch -m qwen2.5-vl-7b -g 8xH100 --seq 4096 --target trl --images 1 --tower frozen"
    result = shell(words)
    assert result.code == 2 and "--tower trained" in result.err and "--images 0" not in result.err


def test_a_file_makes_images_no_larger(shell: Shell, tmp_path: Path) -> None:
    """LLaMA-Factory brings them to image_max_pixels, 768 x 768 where the file is silent."""
    file = tmp_path / "sft.yaml"
    text = (
        "model_name_or_path: Qwen/Qwen2.5-VL-7B-Instruct\nfinetuning_type: lora\ntemplate: qwen2_vl\ncutoff_len: 4096\n"
    )
    for more, side in (("", 768), ("image_max_pixels: 262144\n", 512)):
        file.write_text(text + more)
        result = shell(f"check {file} -g 8xH100 --images 1")
        assert f"images are of {side} pixels a side" in result.err


def test_a_projector_alone_is_read(shell: Shell, tmp_path: Path) -> None:
    """ms-swift freezes both unless it is told not to."""
    file = tmp_path / "sft.sh"
    file.write_text("swift sft --model Qwen/Qwen2.5-VL-7B-Instruct --tuner_type full --freeze_aligner false\n")
    result = shell(f"check {file} -g 8xH100 --images 1 --seq 4096")
    assert "of the tower its projector alone" in result.out
