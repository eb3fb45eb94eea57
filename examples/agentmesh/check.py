"""Reads a regular expression from standard input, tries it on examples, and exits with 0 if it is right on all of them.

It does not run anything that a model wrote: an expression can at worst take long, and checks have a time limit.
"""

import re
import sys

MATCH = ["2026-11-25", "1999-01-31", "2000-12-01"]
OTHER = ["2026-13-25", "2026-00-10", "2026-11-32", "2026-11-00", "26-11-25", "2026-11-25 ", "2026/11/25", "2026-1-5"]

try:
    pattern = re.compile(sys.stdin.read().strip())
except re.error as error:
    sys.exit(f"not a regular expression: {error}")
wrong = [f"does not match {line!r}" for line in MATCH if not pattern.fullmatch(line)]
wrong += [f"matches {line!r}" for line in OTHER if pattern.fullmatch(line)]
sys.exit("; ".join(wrong) if wrong else 0)
