"""A role's card: what an agent is told first, how it is sampled and which of its replies are discarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from importlib import resources
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestra_agents.documents import parse_document, read_document
from orchestra_agents.errors import InputError
from orchestra_agents.flags import Check, RedFlagPolicy, longer_than, matching, not_matching, refusal
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, Sampling

_MAX_BYTES = 64 * 1024
_SUFFIXES = (".yaml", ".yml", ".json")
_FLAGS = "refusal, {longer_than: TOKENS}, {matching: PATTERN} or {not_matching: PATTERN}"
_MOST_TOKENS = 2**31 - 1
_PATTERNS = {"matching": matching, "not_matching": not_matching}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCard:
    """What makes an agent one of its role. What a card does not say, the run says.

    Made by `from_dict`, `shipped_cards` or `load_cards`, which check what they read.

    >>> card = RoleCard.from_dict("critic", {"words": "Name one fault.", "temperature": 0, "flags": ["refusal"]})
    >>> card.sampling(Sampling(temperature=0.7, max_tokens=100)).temperature
    0.0
    """

    name: str
    """The role, an identifier: what stands before `=` in `--model role=provider:model`."""
    words: str = ""
    """What the agent is told first in its system message; may be empty."""
    temperature: float | None = None
    """In [0, 2]; None takes the run's."""
    max_tokens: int | None = None
    """Most tokens of one reply, at least 1; None takes the run's."""
    flags: tuple[Json, ...] = ()
    """Further red flags: "refusal", {"longer_than": TOKENS}, {"matching": PATTERN} or {"not_matching": PATTERN}."""

    @classmethod
    def from_dict(cls, name: str, said: Json, *, where: str = "") -> RoleCard:
        """Return the card of the role `name` that says what its file would say.

        Args:
            name: The role.
            said: The keys words, temperature, max_tokens and flags, each of which may be left out.
            where: What errors name; empty is `roles[NAME]`.

        Raises:
            InputError: The name is no identifier, a key is unknown, or its value is not allowed.
        """
        if not isinstance(name, str) or not name.isidentifier():
            told = "is no name of a role; a role is called by letters, digits and _, not beginning with a digit"
            raise InputError(where or "roles", f"{shown(name)} {told}")
        entry = _read(said, where or f"roles[{name}]")
        flags = tuple(dict(flag) if isinstance(flag, Mapping) else flag for flag in entry.flags)
        for place, flag in enumerate(flags):
            _policy(flag, where or f"roles[{name}]", place)
        return cls(
            name=name,
            words=entry.words.strip(),
            temperature=entry.temperature,
            max_tokens=entry.max_tokens,
            flags=flags,
        )

    def sampling(self, base: Sampling) -> Sampling:
        """Return how this role is sampled: the card's temperature and length over those of `base`, where it says any.

        Args:
            base: How the run samples.
        """
        temperature = base.temperature if self.temperature is None else self.temperature
        max_tokens = base.max_tokens if self.max_tokens is None else self.max_tokens
        return replace(base, temperature=temperature, max_tokens=max_tokens)

    def red_flag(self) -> Check | None:
        """Return the policy that flags what any of the card's flags flags, or None where it has none.

        Raises:
            InputError: A flag is none that `flags` may hold.
        """
        policies = [_policy(flag, f"roles[{self.name}]", place) for place, flag in enumerate(self.flags)]
        return reduce(RedFlagPolicy.__or__, policies) if policies else None

    def to_dict(self) -> dict[str, Json]:
        """Return the card as its file says it, so without its name; `from_dict` reads it back."""
        flags = [dict(flag) if isinstance(flag, Mapping) else flag for flag in self.flags]
        return {
            "words": self.words,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "flags": flags,
        }


@cache
def shipped_cards() -> Mapping[str, RoleCard]:
    """Return the cards that ship, by role in alphabetical order; nobody can change them."""
    files = (file for file in resources.files("orchestra_agents.roles").iterdir() if file.name.endswith(".yaml"))
    said = {file.name: parse_document(file.read_text("utf-8"), file.name) for file in files}
    cards = [RoleCard.from_dict(name.removesuffix(".yaml"), said[name], where=name) for name in sorted(said)]
    return MappingProxyType({card.name: card for card in cards})


def load_cards(folder: str | PathLike[str]) -> Mapping[str, RoleCard]:
    """Return the shipped cards with those of a folder: a card replaces the whole one of its name, or adds a role.

    Args:
        folder: Its files NAME.yaml, NAME.yml and NAME.json are the cards of the roles NAME, each a mapping with some of
            the keys words, temperature, max_tokens and flags. Hidden files and all others are left alone.

    Raises:
        InputError: It is no folder that can be read, or a file in it no card; the field is the file's path.
    """
    cards: dict[str, RoleCard] = {}
    for path in _files(Path(folder)):
        card = RoleCard.from_dict(path.stem, read_document(path, max_bytes=_MAX_BYTES), where=str(path))
        if card.name in cards:
            raise InputError(str(path), f"is the second card of the role {card.name}; keep one file for each role")
        cards[card.name] = card
    return MappingProxyType({**shipped_cards(), **cards})


def _is_text(text: str) -> str:
    text.encode()  # half a surrogate pair is no text; its UnicodeEncodeError is a ValueError
    return text


class _Entry(BaseModel):
    """What a card's file may say; the description of a field ends the sentence "NAME must be ..."."""

    model_config = ConfigDict(extra="forbid", strict=True)

    words: Annotated[str, AfterValidator(_is_text)] = Field("", description="a text")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="a number from 0 to 2")
    max_tokens: int | None = Field(None, ge=1, le=_MOST_TOKENS, description=f"an integer from 1 to {_MOST_TOKENS:,}")
    flags: list[Any] = Field([], description=f"a list, each item {_FLAGS}")


def _read(said: Json, where: str) -> _Entry:
    keys = ", ".join(_Entry.model_fields)
    if not isinstance(said, Mapping):
        raise InputError(where, f"must be a mapping with some of the keys {keys}, got {shown(said)}")
    unknown = [key for key in said if key not in _Entry.model_fields]
    if unknown:
        raise InputError(where, f"{shown(unknown[0])} is not a key here; known are {keys}")
    try:
        return _Entry.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        wanted = _Entry.model_fields[name].description
        raise InputError(where, f"{name} must be {wanted}, got {shown(first['input'])}") from error


def _policy(flag: Json, where: str, place: int) -> RedFlagPolicy:
    """Return the policy that `flag` spells."""
    if flag == "refusal":
        return refusal()
    name, value = next(iter(flag.items())) if isinstance(flag, Mapping) and len(flag) == 1 else (None, None)
    if name == "longer_than":
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(where, f"flags[{place}].{name} must be an integer of at least 1, got {shown(value)}")
        return longer_than(tokens=value)
    if name in _PATTERNS:
        return _pattern(name, value, where, place)
    raise InputError(where, f"flags[{place}] must be {_FLAGS}, got {shown(flag)}")


def _pattern(name: str, value: Json, where: str, place: int) -> RedFlagPolicy:
    wanted = f"flags[{place}].{name} must be a regular expression in RE2 syntax, got {shown(value)}"
    if not isinstance(value, str) or not value:
        raise InputError(where, wanted)
    try:
        return _PATTERNS[name](value)
    except InputError as error:
        raise InputError(where, wanted) from error


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder that are cards by their names, in alphabetical order."""
    try:
        if not folder.is_dir():
            raise InputError(str(folder), "must be a folder of role cards")
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(str(folder), f"cannot be read: {error.strerror}") from error
    return [path for path in paths if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]
