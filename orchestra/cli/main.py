"""The `orchestra` command: every error a user can cause becomes one sentence and an exit code."""

from __future__ import annotations

try:
    import gc
    import importlib.metadata
    import io
    import signal
    import sys
    from collections.abc import Sequence
    from importlib.metadata import EntryPoint
    from typing import Annotated, Literal

    import typer
    from typer.exceptions import TyperException

    from orchestra_agents.errors import InputError, JournalError, ModelError, ModelUnavailable, ToolsUnavailable
    from orchestra_agents.tracing import configure_logging
except KeyboardInterrupt:  # importing is a good part of a short command's life, and nothing has been begun yet
    raise SystemExit(130) from None

COMMANDS = "orchestra.commands"
"""Entry-point group of third-party sub-commands: each a Typer application or a function."""


_OWN = {
    "plan": "orchestra.cli.plan:plan_command",
    "run": "orchestra.cli.run:run_command",
    "drive": "orchestra.cli.drive:drive_command",
    "resume": "orchestra.cli.run:resume_command",
    "runs": "orchestra.cli.runs:runs_command",
    "show": "orchestra.cli.runs:show_command",
    "gc": "orchestra.cli.runs:gc_command",
    "calibrate": "orchestra.cli.calibrate:calibrate_command",
    "forecast": "orchestra.cli.forecast:forecast_app",
    "doctor": "orchestra.cli.doctor:doctor_command",
    "models": "orchestra.cli.doctor:models_app",
}
"""Our own sub-commands, each imported only where it may be asked for: `drive` needs no LangGraph."""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the command line, with those sub-commands alone that `arguments` name, if they name any."""
    app = typer.Typer(
        help="Decide whether more agents will help, how to wire them, and run them to the end.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    own = [EntryPoint(name, home, COMMANDS) for name, home in _OWN.items()]
    known = [*own, *importlib.metadata.entry_points(group=COMMANDS)]
    for entry in [entry for entry in known if entry.name in arguments] or known:
        try:
            command = entry.load()
        except Exception as error:  # noqa: BLE001 - the boundary to other people's code: theirs must not break ours
            sys.stderr.write(f"orchestra: the command {entry.name} of another package cannot be loaded: {error!r}\n")
            continue
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    code = _main(list(sys.argv[1:] if arguments is None else arguments))
    if arguments is None:  # all is said and recorded: a late Ctrl-C must not change what the shell is told
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()  # the interpreter looks at every object as it ends, which would take half a second
    sys.exit(code)


def _main(arguments: list[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a JSON document is UTF-8 whatever the locale says
    try:
        code = make_app(arguments)(arguments, standalone_mode=False, prog_name="orchestra")
    except TyperException as error:
        return _refuse(error.format_message())
    except (InputError, JournalError, ModelUnavailable, ToolsUnavailable) as error:
        return _refuse(str(error))
    except ModelError as error:
        sys.stderr.write(f"orchestra: {error.code}: {error}\n")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"orchestra: {message}\n")
    return 2


def _options(
    log_format: Annotated[
        Literal["console", "json"], typer.Option(help="Form of log lines on standard error.")
    ] = "console",
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Least level logged.")
    ] = "warning",
) -> None:
    configure_logging(log_format, log_level)
