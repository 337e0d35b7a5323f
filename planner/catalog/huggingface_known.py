"""Which `model_type` wraps which decoder, and which ones are refused and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NESTED = {
    "audioflamingo3": "qwen2",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "deepseek_vl": "llama",
    "deepseek_vl_v2": "deepseek_v2",
    "dots_ocr": "qwen2",
    "exaone4_5": "exaone4",
    "fast_vlm": "qwen2",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "glm46v": "glm4",
    "glm4v": "glm4",
    "glm4v_moe": "glm4_moe",
    "got_ocr2": "qwen2",
    "granite_speech": "granite",
    "idefics2": "mistral",
    "idefics3": "llama",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
    "interns1": "qwen3",
    "janus": "llama",
    "kimi_k25": "kimi_k2",
    "kimi_k3": "kimi_linear",
    "kimi_vl": "deepseek_v3",
    "lighton_ocr": "qwen3",
    "llama4": "llama4_text",
    "Llama_Nemotron_Nano_VL": "llama",
    "llava": "llama",
    "llava_llama": "llama",
    "llava_mistral": "mistral",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "llava_qwen": "qwen2",
    "llava_qwen2": "qwen2",
    "minimax_vl_01": "minimax_text_01",
    "mistral3": "mistral",
    "multi_modality": "llama",
    "NVLM_D": "qwen2",
    "nemotron_h_omni": "nemotron_h",
    "NemotronH_Nano_VL_V2": "nemotron_h",
    "ovis": "qwen2",
    "ovis2": "qwen2",
    "ovis2_5": "qwen3",
    "paddleocr_vl": "ernie4_5",
    "paligemma": "gemma",
    "perception_lm": "llama",
    "phi3_v": "phi3",
    "phi4_multimodal": "phi3",
    "phi4mm": "phi3",
    "qwen2_5_omni": "qwen2",
    "qwen2_5_omni_thinker": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_audio": "qwen2",
    "qwen2_vl": "qwen2",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_omni_moe": "qwen3_moe",
    "qwen3_omni_moe_thinker": "qwen3_moe",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "shieldgemma2": "gemma3_text",
    "smolvlm": "llama",
    "step3p7": "step3p5",
    "step_robotics": "qwen3",
    "ultravox": "llama",
    "video_llama_3": "qwen2",
    "videollama3_qwen2": "qwen2",
    "vipllava": "llama",
    "voxtral": "llama",
}
"""Types whose decoder is described by `text_config` or the like, as of the type on the right."""

DECODERS = {
    "glm4v_moe_text": "glm4_moe",
    "glm4v_text": "glm4",
    "step3p7_text": "step3p5",
    "qwen2_5_omni_text": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen3_omni_moe_text": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_vl_text": "qwen3",
}
"""Types that stand inside, and the one that each is like."""

INSIDE = ("text_config", "llm_config", "language_config")
"""Keys that hold the decoder of a wrapper; of an omni model they stand in `thinker_config`."""

_LLAMA = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
_LLAMA |= {"vocab_size": 32000, "max_position_embeddings": 2048}
CLASS_DEFAULTS = {
    "llava": _LLAMA,
    "llava_next": _LLAMA,
    "paligemma": {
        "vocab_size": 257216,
        "max_position_embeddings": 8192,
        "head_dim": 256,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
    },
}
"""Values of the keys that a wrapper's `text_config` leaves out."""

_RECURRENT = "some of its layers are recurrent, of a kind that the planner does not know"
_ENCODER = "it is an encoder: it writes no text, and its attention looks both ways"
_BOTH = "it is an encoder-decoder"
_DIFFUSION = "it is a diffusion model: it denoises all tokens of a block at once instead of writing one after the other"
_OTHERS = {
    "bailing_hybrid": _RECURRENT,
    "bailing_moe_linear": _RECURRENT,
    "deepseek_v4": "its attention is compressed and its residual stream is several",
    "ernie4_5_moe_vl": "images have experts of their own, of another width than those of text",
    "ernie4_5_vl_moe": "images have experts of their own, of another width than those of text",
    "gemma3n": "its layers share keys and values and embed each token again",
    "gemma3n_text": "its layers share keys and values and embed each token again",
    "minimax_m3": "its attention chooses blocks of keys and values",
    "minimax_m3_vl": "its attention chooses blocks of keys and values",
    "mllama": "some of its layers attend to images alone (cross-attention)",
    "openelm": "its layers differ in width and in heads",
    "phi3small": "its attention is sparse in blocks",
    "recurrent_gemma": _RECURRENT,
    "step3_text": "its queries are brought to a low rank without latent keys (multi-matrix factorization)",
    "step3_vl": "its queries are brought to a low rank without latent keys (multi-matrix factorization)",
    "rwkv": _RECURRENT,
    "xlstm": _RECURRENT,
    "zamba": _RECURRENT,
    "zamba2": _RECURRENT,
}
_ENCODERS = (
    "albert bert camembert deberta deberta-v2 distilbert electra ernie esm eurobert jina_embeddings_v3 "
    "longformer modernbert mpnet neobert new nomic_bert roberta siglip xlm-roberta xlm-roberta-xl"
)
_ENCODER_DECODERS = (
    "bart blenderbot encoder-decoder led longt5 m2m_100 marian mbart mt5 nllb-moe pegasus prophetnet seamless_m4t_v2 "
    "speech_to_text switch_transformers t5 t5gemma t5gemma2 t5gemma_module udop umt5 whisper"
)
_DIFFUSERS = "Dream diffucoder diffusion_gemma dream llada llada2_moe llada_moe mdlm sdar sdar_moe sedd"
BIDIRECTIONAL = "its attention looks both ways: it is an encoder"
REFUSED = {
    **dict.fromkeys(_ENCODERS.split(), _ENCODER),
    **dict.fromkeys(_ENCODER_DECODERS.split(), _BOTH),
    **dict.fromkeys(_DIFFUSERS.split(), _DIFFUSION),
    **_OTHERS,
}
"""Why a type is not read."""

NAMED = {
    "bart": "bart",
    "bert": "bert",
    "deepseek-v4": "deepseek_v4",
    "dream": "Dream",
    "embeddinggemma": "bert",
    "ernie-4.5-vl": "ernie4_5_vl_moe",
    "gemma-3n": "gemma3n",
    "gemma-4-e2b": "gemma3n",
    "gemma-4-e4b": "gemma3n",
    "llada": "llada",
    "llama-3.2-11b": "mllama",
    "llama-3.2-90b": "mllama",
    "minimax-m3": "minimax_m3",
    "modernbert": "modernbert",
    "openelm": "openelm",
    "phi-3-small": "phi3small",
    "recurrentgemma": "recurrent_gemma",
    "roberta": "roberta",
    "step3": "step3_vl",
    "t5": "t5",
    "t5gemma": "t5gemma",
    "whisper": "whisper",
    "zamba": "zamba2",
    "zamba2": "zamba2",
}
"""Names of models that are not read, by the type that says why: whole words of what people write."""


def why_refused(kind: str, top: Mapping[str, Any]) -> str:
    """By its type, or by what the file says of itself."""
    if kind in REFUSED:
        return REFUSED[kind]
    classes = top.get("architectures")
    masked = isinstance(classes, list) and any("MaskedLM" in str(one) for one in classes[:10])
    said = _BOTH if top.get("is_encoder_decoder") is True else _ENCODER if masked else None
    return said or "its structure is not one that the planner knows"


def named(name: str) -> str | None:
    """Why a model that is called so is not known here; None where nothing is known of it."""
    words = re.sub(r"[\W_]+", "-", name.lower()[:200])
    found = [key for key in NAMED if re.search(rf"(?<![a-z0-9]){re.sub('[.]', '-', key)}(?![a-z0-9])", words)]
    return REFUSED[NAMED[max(found, key=len)]] if found else None
