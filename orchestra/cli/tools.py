"""What a command line brings along for agents: tools of the user's modules and of MCP servers, and role cards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, cast, get_args

import typer

from orchestra.naming import tools_of
from orchestra_agents.errors import InputError
from orchestra_agents.mcp_tools import OTHERS, mcp_tools
from orchestra_agents.tools import Effects, Tool, Toolbox

ToolsOption = Annotated[
    list[str] | None,
    typer.Option("--tools", help="module.path:name of a tool, or of a list of tools, of yours; repeat."),
]
McpOption = Annotated[
    list[str] | None, typer.Option("--mcp", help="Command line of an MCP server whose tools there are; repeat.")
]
EffectsOption = Annotated[
    list[str] | None,
    typer.Option("--effects", help="NAME=none|idempotent|once for a tool of an MCP server, * for all others; repeat."),
]
AllowOption = Annotated[
    bool, typer.Option("--allow-effects", help="Let tools be called whose effects must not happen twice.")
]


@dataclass(frozen=True, slots=True)
class Bringing:
    """The options that say which tools there are."""

    modules: Sequence[str]
    servers: Sequence[str]
    effects: Sequence[str]

    @contextlib.asynccontextmanager
    async def toolbox(self) -> AsyncIterator[Toolbox]:
        """Yield the tools; servers run for as long as they are needed.

        Raises:
            InputError: A module has no such tool, two tools have one name, or an effect is none.
            ToolsUnavailable: A program is no MCP server, or the extra is not installed.
        """
        tools: list[Tool] = [tool for spec in self.modules for tool in tools_of(spec)]
        effects = self._effects()
        if effects and not self.servers:
            raise InputError("--effects", "says what tools of MCP servers change; there is no --mcp")
        if len(self.servers) > 1 and effects.keys() - {OTHERS}:
            raise InputError(
                "--effects", "can name tools of one --mcp server; with several say *=none, *=idempotent or *=once"
            )
        async with contextlib.AsyncExitStack() as stack:
            for command in self.servers:
                tools += await stack.enter_async_context(mcp_tools(command, effects=effects))
            yield Toolbox(tools)

    def _effects(self) -> Mapping[str, Effects]:
        said: dict[str, Effects] = {}
        for one in self.effects:
            name, equals, effects = one.rpartition("=")
            if not equals or effects not in get_args(Effects):
                raise InputError("--effects", f"must be NAME=none, NAME=idempotent or NAME=once, got {one!r}")
            said[name] = cast(Effects, effects)
        return said


def bringing(modules: Sequence[str] | None, servers: Sequence[str] | None, effects: Sequence[str] | None) -> Bringing:
    """Return what the options say; nothing is imported or started yet."""
    return Bringing(modules or (), servers or (), effects or ())
