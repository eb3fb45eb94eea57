"""Names in Inspect's registry: `orchestra_evals/NAME`, however orchestra was installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from inspect_ai.util import registry_info

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = "orchestra_evals"


def named(name: str, register: Callable[[str], Callable[[F], F]], factory: F) -> F:
    """Return `factory` registered as `orchestra_evals/NAME`.

    Inspect puts the package's name before that of what it finds in site-packages, or in an editable installation whose
    distribution has the package's name. Ours has another one.

    Args:
        name: Without the package.
        register: Returns Inspect's decorator for a name.
        factory: What makes the solver, agent, scorer or task.
    """
    made = register(name)(factory)
    return made if "/" in registry_info(made).name else register(f"{_PACKAGE}/{name}")(factory)
