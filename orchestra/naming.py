"""Processes as a user names them: one that ships, or one of his own by module and name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from orchestra_agents.errors import InputError
from orchestra_agents.process import Process
from orchestra_agents.processes.catalog import BUILT_IN, make_process


def process_of(spec: str) -> Process:
    """Return the process that ships as `hanoi:disks=20`, or `module.path:Name`, a class or an object of the user's own.

    Only what a user says is ever imported so; what stands in a journal is not.

    Raises:
        InputError: There is no such process, or it has no such parameter.
    """
    module, _, name = spec.partition(":")
    is_path = name.isidentifier() and all(part.isidentifier() for part in module.split("."))
    return _own(module, name) if is_path and module not in BUILT_IN else make_process(spec)


def _own(module: str, name: str) -> Process:
    """Return a user's own process; modules of the current folder are found."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        found: Any = getattr(importlib.import_module(module), name)
        process: Process = found() if callable(found) and inspect.isclass(found) else found  # type: ignore[assignment]
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the boundary to code that is not ours
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError("process", f"{module}:{name} cannot be made ({told})") from error
    return process
