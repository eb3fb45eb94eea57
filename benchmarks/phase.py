"""How long a phase diagram of a million points takes, beside a plain Python loop over the same formulas.

    python benchmarks/phase.py --side 1000 --fan-in 5

Every point has alpha, fixed point, exponent and regime. The loop (floats, `math.comb`, bisection for the fixed point)
works on a sample of the same points and is scaled up. The goal is a grid within seconds whose temporaries do not
grow with it.
"""

from __future__ import annotations

import argparse
import random
import resource
import tracemalloc
from math import comb, log
from time import perf_counter

import numpy as np

from orchestra.budget.phase import phase_grid

BETA = 0.1
GOAL_S = 10.0
"""Most seconds that a million points may take."""
SAMPLE = 2_000
_BISECTIONS = 50


def _majority(bias: float, fan_in: int) -> float:
    p = (1 + bias) / 2
    votes = range((fan_in + 1) // 2, fan_in + 1)
    return 2 * sum(comb(fan_in, k) * p**k * (1 - p) ** (fan_in - k) for k in votes) - 1


def plain(fan_in: int, gamma: float, rho: float) -> tuple[float, float, float, str]:
    """Return alpha, fixed point, exponent and regime of one point, the plain way."""
    slope = fan_in * comb(fan_in - 1, (fan_in - 1) // 2) / 2 ** (fan_in - 1)
    alpha = gamma * (rho + (1 - rho) * slope)
    low, high = (1e-9, 1.0) if alpha > 1 else (0.0, 0.0)
    for _ in range(_BISECTIONS if alpha > 1 else 0):
        middle = (low + high) / 2
        grown = rho * gamma * middle + (1 - rho) * _majority(gamma * middle, fan_in)
        low, high = (middle, high) if grown > middle else (low, middle)
    power = log(alpha) / log(fan_in)
    return alpha, low, power, "collapse" if alpha <= 1 and gamma < 1 else "synergy" if power > BETA else "saturation"


def main() -> None:
    """Print seconds, memory and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--fan-in", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    side, fan_in = asked.side, asked.fan_in
    gammas, rhos = np.linspace(0.2, 1.0, side), np.linspace(0.0, 1.0, side)
    phase_grid(fan_in, gammas[:10], rhos[:10], beta=BETA)
    times = []
    for _ in range(asked.rounds):
        start = perf_counter()
        grid = phase_grid(fan_in, gammas, rhos, beta=BETA)
        times.append(perf_counter() - start)
    rng = random.Random(0)
    places = [(rng.randrange(side), rng.randrange(side)) for _ in range(SAMPLE)]
    start = perf_counter()
    loop = [plain(fan_in, float(gammas[column]), float(rhos[row])) for row, column in places]
    scaled = (perf_counter() - start) * side * side / SAMPLE
    pairs = ((one[1], grid.fixed_point[place]) for one, place in zip(loop, places, strict=True))
    apart = max(abs(ours - theirs) for ours, theirs in pairs if not np.isnan(theirs))
    tracemalloc.start()
    grid = phase_grid(fan_in, gammas, rhos, beta=BETA)
    _, peak = tracemalloc.get_traced_memory()
    kept = sum(values.nbytes for values in (grid.alpha, grid.fixed_point, grid.exponent, grid.regime))
    print(f"{side * side:,} points, fan-in {fan_in}, best of {asked.rounds} rounds")
    print(f"phase_grid                    {min(times):8.2f} s   [..{max(times):.2f}] (goal: {GOAL_S:g} s a million)")
    print(f"plain Python loop, scaled     {scaled:8.1f} s   (from {SAMPLE:,} points)")
    print(f"ratio                         {scaled / min(times):8.0f} times faster; fixed points differ by {apart:.1e}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory: result {kept / 1e6:.0f} MB, temporaries {(peak - kept) / 1e6:.0f} MB, process {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
