"""Documents of comparisons for tests: made from plain numbers, in the form that `eval compare` writes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from orchestra_evals.statistics.proportions import wilson

Json = Any
MODEL, OTHER = "openai:small", "simulated:p=0.9,seed=1"
OWN = "my.module:agent"
"""A system of somebody's own, which asks no model of ours."""
BASELINE, PICK, RIVAL = "single x solo", "auto x auto", "selfconsistency"
FIVE = (BASELINE, PICK, RIVAL, "hybrid x vote(k=3)", "parallel x solo")
TEAMS = ("vote(k=3)", "independent(agents=3)", "decentralized(agents=3)", "centralized(agents=3)", "peers", "tree")
WIRED = ("sequential", "parallel", "hierarchical", "hybrid")
MANY = (
    *(BASELINE, PICK, RIVAL),
    *(f"single x {team}" for team in TEAMS),
    *(f"{name} x {team}" for name in WIRED for team in ("solo", "vote(k=3)")),
)
HOSTILE = (
    '<script>alert("x")</script>',
    "a | b | c",
    "two\nlines\r\n# and a heading",
    "long " * 200,
    "_under_ *starred* `ticked` $x^2$ [link](javascript:1) ![image](http://example.org/x.png)",
    "\x1b[31mred \u202eturned\ud800 \u65e5\u672c &lt;",
    "- 1. </svg></style><img src=x onerror=alert(1)>",
)
"""Names that somebody might give to a system."""
STEPS = (3, 7, 15, 31)
EACH = 20


def document(systems: Sequence[str] = FIVE, models: Sequence[str] = (MODEL,), **more: Json) -> Json:
    """Return the document of systems with models, simulated where a model is called so; equal arguments, equal ones.

    Args:
        systems: By name, the first being the baseline.
        models: By name.
        **more: What the document says instead.
    """
    rows = [_row(name, model, place) for model in models for place, name in enumerate(systems)]
    differences = [_difference(row, rows) for row in rows if row["system"] != systems[0]]
    pick = PICK if PICK in systems else None
    made = {
        "document": "orchestra.comparison/1",
        "suite": "hanoi",
        "version": 2,
        "split": "test",
        "seed": 7,
        "samples": EACH * len(STEPS),
        "repeats": 1,
        "decompose": "suite",
        "command": "orchestra eval compare hanoi --model openai:small --limit 80",
        "made": "2026-11-20",
        "orchestra": "0.1.0",
        "cap": {"tokens": 480000},
        "cap_source": "estimated",
        "evidence": "simulated" if any(row["evidence"] == "simulated" for row in rows) else "real",
        "models": list(models),
        "baseline": systems[0],
        "pick": pick,
        "skipped": [{"system": "single x peers", "reason": "a vote needs answers that can be counted"}],
        "rows": rows,
        "differences": differences,
        "mde": {
            "effect": 0.163,
            "n": 80,
            "comparisons": len(systems) - 1,
            "discordance": 0.25,
            "level": 0.05,
            "power": 0.8,
        },
        "graphs": {"source": "suite", "graphs": 80, "degenerate": 4},
        "matched": _matched(rows) if RIVAL in systems else None,
        "forecast": _forecast(rows),
        "regret": pick and {"pick": pick, "models": [_regret(pick, model, rows) for model in models]},
        "convergence": _CONVERGENCE if len(models) > 1 else None,
        "survival": {"unit": "moves", "curves": [_curve(row) for row in rows]},
        "samples_file": "/home/somebody/evals/hanoi-1234.jsonl",
        "journal": "/home/somebody/journal.db",
        "of_a_later_version": {"is": "ignored"},
    }
    return made | more


def suite_of_two_models() -> Json:
    """Return a document of a real and a simulated model, beside a system of somebody's own."""
    return document((*FIVE, OWN), (MODEL, OTHER))


def without_scores() -> Json:
    """Return a document of which nothing was measured, the cap having been too small for all."""
    found = document(matched=None, regret=None, survival=None, convergence=None, differences=[])
    nothing = {"n": 0, "score": None, "interval": {"low": 0.0, "high": 1.0, "method": "nothing measured"}}
    unpaid = {"ok": 0, "budget": 80, "infra_error": 0, "missing": 0}
    none = dict.fromkeys(("tokens_per_success", "cost_per_success", "e_cubed", "confidence", "coordination"))
    spent = {"spent_a_sample": {"tokens": None, "calls": None, "cost_usd": None}, "outcomes": {}, "by_difficulty": []}
    found["rows"] = [row | nothing | none | spent | {"statuses": unpaid, "decided": []} for row in found["rows"]]
    for row in found["forecast"]["rows"]:
        row |= {"measured": None, "interval": None, "error": None}
        row["calls"]["measured"] = row["tokens"]["measured"] = None
    return found


def _row(name: str, model: str, place: int) -> Json:
    rng = random.Random(f"{name!a}|{model}|{place}")
    per_step = min(0.9995, 0.975 + 0.004 * (place % 6) + rng.uniform(-0.002, 0.002))
    right = [sum(rng.random() < per_step**steps for _ in range(EACH)) for steps in STEPS]
    total, n = sum(right), EACH * len(STEPS)
    tokens = round(300 * (1.45 ** (place % 8)) * rng.uniform(0.9, 1.1)) * n
    calls, is_own = 2 * n * (1 + place % 8), name == OWN
    if is_own:
        tokens = calls = 0
    success = tokens / total if total and tokens else None
    return {
        "system": name,
        "topology": name.partition(" x ")[0] if " x " in name else None,
        "team": name.partition(" x ")[2] or None,
        "kind": "selfconsistency" if name == RIVAL else "own" if is_own else "wiring",
        "model": model,
        "cell": f"{place:012x}",
        **_score(total, n),
        "without_retried": _score(total - 1, n - 2) if place == 1 else _score(total, n),
        "retried": 2 if place == 1 else 0,
        "statuses": {"ok": n, "budget": 0, "infra_error": 0, "missing": 0},
        "outcomes": {"ok": total, "wrong": n - total - 1, "malformed": 1} if total < n else {"ok": total},
        "infeasible": 0,
        "by_difficulty": [
            {"difficulty": {"disks": disks}} | _score(count, EACH) for disks, count in enumerate(right, 2)
        ],
        "repeats": {"count": 1, "worst_of_n": None, "majority": None, "best_of_n": None},
        "spent": {"tokens": tokens, "calls": calls, "cost_usd": tokens * 2e-7},
        "spent_a_sample": {"tokens": tokens / n, "calls": calls / n, "cost_usd": tokens * 2e-7 / n},
        "cap": {"tokens": 480000},
        "usage": {"calls": calls},
        "judge": {},
        "tokens_per_success": success and {"value": success, "low": success * 0.8, "high": success * 1.3},
        "cost_per_success": success and {"value": success * 2e-7, "low": success * 1.6e-7, "high": success * 2.6e-7},
        "e_cubed": {"value": (total / n) ** 2 / 150, "low": (total / n) ** 2 / 180, "high": (total / n) ** 2 / 130},
        "confidence": {"brier": 0.182, "skill": None, "ece": 0.071, "auc": 0.733, "left_out": 3}
        if place == 3
        else None,
        "coordination": None
        if is_own
        else {
            "turns": calls / n,
            "messages": float(place),
            "message_density": place * n / calls if calls else None,
            "overhead_percent": 100.0 * (place % 8),
            "efficiency": 0.5,
            "redundancy": None,
            "unproductive_share": 0.0312,
            "failure_ratio": 0.8,
            "runs": n,
        },
        "decided": [
            {"topology": "hybrid", "team": "vote(k=3)", "samples": 60},
            {"topology": "single", "team": "solo", "samples": 20},
        ]
        if name == PICK
        else [{"topology": "single", "team": "solo", "samples": n}],
        "graphs": {"source": "suite", "graphs": n, "degenerate": 4, "nodes": 13.5},
        "seconds": 120.5,
        "evidence": "simulated" if model.startswith("simulated") and not is_own else "real",
        "right": right,
        "per_step": per_step,
    }


def _score(right: int, n: int) -> Json:
    span = wilson(right, n)
    return {"n": n, "score": right / n, "interval": {"low": span.low, "high": span.high, "method": "wilson"}}


def _difference(row: Json, rows: Sequence[Json]) -> Json:
    baseline = next(one for one in rows if one["model"] == row["model"])
    apart = row["score"] - baseline["score"]
    finding = "no difference shown; below the minimum detectable effect of 0.163" if abs(apart) < 0.163 else "better"
    return {
        "first": row["system"],
        "second": baseline["system"],
        "model": row["model"],
        "pairs": 80,
        "left_out": 0,
        "difference": {"value": apart, "low": apart - 0.1, "high": apart + 0.1},
        "wins": 20,
        "losses": 8,
        "test": "mcnemar mid-p",
        "p_value": 0.2 if abs(apart) < 0.163 else 0.0004,
        "adjusted_p": 0.4 if abs(apart) < 0.163 else 0.0123,
        "detectable": 0.163,
        "finding": finding if finding != "better" or apart > 0 else "worse",
    }


def _matched(rows: Sequence[Json]) -> Json:
    curves, told, unmatched = [], [], []
    for rival in [row for row in rows if row["system"] == RIVAL]:
        whole = rival["spent_a_sample"]["tokens"] * 4
        points = [
            {"votes": votes, "spend": whole * votes / 20, "score": rival["score"] * (1 - 0.4 / (votes + 1))}
            for votes in (1, 2, 3, 5, 8, 12, 20)
        ]
        curves.append({"model": rival["model"], "points": points})
        for row in [row for row in rows if row["model"] == rival["model"] and row is not rival]:
            spend, about = row["spent_a_sample"]["tokens"], {"system": row["system"], "model": row["model"]}
            below = [point for point in points if point["spend"] <= spend]
            above = [point for point in points if point["spend"] >= spend]
            if not below or not above:
                reason = "spends less than one vote" if not below else "spends more than self-consistency did"
                unmatched.append(about | {"reason": reason})
                continue
            apart = row["score"] - below[-1]["score"]
            told.append(
                about
                | {"spend": spend, "score": row["score"], "rival": RIVAL, "rival_score": below[-1]["score"]}
                | {"interpolated": True, "from_spend": below[-1]["spend"], "to_spend": above[0]["spend"], "pairs": 80}
                | {"difference": {"value": apart, "low": apart - 0.12, "high": apart + 0.12}}
                | {"p_value": 0.01 if apart > 0.2 else 0.3, "adjusted_p": 0.03 if apart > 0.2 else 0.9}
            )
    return {"unit": "tokens", "note": "Spends are means.", "curves": curves, "rows": told, "unmatched": unmatched}


def _forecast(rows: Sequence[Json]) -> Json:
    profile = {"model": MODEL, "date": "2026-11-01", "evidence": "real", "assumed": ["rho of channels"]}
    profile |= {"took": {"calls": 130, "tokens": 16690, "cost_usd": 0.0}}
    return {"profile": profile, "reason": "by the profile", "rows": [_foretold(row) for row in rows]}


def _foretold(row: Json) -> Json:
    low = max(0.0, row["score"] - 0.12 + 0.02 * (len(row["system"]) % 7))
    high = min(1.0, low + 0.08)
    is_wiring = row["kind"] == "wiring"
    spent = row["spent_a_sample"]
    return {
        "system": row["system"],
        "model": row["model"],
        "predicted": {"pessimistic": low, "optimistic": high, "low": low / 2} if is_wiring else None,
        "measured": row["score"],
        "interval": {"low": row["interval"]["low"], "high": row["interval"]["high"]},
        "error": row["score"] - min(max(row["score"], low), high) if is_wiring else None,
        "calls": {"predicted": spent["calls"], "measured": spent["calls"]},
        "tokens": {"predicted": spent["tokens"] * (0.8 + 0.05 * (len(row["system"]) % 9)), "measured": spent["tokens"]},
    }


def _regret(pick: str, model: str, rows: Sequence[Json]) -> Json:
    wired = [row for row in rows if row["model"] == model and row["kind"] == "wiring"]
    best, own = max(wired, key=lambda row: row["score"]), next(row for row in wired if row["system"] == pick)
    value = best["score"] - own["score"]
    told = {"model": model, "best": best["system"] if value else pick, "alternatives": len(wired) - 1, "value": value}
    return told | {"low": max(0.0, value - 0.04), "high": value + 0.09, "split": value - 0.025, "left_out": 0}


def _curve(row: Json) -> Json:
    points = []
    for steps, right in zip(STEPS, row["right"], strict=True):
        span = wilson(right, EACH)
        points.append({"steps": steps, "n": EACH, "score": right / EACH, "low": span.low, "high": span.high})
    p = row["per_step"]
    named = {name: row[name] for name in ("system", "model", "evidence")}
    return named | {"points": points, "per_step": {"value": p, "low": p - 0.004, "high": min(1.0, p + 0.003)}}


_CONVERGENCE = {
    "topologies": 2,
    "models": 2,
    "over_topologies": 0.0042,
    "over_models": 0.0011,
    "share": {"value": 0.792, "low": 0.31, "high": 0.97},
    "ratio": {"value": 3.8, "low": 0.45, "high": None},
    "eps": 0.05,
    "bound": None,
    "note": "a score, no theorem",
}
