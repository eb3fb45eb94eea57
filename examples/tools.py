"""An agent with tools: one that reads and one with an effect, which is allowed call by call.

Run it with a model's name, `python examples/tools.py openai:gpt-4.1-mini`; without one it is simulated.
"""

import asyncio
import sys

import orchestra
from orchestra_agents.acting import Effect
from orchestra_agents.tools import tool

STOCK = {"oak": 3, "pine": 0}
ORDERS: dict[str, str] = {}


@tool(effects="none")
async def stock(wood: str) -> int:
    """Tell how many boards of a wood there are."""
    return STOCK[wood]


@tool(effects="once")
async def order(wood: str, boards: int, *, key: str) -> str:
    """Order boards."""
    ORDERS.setdefault(key, f"{boards} boards of {wood}")  # a call that is repeated after a kill has the same key
    return f"ordered {ORDERS[key]}"


def allow(effect: Effect) -> bool:
    """Let orders of at most ten boards through."""
    print(f"{effect.node} wants {effect.tool} {effect.arguments}")
    return bool(effect.arguments["boards"] <= 10)


async def main(model: str) -> None:
    graph = orchestra.TaskGraph(
        [
            {
                "id": "refill",
                "description": "Order 5 boards of every wood (oak, pine) that has run out. Which did you order?",
                "answer": {"choice": ["oak", "pine", "neither"]},
                "tools": ["stock", "order"],
                "team": "vote",
            }
        ]
    )
    hooks = orchestra.Hooks(allow_effects=allow)
    result = await orchestra.run(graph, model=model, tools=[stock, order], hooks=hooks)
    print(result.status, result.answer, ORDERS, f"evidence: {result.evidence}")
    print(f"{result.coordination.turns} turns, actions {result.coordination.actions}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "simulated:seed=1"))
