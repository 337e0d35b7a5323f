"""What every profile record has in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Positive = Annotated[int, Field(ge=1, le=10**9)]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Trust = Literal["measured", "datasheet", "assumed"]


class Record(BaseModel):
    """Frozen; a key that the schema does not know is an error, not a comment. Validators are built on first use."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Profile(Record):
    """A record that users name. A file with `like: NAME` states only what tells it from that profile of its kind.

    Attributes:
        name: canonical name; also the file's stem.
        aliases: other spellings that mean this profile and no other.
        default_for: ambiguous names ("a100", "llama70b") that resolve to this profile unless --strict.
        source: where the facts come from.
        notes: what a reader should know before trusting them.
    """

    name: Name
    aliases: tuple[Annotated[str, StringConstraints(min_length=1, max_length=120)], ...] = ()
    default_for: tuple[Annotated[str, StringConstraints(min_length=1, max_length=120)], ...] = ()
    source: Text
    notes: str = ""
