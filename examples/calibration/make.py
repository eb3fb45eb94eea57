"""Writes the two tiny families of questions that calibrations are tried on. Ours, by rule and seed; no licence needed.

    python examples/calibration/make.py

`sentiment.jsonl`: short reviews, positive or negative, some of them with a negation. `digits.jsonl`: pairs of different
digits, and whether the first one is larger.
"""

from __future__ import annotations

import json
import random
from itertools import permutations
from pathlib import Path

FOLDER = Path(__file__).parent
ITEMS = 88
"""Rows of each file."""
THINGS = (
    "film",
    "soup",
    "hotel",
    "concert",
    "book",
    "train ride",
    "phone",
    "garden",
    "lesson",
    "coffee",
    "map",
    "play",
)
GOOD = ("wonderful", "a delight", "better than we had hoped", "worth every cent", "lovely", "superb", "charming")
BAD = ("dreadful", "a disappointment", "worse than we had feared", "a waste of money", "dull", "awful", "tiresome")
FRAMES = ("The {thing} was {word}.", "What we thought of the {thing}: {word}.", "I found the {thing} {word}, frankly.")
TWISTS = ("The {thing} was not {word} at all.", "Nobody would call the {thing} {word}.")


def sentiment(rng: random.Random) -> list[dict[str, str]]:
    """Return reviews; half of them are positive, about one in seven says the opposite of its word."""
    rows: dict[str, str] = {}
    while len(rows) < ITEMS:
        is_good, is_twisted = len(rows) % 2 == 0, rng.random() < 0.15
        words = GOOD if is_good is not is_twisted else BAD
        frame = rng.choice(TWISTS if is_twisted else FRAMES)
        rows.setdefault(
            frame.format(thing=rng.choice(THINGS), word=rng.choice(words)), "positive" if is_good else "negative"
        )
    return [{"input": text, "target": target} for text, target in rows.items()]


def digits(rng: random.Random) -> list[dict[str, str]]:
    """Return pairs of different digits from 0 to 9."""
    pairs = rng.sample(list(permutations(range(10), 2)), ITEMS)
    return [{"input": f"{a} and {b}", "target": "yes" if a > b else "no"} for a, b in pairs]


def main() -> None:
    """Write both files."""
    for name, make in (("sentiment", sentiment), ("digits", digits)):
        lines = [json.dumps(row) for row in make(random.Random(f"{name} 1"))]
        (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
