"""Everybody against everybody on three suites under one budget, with an estimate first (evidence: that of the model).

    python -m benchmarks.reproduce --model M (--budget-usd X | --budget-tokens N) [--yes] [OPTIONS of eval compare]

The budget is divided evenly: each system on each suite has the same cap. What it will take is printed before anything
is asked; then the words of `--yes`, or yes on the terminal, are waited for. Each suite is one `orchestra eval compare`,
whose command stands in its document, so that every part can be repeated by itself; the same command goes on where it
was stopped. The report is written at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any
SUITES = ("addition", "multiplication", "reachability")
"""Where a graph helps, where it has to be wide, and where there is none."""
_UNITS = {"usd": "USD", "tokens": "tokens"}
_WELL, _STOPPED_BY_CAP, _INCOMPLETE = 0, 3, 5


@dataclass(frozen=True, slots=True)
class Contest:
    """One suite, and the command that compares systems on it."""

    suite: str
    command: tuple[str, ...]
    estimate: Json


def main() -> None:
    """Print the estimate, ask, compare, and write the report; the exit status is that of the worst comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", required=True, help="provider:model, as everywhere")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--budget-usd", dest="usd", type=float, help="for all of it together")
    budget.add_argument(
        "--budget-tokens", dest="tokens", type=float, help="for all of it together, where calls are free"
    )
    parser.add_argument("--suite", action="append", help=f"repeat; else {', '.join(SUITES)}")
    parser.add_argument("--limit", type=int, default=40, help="samples of each suite")
    parser.add_argument(
        "--out", type=Path, default=Path("reproduced"), help="folder of journal, rows, documents, report"
    )
    parser.add_argument("--yes", action="store_true", help="spend it without asking")
    asked, options = parser.parse_known_args()
    unit = "usd" if asked.usd is not None else "tokens"
    total = asked.usd if asked.usd is not None else asked.tokens
    if not total > 0:
        parser.error(f"--budget-{unit} must be above 0, got {total:g}")
    asked.out.mkdir(parents=True, exist_ok=True)
    fixed = ["--model", asked.model, "--limit", str(asked.limit), *options]
    contests = list(contests_of(asked.suite or SUITES, fixed, asked.out, unit, total))
    print("\n".join(told(contests, unit, total)))
    if not asked.yes and not is_agreed():
        print("nothing was asked; add --yes (make: YES=1) to spend it")
        return
    codes = [compared(contest) for contest in contests]
    documents = [str(place) for contest in contests if (place := Path(contest.command[-1])).exists()]
    if documents:
        subprocess.run([*orchestra(), "eval", "report", *documents, "--out", str(asked.out)], check=True)
    sys.exit(max(codes, key=lambda code: (code not in (_WELL, _STOPPED_BY_CAP, _INCOMPLETE), code)))


def contests_of(suites: Sequence[str], fixed: Sequence[str], out: Path, unit: str, total: float) -> Iterator[Contest]:
    """Yield what is compared on each suite, with what that will take under an even part of the budget."""
    bare = {suite: estimated([*orchestra(), "eval", "compare", suite, *fixed]) for suite in suites}
    cells = sum(len(one["cells"]) for one in bare.values())
    cap = total / cells if unit == "usd" else int(total / cells)
    for place, suite in enumerate(suites):
        stem = f"{place + 1}-{suite.partition(':')[0]}"
        files = ["--journal", str(out / "journal.db"), "--out", str(out / f"{stem}.jsonl")]
        capped = [*fixed, f"--budget-{unit}", f"{cap:g}" if unit == "usd" else str(cap), *files]
        command = (*orchestra(), "eval", "compare", suite, *capped, "--document", str(out / f"{stem}.json"))
        yield Contest(suite, command, estimated(command))


def estimated(command: Sequence[str]) -> Json:
    """Return what a comparison will take, as its dry run says."""
    found = subprocess.run([*command, "--dry-run", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        sys.exit(found.returncode)  # it has said why
    return json.loads(found.stdout)


def told(contests: Sequence[Contest], unit: str, total: float) -> Iterator[str]:
    """Yield the lines of the estimate."""
    for contest in contests:
        cells, mde = contest.estimate["cells"], contest.estimate["mde"]["effect"]
        known = [cell for cell in cells if cell["calls"] is not None]
        calls = sum(cell["calls"] for cell in known)
        tokens = sum(cell["input_tokens"] + cell["output_tokens"] for cell in known)
        priced = [cell["cost_usd"] for cell in known if cell["cost_usd"] is not None]
        usd = f"{sum(priced):.4f} USD" if len(priced) == len(known) else "a cost that is not known"
        least = "no difference" if mde is None else f"differences of {mde:.3f} or more"
        yield f"{contest.suite}: {len(cells)} systems; {least} can be found"
        yield f"  {calls:,.0f} calls, {tokens:,} tokens, {usd} for all but {_named(cells, 'calls')}, about"
        over = [cell["system"] for cell in cells if cell["exceeds_cap"]]
        if over:
            yield f"  the cap will not pay for all samples of {', '.join(over)}"
        yield f"  {shlex.join(['orchestra', *contest.command[len(orchestra()) :]])}"
    count = sum(len(contest.estimate["cells"]) for contest in contests)
    each = f"{total / count:.4f}" if unit == "usd" else f"{total / count:,.0f}"
    yield f"at most {total:,g} {_UNITS[unit]} in all, {each} for each of {count} systems; selfconsistency spends it"
    if any(contest.estimate.get("calibrate") for contest in contests):
        yield "measuring profiles first (--calibrate) comes on top, under no cap"


def is_agreed() -> bool:
    """Return whether somebody at a terminal says yes."""
    return sys.stdin.isatty() and input("spend it? [y/N] ").strip().lower() in ("y", "yes")


def compared(contest: Contest) -> int:
    """Make a comparison and return its exit status; one that a cap or lost samples left incomplete counts as made."""
    print(f"\n{contest.suite}", flush=True)
    code = subprocess.run(contest.command, check=False).returncode
    if code not in (_WELL, _STOPPED_BY_CAP, _INCOMPLETE, 1):
        sys.exit(code)
    return code


def orchestra() -> list[str]:
    """Return the command line that stands beside this interpreter."""
    return [os.path.join(os.path.dirname(sys.executable), "orchestra")]


def _named(cells: Sequence[Json], figure: str) -> str:
    """Return the systems of which a figure is not known."""
    return ", ".join(cell["system"] for cell in cells if cell[figure] is None) or "none"


if __name__ == "__main__":
    main()
