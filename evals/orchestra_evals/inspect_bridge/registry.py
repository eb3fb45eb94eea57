"""What Inspect finds under `orchestra_evals/` by the entry-point group `inspect_ai`."""

from orchestra_evals.inspect_bridge.solver import orchestra, orchestra_agent
from orchestra_evals.inspect_bridge.tasks import answer_format, checker, suite

__all__ = ["answer_format", "checker", "orchestra", "orchestra_agent", "suite"]
