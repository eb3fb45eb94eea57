"""`orchestra eval`: the commands by name."""

from __future__ import annotations

import typer

from orchestra_evals.cli.compare_command import compare_command
from orchestra_evals.cli.list_command import list_command
from orchestra_evals.cli.report_command import report_command
from orchestra_evals.cli.run_command import run_command

eval_app = typer.Typer(help="Measure systems on suites, each under the same budget.", no_args_is_help=True)
eval_app.command("list")(list_command)
eval_app.command("run")(run_command)
eval_app.command("compare")(compare_command)
eval_app.command("report")(report_command)
