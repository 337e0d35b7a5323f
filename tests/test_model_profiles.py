"""Model profiles: every file loads, its shape adds up to the published size, and its names mean one model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from planner.blocks.counts import Parameters, active_parameters, parameters
from planner.catalog.library import open_library
from planner.catalog.names import normalise, spelled
from planner.schema.model import Model

PROFILES = Path(__file__).parents[1] / "profiles"
FILES = sorted((PROFILES / "models").iterdir())

TOTAL_TOLERANCE = 0.01
ACTIVE_TOLERANCE = 0.03
"""Active counts are published as whole billions or with one decimal; the largest gap left is Kimi-K2's, 32.9 for 32."""

NOT_COUNTED = {
    "deepseek-v2-lite": ("embedding",),
    "gpt-oss-120b": ("embedding",),
    "gpt-oss-20b": ("embedding",),
    "deepseek-v3.2": ("embedding",),
    "glm-4.5": ("embedding", "head"),
    "glm-4.6": ("embedding", "head"),
    "glm-5": ("embedding", "head"),
    "glm-4.5-air": ("embedding", "head"),
    "glm-4.5v": ("embedding", "head"),
    "minimax-text-01": ("embedding", "head"),
    "minimax-m2.5": ("embedding", "head"),
    "nemotron-3-super-120b-a12b": ("embedding",),
    "nemotron-3-ultra-550b-a55b": ("embedding",),
    "qwen3.5-35b-a3b": ("embedding",),
}
"""What publishers leave out of the active count (gpt-oss: model card, table 1; GLM-4.5: paper, caption of table 1).

Nemotron 3: as Nano, published as 3.2 billion and 3.6 with embeddings.

DeepSeek, MiniMax and Qwen3.5 do not say what they count; theirs is the convention that comes nearest.
"""


IN_THE_NAME = {
    "ernie-4.5-21b-a3b": 3e9,
    "glm-4.7-flash": 3e9,
    "granite-4.0-h-tiny": 1e9,
    "kimi-linear-48b-a3b": 3e9,
    "kimi-vl-a3b": 2.24e9,
    "moonlight-16b-a3b": 2.24e9,
    "qwen3-next-80b-a3b": 3e9,
}
"""Active counts, embedding and head left out, mostly whole billions: good to about half a billion either way.

Profiles leave them out, as theirs are held against all that a token meets.
"""


LIBRARY = open_library()


def load(path: Path) -> Model:
    """One profile, with what it has from the one that it is like."""
    found: Model = LIBRARY.read(path, Model)
    return found


def names(model: Model) -> set[str]:
    """Every spelling that means this model and no other, normalised."""
    repository = [model.hf_id, model.hf_id.rpartition("/")[2]] if model.hf_id else []
    return {normalise(name) for name in (model.name, *repository, *model.aliases)}


@pytest.fixture(scope="module")
def models() -> list[Model]:
    """All profiles."""
    return [load(path) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestProfile:
    """One file at a time."""

    def test_is_called_like_its_file(self, path: Path) -> None:
        """The catalog finds a profile by its stem."""
        assert path.suffix == ".yaml"
        assert load(path).name == path.stem

    def test_adds_up_to_the_published_size(self, path: Path) -> None:
        """The shape gives the published total within 1%; most wrong widths and layer counts do not."""
        model = load(path)
        assert model.parameters is not None
        assert parameters(model).total == pytest.approx(model.parameters, rel=TOTAL_TOLERANCE)

    def test_adds_up_to_the_published_active_size(self, path: Path) -> None:
        """What a token meets, for models with experts; a top_k that is off by one does not pass."""
        model = load(path)
        if model.moe is None:
            assert model.parameters_active is None
            return
        parts: Parameters = parameters(model)
        if model.name in IN_THE_NAME:
            met = active_parameters(model) - parts.embedding - parts.head
            assert met == pytest.approx(IN_THE_NAME[model.name], abs=0.5e9)
            return
        left_out = sum(parts.parts[part] for part in NOT_COUNTED.get(model.name, ()))
        assert active_parameters(model) - left_out == pytest.approx(model.parameters_active, rel=ACTIVE_TOLERANCE)

    def test_heads_match_the_latents(self, path: Path) -> None:
        """With latent attention every head has its own keys, of head_dim with and without position."""
        model = load(path)
        if model.mla is not None:
            assert model.head_dim == model.mla.qk_nope_dim + model.mla.qk_rope_dim
            assert model.kv_heads == model.heads

    def test_window_stays_inside_the_context(self, path: Path) -> None:
        """A window is shorter than the context, and window_every says nothing without one."""
        model = load(path)
        assert model.window is None or model.window < model.context
        assert model.window is not None or model.window_every == 0

    def test_names_can_be_read_without_parsing(self, path: Path) -> None:
        """The catalog takes spellings from the raw text, so their lists stand on one line."""
        model = load(path)
        found = spelled(path.read_bytes())
        assert found.default_for == model.default_for
        assert found.aliases[: len(model.aliases)] == model.aliases

    def test_says_no_default_and_no_name_twice(self, path: Path) -> None:
        """A key at its default, unless it undoes what `like` says, and an alias that matches anyway are left out."""
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        defaults = {key: field.default for key, field in Model.model_fields.items() if not field.is_required()}
        idle = [key for key in written if key in defaults and written[key] == defaults[key]]
        assert "like" in written or idle == []
        model = load(path)
        repository = [model.hf_id, model.hf_id.rpartition("/")[2]] if model.hf_id else []
        matched = {normalise(name) for name in (model.name, *repository)}
        assert [name for name in model.aliases if normalise(name) in matched] == []
        spelled = [normalise(name) for name in model.aliases + model.default_for]
        assert len(set(spelled)) == len(spelled)


def test_there_are_enough() -> None:
    """At least 60 public models, with dense, expert and latent-attention ones among them."""
    assert len(FILES) >= 60


def test_covers_the_architectures(models: list[Model]) -> None:
    """Dense, expert and latent-attention models, every position encoding and every feed-forward part."""
    assert sum(model.moe is not None for model in models) >= 10
    assert sum(model.mla is not None for model in models) >= 3
    assert {model.position for model in models} == {"rope", "learned", "alibi", "none"}
    assert {model.mlp for model in models} == {"glu", "gelu", "relu", "relu2"}


def test_a_spelling_means_one_model(models: list[Model]) -> None:
    """No name, repository or alias belongs to two profiles, and no default hides one."""
    owners = Counter(name for model in models for name in names(model))
    assert [name for name, count in owners.items() if count > 1] == []
    defaults = Counter(normalise(name) for model in models for name in model.default_for)
    assert [name for name, count in defaults.items() if count > 1] == []
    assert defaults.keys() & owners.keys() == set()


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("llama-70b", "llama3.1-70b"),
        ("llama8b", "llama3.1-8b"),
        ("llama-7b", "llama2-7b"),
        ("mixtral", "mixtral-8x7b"),
        ("deepseek", "deepseek-v3"),
        ("qwen72b", "qwen2.5-72b"),
        ("mistral", "mistral-7b"),
    ],
)
def test_documented_defaults(models: list[Model], asked: str, meant: str) -> None:
    """Short names that several models could claim go to one of them."""
    claims = [model.name for model in models if normalise(asked) in map(normalise, model.default_for)]
    assert claims == [meant]


def test_profiles_hold_no_code() -> None:
    """Profiles are data."""
    assert list(PROFILES.rglob("*.py")) == []
