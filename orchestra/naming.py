"""Processes and tools as a user names them: those that ship, or his own by module and name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.process import Process
from orchestra_agents.processes.catalog import BUILT_IN, make_process
from orchestra_agents.tools import Tool, Toolbox


def process_of(spec: str) -> Process:
    """Return the process that ships as `hanoi:disks=20`, or `module.path:Name`, a class or an object of the user's own.

    Only what a user says is ever imported so; what stands in a journal is not.

    Raises:
        InputError: There is no such process, or it has no such parameter.
    """
    module, _, name = spec.partition(":")
    is_path = name.isidentifier() and all(part.isidentifier() for part in module.split("."))
    return _own(module, name) if is_path and module not in BUILT_IN else make_process(spec)


def tools_of(spec: str) -> list[Tool]:
    """Return the tools that `module.path:name` names: one, a toolbox, or several of them.

    Raises:
        InputError: There is no such name, or it is no tool.
    """
    module, _, name = spec.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InputError("tools", f"must be module.path:name of a tool of yours, got {shown(spec)}")
    found = own_object(module, name, "tools")
    if isinstance(found, Toolbox):
        return list(found.tools.values())
    tools = [found] if isinstance(found, Tool) else list(found) if isinstance(found, list | tuple) else []
    if not tools or not all(isinstance(one, Tool) for one in tools):
        told = "is no tool, toolbox or list of tools; make one with @orchestra_agents.tools.tool(effects=...)"
        raise InputError("tools", f"{spec} {told}")
    return tools


def _own(module: str, name: str) -> Process:
    """Return a user's own process."""
    found: Process = own_object(module, name, "process")
    return found


def own_object(module: str, name: str, field: str) -> Any:
    """Return an object of the user's own, made where it is a class; modules of the current folder are found."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        found: Any = getattr(importlib.import_module(module), name)
        return found() if inspect.isclass(found) else found
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the boundary to code that is not ours
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(field, f"{module}:{name} cannot be made ({told})") from error
