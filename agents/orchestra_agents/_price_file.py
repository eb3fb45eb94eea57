"""What a file of prices says, or what is wrong with it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_agents.price import A_LENGTH, A_PRICE, AS_INPUT, IN_PROCESS, MOST_TOKENS, MOST_USD, Price, Tier, rise


def _named(name: str) -> str:
    name.encode()  # half a surrogate pair is no text; its UnicodeEncodeError is a ValueError
    provider, colon, model = name.partition(":")
    is_complete = bool(provider and model) if colon else provider in IN_PROCESS
    is_canonical = name == name.strip() and provider == provider.lower() and "/" not in provider
    if not is_complete or not is_canonical or ("*" in name and model != "*"):
        raise ValueError("no name of a model")
    return name


def _iso(said: Any) -> str:
    text = said.isoformat() if isinstance(said, date) else said
    if not isinstance(text, str) or date.fromisoformat(text).isoformat() != text:
        raise ValueError("no date")
    return text


class _Rates(BaseModel):
    """What the file says of a model, or of its long prompts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: float = Field(ge=0, le=MOST_USD, allow_inf_nan=False)
    output: float = Field(ge=0, le=MOST_USD, allow_inf_nan=False)
    cached: float = Field(AS_INPUT, ge=0, le=MOST_USD, allow_inf_nan=False)
    written: float = Field(AS_INPUT, ge=0, le=MOST_USD, allow_inf_nan=False)


class _Tier(_Rates):
    """What the file says of long prompts."""

    above: int = Field(gt=0, le=MOST_TOKENS)


def _rising(tiers: list[_Tier]) -> list[_Tier]:
    if not rise([tier.above for tier in tiers]):
        raise ValueError("no rising lengths")
    return tiers


class _Entry(_Rates):
    """What the file says of a model."""

    tiers: Annotated[list[_Tier], AfterValidator(_rising)] = []

    def price(self) -> Price:
        """Return it as a price."""
        tiers = [Tier(**tier.model_dump(exclude_unset=True)) for tier in self.tiers]
        return Price(**self.model_dump(exclude_unset=True, exclude={"tiers"}), tiers=tuple(tiers))


class PriceFile(BaseModel):
    """What a file of prices says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    date: Annotated[str, BeforeValidator(_iso)] = ""
    models: dict[Annotated[str, AfterValidator(_named)], _Entry]

    def prices(self) -> dict[str, Price]:
        """Return the prices by name."""
        return {name: entry.price() for name, entry in self.models.items()}


def read_prices(document: Json) -> PriceFile:
    """Return what a file says.

    Raises:
        InputError: It does not say prices.
    """
    try:
        return PriceFile.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        # A misspelt key comes first, because it explains the one that is missing.
        first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
        raise _refusal(first["loc"], first["type"], first["input"]) from error


def _refusal(place: tuple[int | str, ...], kind: str, said: object) -> InputError:
    """Return one of pydantic's complaints as ours.

    Args:
        place: Where: nothing, a key of the file, then a model's name, then a key of its price or `[key]` for the name,
            then the place of a tier, then a key of it.
        kind: What pydantic calls it.
        said: What stands there.
    """
    parts = [shown(str(part))[1:-1] for part in place]
    field = "prices" + "".join(f"[{part}]" if depth in (1, 3) else f".{part}" for depth, part in enumerate(parts))
    if parts[2:] == ["[key]"]:
        wanted = "PROVIDER:MODEL, the provider in lower case, or PROVIDER:* for all its models that are not listed"
        return InputError(field.removesuffix(".[key]"), f"the name of a model must be {wanted}, got {shown(said)}")
    known = PriceFile if len(parts) < 2 else _Entry if len(parts) < 4 else _Tier
    keys = ", ".join(known.model_fields)
    if kind == "extra_forbidden":
        return InputError(field, f"is not a key here; known are {keys}")
    match parts:
        case ["date"]:
            wanted = "a date as in 2026-11-25"
        case ["models"]:
            wanted = "a mapping of names to prices"
        case [_, _, "tiers"]:
            wanted = "a list of tiers, their lengths (above) rising"
        case [*_, "above"]:
            wanted = A_LENGTH
        case [_, _, _] | [_, _, _, _, _]:
            wanted = A_PRICE
        case _:
            wanted = f"a mapping with the keys {keys}"
    return InputError(field, f"must be {wanted}, {'but is missing' if kind == 'missing' else f'got {shown(said)}'}")
