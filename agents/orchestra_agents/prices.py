"""What models cost, by canonical name: US dollars per million tokens, from a dated list and the user's own file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestra_agents.documents import parse_document, read_document
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, TokenUsage

AT_HOME = frozenset({"embedded", "gguf", "llamacpp", "ollama", "scripted", "simulated", "vllm"})
"""Providers that compute on the user's own machine: free unless the user says otherwise."""

_MAX_BYTES = 64 * 1024
_MOST_USD = 1_000_000_000
_MOST_TOKENS = 10**15
"""More tokens than this are a server's mistake; they are counted as so many, so that every cost is finite."""
_NANO = 10**9
_A_PRICE = f"a number from 0 to {_MOST_USD:,}, in US dollars per million tokens"
_AS_INPUT = float("nan")
"""The default of a price that is not given, told apart by identity."""
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_LANGCHAIN = re.compile(r"langchain:([^:/]+)[:/](.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs, in US dollars per million tokens; each a number from 0 to 1,000,000,000.

    Sums are exact to a billionth of a dollar per million tokens, rounded once.

    Raises:
        InputError: A price is no such number.

    >>> Price(input=0.4, cached=0.1, output=1.6).cost(TokenUsage(input_tokens=2_000, output_tokens=500))
    0.0016
    """

    input: float
    """Input that no cache held."""
    output: float
    """Output, hidden reasoning included."""
    cached: float = _AS_INPUT
    """Input read from a prompt cache; by default that of `input`."""
    written: float = _AS_INPUT
    """Input written to a prompt cache; by default that of `input`."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is _AS_INPUT:
                value = self.input
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_USD:
                raise InputError(f"price.{item.name}", f"must be {_A_PRICE}, got {shown(value)}")
            object.__setattr__(self, item.name, float(value))

    def cost(self, usage: TokenUsage) -> float:
        """Return what `usage` costs, in US dollars.

        Tokens read from a cache and written to one are part of the input, so that no more of them are billed than
        there is input, whatever the server says; where they do not all fit, those written come first.

        Args:
            usage: Tokens; what is below 0 counts as 0.
        """
        total = _counted(usage.input_tokens)
        written = min(_counted(usage.written_tokens), total)
        cached = min(_counted(usage.cached_tokens), total - written)
        billed = written * _nano(self.written) + cached * _nano(self.cached)
        billed += (total - written - cached) * _nano(self.input) + _counted(usage.output_tokens) * _nano(self.output)
        return billed / (_NANO * 1_000_000)

    def worst(self, input_tokens: int, output_tokens: int) -> float:
        """Return the most that so many tokens can cost, in US dollars, however the input meets a prompt cache.

        Args:
            input_tokens: Tokens read, at most.
            output_tokens: Tokens written, at most, those of hidden reasoning included.

        >>> Price(input=3, cached=0.3, written=3.75, output=15).worst(1_000_000, 0)
        3.75
        """
        dearest = max(self.input, self.cached, self.written)
        billed = _counted(input_tokens) * _nano(dearest) + _counted(output_tokens) * _nano(self.output)
        return billed / (_NANO * 1_000_000)


FREE = Price(input=0, output=0)
"""The price of what costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices that are known, by canonical name; made by `shipped` and `load`."""

    models: Mapping[str, Price]
    """By `PROVIDER:MODEL`, or by `PROVIDER:*` for every model of the provider that is not found by its own name."""
    dated: str
    """ISO date of the shipped list."""

    @classmethod
    def shipped(cls) -> Prices:
        """Return the prices that ship; the file is read once."""
        return _shipped()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Prices:
        """Return the shipped prices with those of a file, which replace those of the same name.

        The file is a mapping, in JSON where its name ends in .json, else in YAML, for example::

            date: 2026-11-25          # optional, for people
            models:
              openai:gpt-4.1-mini: {input: 0.4, cached: 0.1, output: 1.6}
              anthropic:claude-sonnet-4-5: {input: 3, cached: 0.3, written: 3.75, output: 15}
              vllm:*: {input: 0.2, output: 0.2}

        Every price is in US dollars per million tokens. `cached` (input read from a prompt cache) and `written` (input
        written to one) are by default that of `input`. `PROVIDER:*` is for every model of the provider that is not
        listed by its own name, here or in the shipped list.

        Args:
            path: The file, of at most 64 KiB.

        Raises:
            InputError: The file cannot be read, or says something else than this.
        """
        document = read_document(Path(path), max_bytes=_MAX_BYTES)
        shipped = _shipped()
        return cls(models=MappingProxyType({**shipped.models, **_read(document).prices()}), dated=shipped.dated)

    def of(self, name: str) -> Price | None:
        """Return what the model costs, or None where nobody said.

        The first that is listed counts: the name; the name without the date at its end (`-2025-04-14`, `-20250929`);
        for `langchain:PROVIDER:MODEL` the same two of `PROVIDER:MODEL`; `PROVIDER:*`. What is not listed is free where
        the user's own machine computes it. Nothing else is guessed: a name that only begins like a listed one has no
        price.

        Args:
            name: Canonical, `PROVIDER:MODEL`, as `Model.name` says it.

        >>> Prices.shipped().of("ollama:qwen3:8b") == FREE
        True
        """
        wrapped = _LANGCHAIN.fullmatch(name)
        names = (name, f"{wrapped[1].lower()}:{wrapped[2]}") if wrapped else (name,)
        keys = [key for one in names for key in (one, _undated(one))]
        for key in (*keys, *(f"{_provider(one)}:*" for one in names)):
            if key in self.models:
                return self.models[key]
        return FREE if _provider(names[-1]) in AT_HOME else None


def _counted(tokens: int) -> int:
    return min(max(0, tokens), _MOST_TOKENS)


def _nano(usd: float) -> int:
    """Return billionths of a dollar: whole numbers, so that no way to split a sum changes it."""
    return round(usd * _NANO)


def _provider(name: str) -> str:
    return name.partition(":")[0]


def _undated(name: str) -> str:
    """Return the name without the date that it ends in, if any."""
    found = _DATE.search(name)
    return name[: found.start()] if found and _is_date(found[1]) else name


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@cache
def _shipped() -> Prices:
    text = resources.files("orchestra_agents").joinpath("data/prices.yaml").read_text("utf-8")
    said = _read(parse_document(text, "prices.yaml"))
    return Prices(models=MappingProxyType(said.prices()), dated=said.date)


def _named(name: str) -> str:
    name.encode()  # half a surrogate pair is no text; its UnicodeEncodeError is a ValueError
    provider, colon, model = name.partition(":")
    is_complete = bool(provider and model) if colon else provider in AT_HOME
    is_canonical = name == name.strip() and provider == provider.lower() and "/" not in provider
    if not is_complete or not is_canonical or ("*" in name and model != "*"):
        raise ValueError("no name of a model")
    return name


def _iso(said: Any) -> str:
    text = said.isoformat() if isinstance(said, date) else said
    if not isinstance(text, str) or date.fromisoformat(text).isoformat() != text:
        raise ValueError("no date")
    return text


class _Entry(BaseModel):
    """What the file says of a model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: float = Field(ge=0, le=_MOST_USD, allow_inf_nan=False)
    output: float = Field(ge=0, le=_MOST_USD, allow_inf_nan=False)
    cached: float = Field(_AS_INPUT, ge=0, le=_MOST_USD, allow_inf_nan=False)
    written: float = Field(_AS_INPUT, ge=0, le=_MOST_USD, allow_inf_nan=False)


class _File(BaseModel):
    """What a file of prices says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    date: Annotated[str, BeforeValidator(_iso)] = ""
    models: dict[Annotated[str, AfterValidator(_named)], _Entry]

    def prices(self) -> dict[str, Price]:
        """Return the prices by name."""
        return {name: Price(**entry.model_dump(exclude_unset=True)) for name, entry in self.models.items()}


def _read(document: Json) -> _File:
    """Return what a file says.

    Raises:
        InputError: It does not say prices.
    """
    try:
        return _File.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        # A misspelt key comes first, because it explains the one that is missing.
        first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
        raise _refusal(first["loc"], first["type"], first["input"]) from error


def _refusal(place: tuple[int | str, ...], kind: str, said: object) -> InputError:
    """Return one of pydantic's complaints as ours.

    Args:
        place: Where: nothing, a key of the file, then a model's name, then a key of its price or `[key]` for the name.
        kind: What pydantic calls it.
        said: What stands there.
    """
    parts = [shown(str(part))[1:-1] for part in place]
    field = "prices" + "".join(f"[{part}]" if depth == 1 else f".{part}" for depth, part in enumerate(parts))
    if parts[2:] == ["[key]"]:
        wanted = "PROVIDER:MODEL, the provider in lower case, or PROVIDER:* for all its models that are not listed"
        return InputError(field.removesuffix(".[key]"), f"the name of a model must be {wanted}, got {shown(said)}")
    keys = ", ".join(_Entry.model_fields if len(parts) > 1 else _File.model_fields)
    if kind == "extra_forbidden":
        return InputError(field, f"is not a key here; known are {keys}")
    if len(parts) > 2:
        wanted = _A_PRICE
    elif parts == ["date"]:
        wanted = "a date as in 2026-11-25"
    else:
        wanted = "a mapping of names to prices" if parts == ["models"] else f"a mapping with the keys {keys}"
    return InputError(field, f"must be {wanted}, {'but is missing' if kind == 'missing' else f'got {shown(said)}'}")
