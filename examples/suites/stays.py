"""A suite of your own: short reviews of two hotels, with the graph that splits each sample up, in a hundred lines.

    orchestra eval compare examples.suites.stays:Stays --model embedded --limit 20

Whoever answers a sample alone fills in a form about both reviews at once. The graph asks one small question about one
review at a time, with worked examples, and then which of two numbers is larger.
"""

from __future__ import annotations

from typing import Any

from orchestra import AnswerType, TaskGraph
from orchestra_evals import About, Sample, Score
from orchestra_evals.suites.suite import Difficulty, Split, rng_of, sample_id

Json = Any
CITIES = ["Lisbon", "Madrid", "Oslo", "Rome"]
REVIEWS = [
    "The hotel in {city} was wonderful. We enjoyed {nights} nights there.",
    "We spent {nights} nights in {city} and the bed was hard.",
    "A quiet place in {city}. After {nights} nights we went home happy.",
    "Our room in {city} was small, but we stayed {nights} nights.",
    "I slept {nights} nights at a hostel in {city}. It was loud.",
    "{city} was rainy. We were glad to leave after {nights} nights.",
]
NIGHTS_READ = [
    {"input": "The hostel in Cairo was cheap. I slept there for 8 nights.", "answer": 8},
    {"input": "We spent 6 nights at a quiet inn in Milan.", "answer": 6},
    {"input": "The room in Geneva was cold. After 3 nights we moved out.", "answer": 3},
    {"input": "Great location in London. We stayed 5 nights and will return.", "answer": 5},
    {"input": "Horrible stay in Berlin. We suffered for 4 nights.", "answer": 4},
]
CITIES_READ = [
    {"input": "The hostel in Cairo was cheap. I slept there for 8 nights.", "answer": "Cairo"},
    {"input": "We spent 6 nights at a quiet inn in Milan.", "answer": "Milan"},
    {"input": "Great location in London. We stayed 5 nights and will return.", "answer": "London"},
    {"input": "After 1 night in Paris I had seen enough.", "answer": "Paris"},
]
LARGER = [
    {"input": said, "answer": max(map(int, said.split(", ")))}
    for said in ("3, 8", "9, 4", "1, 6", "5, 2", "4, 7", "8, 1", "2, 9", "7, 3", "6, 9", "8, 5", "1, 3", "6, 4")
]
FORM = AnswerType.parse(
    {
        "json": {
            "type": "object",
            "properties": {
                "city_a": {"type": "string", "enum": CITIES},
                "city_b": {"type": "string", "enum": CITIES},
                "longer_stay": {"type": "number"},
            },
            "required": ["city_a", "city_b", "longer_stay"],
            "additionalProperties": False,
        }
    }
)


class Stays:
    """Two reviews; which cities they are about, and how many nights the longer stay had."""

    name = "stays"
    about = About(
        summary="Which cities are two reviews about, and how many nights had the longer stay?",
        scoring="All three are right, the value being the share that is.",
        licence="Apache-2.0",
        axes={},
        default=({},),
        steps="subtasks",
    )

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        rng = rng_of(self.name, self.about.version, difficulty, index, split=split, seed=seed)
        cities, nights, told = rng.sample(CITIES, 2), rng.sample(range(2, 10), 2), rng.sample(REVIEWS, 2)
        first, second = (text.format(city=cities[place], nights=nights[place]) for place, text in enumerate(told))
        target = {"city_a": cities[0], "city_b": cities[1], "longer_stay": max(nights)}
        slips = [target | {"longer_stay": min(nights)}, target | {"city_a": cities[1]}, target | {"city_b": cities[0]}]
        return Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=f"Review A: {first}\nReview B: {second}\nWhich city is each review about (city_a, city_b), "
            "and how many nights did the longer of the two stays have (longer_stay)?",
            answer=FORM,
            target=target,
            wrong=tuple(slips),
            difficulty=difficulty,
            instance={"a": first, "b": second, "cities": cities, "nights": nights},
        )

    def check(self, sample: Sample, answer: Json) -> Score:
        if FORM.problem(answer):
            return Score(value=0.0, outcome="malformed", detail="the answer is no such form")
        wrong = [name for name, value in sample.target.items() if answer[name] != value]
        if not wrong:
            return Score(value=1.0, outcome="right")
        return Score(value=1 - len(wrong) / len(sample.target), outcome="wrong", detail=f"wrong: {', '.join(wrong)}")

    def graph(self, sample: Sample) -> TaskGraph:
        subtasks: list[Json] = []
        for review, city, nights in zip("ab", sample.instance["cities"], sample.instance["nights"], strict=True):
            wrong = [one for one in CITIES if one != city]
            asked = {
                "city": ("Which city is it?", {"choice": CITIES}, CITIES_READ, city, wrong),
                "nights": ("How many nights did the guest stay?", "number", NIGHTS_READ, nights, [nights - 1]),
            }
            for field, (question, answer, examples, right, others) in asked.items():
                one = {"id": f"{field}_{review}", "description": question, "answer": answer, "examples": examples}
                truth = {"answer": right, "wrong": others}  # for simulated models, which know nothing else
                subtasks.append(one | {"context": sample.instance[review], "truth": truth})
        stays = sample.instance["nights"]
        longer = {"id": "longer_stay", "description": "Which number is larger?", "answer": "number", "examples": LARGER}
        needs = {"depends_on": ["nights_a", "nights_b"], "coupling": "strong"}
        subtasks.append(longer | needs | {"truth": {"answer": max(stays), "wrong": [min(stays)]}})
        return TaskGraph(subtasks)
