"""What models cost, by canonical name: from a dated list and the user's own file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from orchestra_agents._price_file import read_prices
from orchestra_agents.documents import parse_document, read_document
from orchestra_agents.price import FREE, IN_PROCESS, Price, Tier

__all__ = ["FREE", "IN_PROCESS", "Price", "Prices", "Tier"]

_MAX_BYTES = 64 * 1024
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_NEAR = re.compile(r"[a-z][a-z0-9_-]*|.*\.(localhost|local|internal|lan|home\.arpa)")
"""Names that no public server has: those of one word, as containers have, and those with an end of their own."""
_LANGCHAIN = re.compile(r"langchain:([^:/]+)[:/](.+)", re.DOTALL)


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
              openai:gpt-5.4: {input: 2.5, output: 15, tiers: [{above: 272000, input: 5, output: 22.5}]}
              vllm:*: {input: 0.2, output: 0.2}

        Every price is in US dollars per million tokens. `cached` (input read from a prompt cache) and `written` (input
        written to one) are by default that of `input`. `tiers` says what all tokens cost of a request whose prompt has
        more input tokens than `above`. `PROVIDER:*` is for every model of the provider that is not listed by its own
        name, here or in the shipped list.

        Args:
            path: The file, of at most 64 KiB.

        Raises:
            InputError: The file cannot be read, or says something else than this.
        """
        document = read_document(Path(path), max_bytes=_MAX_BYTES)
        shipped = _shipped()
        return cls(models=MappingProxyType({**shipped.models, **read_prices(document).prices()}), dated=shipped.dated)

    def of(self, name: str, base_url: str | None = None) -> Price | None:
        """Return what the model costs, or None where nobody said.

        The first that is listed counts: the name; the name without the date at its end (`-2025-04-14`, `-20250929`);
        for `langchain:PROVIDER:MODEL` the same two of `PROVIDER:MODEL`; `PROVIDER:*`. What is not listed is free where
        this process computes it, and where a server on this machine or in its private network answers. Nothing else is
        guessed: a name that only begins like a listed one has no price.

        Args:
            name: Canonical, `PROVIDER:MODEL`, as `Model.name` says it.
            base_url: Where the model's server is; None is not known.

        >>> Prices.shipped().of("ollama:qwen3:8b", "http://localhost:11434/v1") == FREE
        True
        """
        wrapped = _LANGCHAIN.fullmatch(name)
        names = (name, f"{wrapped[1].lower().replace('-', '_')}:{wrapped[2]}") if wrapped else (name,)
        keys = [key for one in names for key in (one, _undated(one))]
        for key in (*keys, *(f"{_provider(one)}:*" for one in names)):
            if key in self.models:
                return self.models[key]
        return FREE if _provider(name) in IN_PROCESS or _is_near(base_url) else None


def _is_near(base_url: str | None) -> bool:
    """Whether an address is on this machine or in its private network."""
    if base_url is None:
        return False
    try:
        host = urlsplit(base_url if "://" in base_url else f"http://{base_url}").hostname or ""
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _NEAR.fullmatch(host) is not None
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_private or mapped.is_loopback)


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
    said = read_prices(parse_document(text, "prices.yaml"))
    return Prices(models=MappingProxyType(said.prices()), dated=said.date)
