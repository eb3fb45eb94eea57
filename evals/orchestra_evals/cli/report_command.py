"""`orchestra eval report`: documents of comparisons as Markdown, HTML and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestra.cli.common import JsonOption, print_json
from orchestra_agents.documents import read_document
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.writing import write_report

_MOST_BYTES = 64 * 1024 * 1024


def report_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.json...", help="Documents that `eval compare` wrote, one a suite.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the report; by default NAME-report beside the first file.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Write comparisons as report.md, report.html and figures; nothing is asked."""
    documents = [ComparisonDocument.of(read_document(path, max_bytes=_MOST_BYTES), str(path)) for path in files]
    written = write_report(documents, out or files[0].with_name(f"{files[0].stem}-report"))
    markdown, html, *figures = map(str, written)
    if json_:
        print_json({"markdown": markdown, "html": html, "figures": figures})
        return
    console = Console(highlight=False, soft_wrap=True)
    for path in written:
        console.print(str(path), markup=False)
