"""Single-sample accuracy of the embedded model on one kind of question, asked by chat and as a pattern.

python benchmarks/prompts.py [--samples 4]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from dataclasses import replace
from pathlib import Path

import orchestra
from orchestra_agents.errors import RedFlag
from orchestra_agents.models.names import resolve
from orchestra_topologies.prompts import subtask_pattern, subtask_prompt

GRAPH = Path(__file__).parents[1] / "examples" / "reviews.yaml"
REVIEWS = {
    "The hotel in Lisbon was wonderful. We enjoyed every breakfast.": "good",
    "The hotel in Oslo was awful. The room was dirty.": "bad",
    "The pool was sparkling and the staff was kind.": "good",
    "The shower leaked and nobody answered our calls.": "bad",
    "A delightful garden and a very comfortable bed.": "good",
    "The soup was cold and the waiter was rude.": "bad",
    "Our guide was cheerful and the view was stunning.": "good",
    "The elevator was broken and the hall smelled of smoke.": "bad",
}


async def main(samples: int, temperature: float) -> None:
    model = resolve("embedded", environ=os.environ)
    subtask = orchestra.TaskGraph.load(GRAPH)["sentiment_a"]
    answer = subtask.answer
    base = orchestra.Sampling(temperature=temperature, max_tokens=64)
    as_chat = replace(base, schema=answer.constraint())
    as_pattern = replace(base, grammar=answer.grammar(), stop=("\n",))
    right = {"chat": 0, "pattern": 0}
    for text, truth in REVIEWS.items():
        one = replace(subtask, context=text)
        graph = orchestra.TaskGraph([one])
        for completion in await model.sample(subtask_prompt(graph, one, []), as_chat, samples):
            with contextlib.suppress(RedFlag):
                right["chat"] += answer.read(completion.text) == truth
        pattern = subtask_pattern(graph, one, [])
        for completion in await model.sample(pattern, as_pattern, samples) if pattern else []:
            with contextlib.suppress(RedFlag):
                right["pattern"] += answer.read_line(completion.text) == truth
    count = samples * len(REVIEWS)
    figures = ", ".join(f"{form} {hits} of {count}" for form, hits in right.items())
    print(f"evidence: real (embedded), sentiment with 8 examples, temperature {temperature}: {figures} right")
    await model.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=0.3)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.samples, arguments.temperature))
