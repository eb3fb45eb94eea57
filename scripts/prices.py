"""The shipped price list, written anew from the data of the package genai-prices.

    pip install genai-prices
    python scripts/prices.py > agents/orchestra_agents/data/prices.yaml

It takes what a step can use: models that chat in text at plain prices per million tokens, at OpenAI, Anthropic, Google
(Gemini, by LangChain's name of the provider) and, of a few makers, OpenRouter; and OpenAI's models of text embeddings.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import ROUND_UP, Decimal
from importlib import metadata
from typing import Any

Rates = dict[str, Decimal]
"""US dollars per million tokens, by what they are for."""
Price = dict[int, Rates]
"""Rates by the input tokens above which they hold, 0 first."""
PROVIDERS = {"anthropic": "anthropic", "google": "google_genai", "openai": "openai", "openrouter": "openrouter"}
"""Our names of the source's providers."""
MAKERS = ("anthropic", "deepseek", "google", "meta-llama", "mistralai", "openai", "qwen")
"""Whose models are listed at OpenRouter, too."""
PLAIN = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"}
EXTRAS = {"web_searches_kcount", "storage_searches_kcount", "input_audio_mtok", "cache_audio_read_mtok"}
"""Prices of a server's own tools and of sound, which no step of ours uses; a model with any other price is left out."""
EMBEDDING = re.compile(r"text-embedding-")
"""Names of models that make vectors of texts, and write nothing."""
OTHER_WORK = re.compile(
    r"audio|image|realtime|transcribe|tts|whisper|live|omni|voxtral|lyria|banana|embedding|moderation|guard"
    r"|search|deep-research|computer-use|vision-preview|robotics"
)
"""Parts of the names of models that do something else, or cost something besides tokens."""
GONE = re.compile(
    r"(^|/)(ada|babbage|curie|davinci|text-|codex-mini|chatgpt-4o|gpt-3\.5-(0301|turbo-)|gpt-4-(0|1|32k|turbo-)|gpt-4\.5"
    r"|o1-mini|o1-preview|claude-v1|claude-2|claude-3-(haiku|opus|sonnet)|claude-3[.-]5-sonnet|gemma-[23]|gemini-(pro|flash)"
    r"|gemini-1\.|gemini-2\.0|gemini-2.*-(exp|preview)|palm|learnlm|llama-2|llama-3-|llama-3\.1-405b$|llama-3\.2|codestral-(2501|mamba)"
    r"|mistral-(7b|tiny|medium$|small$|small-24b|saba)|mixtral|pixtral|ministral-[38]b$|qwen-2|qwen2|qwq|deepseek-r1-distill"
    r"|deepseek-chat-v3-0324)"
    r"|-vl-|:(batch|free|beta|extended|thinking)$"
)
"""Models withdrawn or superseded long ago, and variants of others."""
LIMITED = re.compile(r"cyber|rosalind|mythos")
"""Models that few are given."""
NOT_SERVED = re.compile(r"(?i)^(imported from|seen on) openrouter(?!.*verified against)")
"""Comments on models that the source lists at a maker only because OpenRouter has them."""
DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
PARTLY_DATED = re.compile(r"-(\d{4}|\d{2}-\d{2})$")

HEADER = """\
Prices of models in US dollars per million tokens, as they were on the date below. Written by scripts/prices.py; do not
edit. Where a price is wrong or missing, give a file of your own: see Prices.load in orchestra_agents/prices.py.

To write it anew:
  pip install genai-prices
  python scripts/prices.py > agents/orchestra_agents/data/prices.yaml

What was chosen where the source says more than one price:
- dated changes: the price valid on the date below;
- tiers by length of the prompt: those that fit the model's context window ({tiered} of {count} names have some);
- service tiers (batch, flex, priority): the standard one;
- writes to a prompt cache: those kept for the shortest time. Where the source tells a surcharge only (Gemini at
  OpenRouter), it is added to the price of input.
OpenRouter's prices are those of a model's listing there; a dearer host of the same model may serve a request.

Source: the data of genai-prices {version}, https://github.com/pydantic/genai-prices, under this licence:

{licence}"""


def main() -> None:
    """Write the list to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--date", type=date.fromisoformat, default=datetime.now(UTC).date(), help="prices valid then")
    day = parser.parse_args().date
    try:
        from genai_prices.data import providers  # noqa: PLC0415 # optional, with an error that says how to get it
    except ImportError:
        sys.exit("scripts/prices.py needs the package genai-prices: pip install genai-prices")
    moment = datetime.combine(day, time(12), UTC)
    sources = [(one.id, model) for one in providers if one.id in PROVIDERS for model in one.models]
    models: dict[str, Price] = {}
    for provider, model in sources:
        names, price = _names(provider, model), _price(model, moment)
        if names and price:
            models.update((f"{PROVIDERS[provider]}:{name}", price) for name in names)
    for provider, model in sources:
        models.update(_snapshots(provider, model, moment, models))
    tiered = sum(len(price) > 1 for price in models.values())
    source = metadata.distribution("genai-prices")
    licence = (source.read_text("licenses/LICENSE") or "").strip()
    header = HEADER.format(version=source.version, licence=licence, tiered=tiered, count=len(models))
    header = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    rows = (f"  {json.dumps(name)}: {_flow(price)}\n" for name, price in sorted(models.items()))
    sys.stdout.write(f'{header}date: "{day.isoformat()}"\nmodels:\n{"".join(rows)}')


def _names(provider: str, model: Any) -> set[str]:
    """Return the names that a model has at its provider, without those that differ by a date only."""
    if provider != "openrouter" and NOT_SERVED.search(model.price_comments or ""):
        return set()
    aliases = {name for name in _equals(model.match) if provider != "openrouter" or not _has_date(name)}
    if provider == "anthropic":
        aliases.add(model.id.removesuffix("-latest"))
    names = {name for name in {model.id, *aliases} if _is_listed(provider, name)}
    names -= {re.sub(r"(\d)\.(\d)", r"\1-\2", name) for name in names if "." in name}  # Azure's spelling
    return {name for name in names if not DATED.search(name) or DATED.sub("", name) not in names}


def _snapshots(provider: str, model: Any, moment: datetime, models: Mapping[str, Price]) -> dict[str, Price]:
    """Return the dated names of a model that would otherwise be taken for another model at another price."""
    names = [f"{PROVIDERS[provider]}:{name}" for name in _equals(model.match) if DATED.search(name)]
    price = _price(model, moment)
    return {name: price for name in names if price and models.get(DATED.sub("", name), price) != price}


def _has_date(name: str) -> bool:
    return bool(DATED.search(name) or PARTLY_DATED.search(name))


def _is_listed(provider: str, name: str) -> bool:
    if provider == "openai" and EMBEDDING.match(name):
        return True
    if OTHER_WORK.search(name) or GONE.search(name) or LIMITED.search(name):
        return False
    if provider == "openrouter":
        return name.startswith(tuple(f"{maker}/" for maker in MAKERS))
    if provider == "google" and not name.startswith("gemini-"):
        return False
    is_fine_tuned = ":" in name or name.endswith("-")
    return not is_fine_tuned and not name.startswith("gpt-35") and not name.endswith("-high")


def _equals(clause: Any) -> Iterator[str]:
    """Yield the names that a clause of the source spells out."""
    if hasattr(clause, "equals"):
        yield clause.equals
    for inner in getattr(clause, "or_", ()):
        yield from _equals(inner)


def _price(model: Any, moment: datetime) -> Price | None:
    """Return the prices of a model, those left out that equal the price of input, or None where they are not plain."""
    said = {key: value for key, value in vars(model.get_prices(moment)).items() if value is not None}
    if EMBEDDING.match(model.id):
        said.setdefault("output_mtok", Decimal(0))
    if not {"input_mtok", "output_mtok"} <= said.keys() <= PLAIN | EXTRAS:
        return None
    starts = {start for value in said.values() for start in _starts(value)}
    reached = sorted(start for start in starts if model.context_window is None or start < model.context_window)
    return {start: _rates({key: _at(value, start) for key, value in said.items()}) for start in (0, *reached)}


def _rates(said: Mapping[str, Decimal]) -> Rates:
    """Return the rates of prompts of one length."""
    fresh = said["input_mtok"]
    written = said.get("cache_write_mtok", fresh)
    rates = {
        "input": fresh,
        "cached": said.get("cache_read_mtok", fresh),
        "written": fresh + written if written < fresh else written,
        "output": said["output_mtok"],
    }
    return {key: value for key, value in rates.items() if key in ("input", "output") or value != fresh}


def _starts(value: Any) -> list[int]:
    """Return the lengths of prompts above which a price is another."""
    return [tier.start for tier in getattr(value, "tiers", ())]


def _at(value: Any, start: int) -> Decimal:
    """Return the price of prompts that are just longer than `start`."""
    found = Decimal(getattr(value, "base", value))
    for tier in getattr(value, "tiers", ()):
        if tier.start <= start:
            found = tier.price
    return found


def _flow(price: Price) -> str:
    """Return a price as YAML writes it in one line."""
    tiers = ", ".join(f"{{above: {start}, {_pairs(rates)}}}" for start, rates in price.items() if start)
    return f"{{{_pairs(price[0])}{f', tiers: [{tiers}]' if tiers else ''}}}"


def _pairs(rates: Rates) -> str:
    rounded = {key: value.quantize(Decimal("0.000001"), ROUND_UP).normalize() for key, value in rates.items()}
    return ", ".join(f"{key}: {value:f}" for key, value in rounded.items())


if __name__ == "__main__":
    main()
