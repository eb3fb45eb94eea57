"""Extraction for a small real model: one field of each of many sentences, all different, folded into counts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.voting.jury import Jury

MOST_ITEMS = 10_000
FIELDS = ("name", "city")
"""What is asked. Jobs are not: on some sentences the model has no right mode there, and votes amplify what is wrong."""
_FORMS = (
    "Sentence: {sentence}\n{Field}:",
    "{sentence}\nThe {field} in this sentence is",
    "{sentence} -> {field}:",
    "{sentence}\nWhich {field}?",
    "{sentence}\n{word}:",
)
_WORD_OF = {"name": "Person", "city": "Place"}
_SETS = 4
JURORS = len(_FORMS) * _SETS
"""Members of the jury: five forms of the question, each with four sets of examples."""
LEAD = 4
"""Margin of an answer."""


_TEMPLATES = (
    "{name} lives in {city} and works as a {job}.",
    "Last year {name} moved to {city} to become a {job}.",
    "In {city} I met {name}, who is a {job}.",
    "{name}, a {job} from {city}, called this morning.",
    "The {job} we hired in {city} is called {name}.",
    "Our office in {city} has a new {job}: {name}.",
    "After ten years as a {job}, {name} still loves {city}.",
    "Everybody in {city} knows {name} the {job}.",
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NAMES = _words(
    """
    Anna Peter Maria James Laura Robert Emma David Julia Thomas Sarah Daniel Alice Martin Helen Simon Clara Oliver
    Nina Victor Diana Edward Sophie George Irene Frank Teresa Henry Monica Albert Rachel Oscar Linda Walter Paula
    Arthur Bruno Marta Philip Susan
    """
)
_CITIES = _words(
    """
    Paris London Berlin Madrid Vienna Dublin Lisbon Athens Prague Warsaw Boston Chicago Denver Seattle Houston
    Toronto Montreal Sydney Melbourne Tokyo Moscow Cairo Geneva Munich Hamburg Milan Venice Florence Barcelona
    Amsterdam Brussels Budapest Stockholm Helsinki Copenhagen Edinburgh Manchester Dallas Phoenix Atlanta
    """
)
_JOBS = _words(
    """
    nurse baker pilot lawyer teacher doctor farmer plumber painter writer driver chef singer dancer soldier sailor
    carpenter dentist gardener journalist librarian mechanic photographer surgeon translator waiter tailor butcher
    banker scientist
    """
)
_OWN_NAMES = _words(
    """
    Kevin Carol Bernard Olivia Steven Ruth Leonard Vera
    """
)
_OWN_CITIES = _words(
    """
    Oslo Rome Zurich Naples Miami Detroit Glasgow Lyon
    """
)
_OWN_JOBS = _words(
    """
    fireman cook judge guard clerk priest barber actor
    """
)
_WORDS = {"items": (_NAMES, _CITIES, _JOBS), "prompts": (_OWN_NAMES, _OWN_CITIES, _OWN_JOBS)}


@dataclass(frozen=True, slots=True)
class Item:
    """A sentence, the field that is asked, and what it holds."""

    sentence: str
    field: str
    answer: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What was extracted so far."""

    item: int
    """The next sentence."""
    found: dict[str, int]
    """How often each value was found, as `field value`."""


class Extraction:
    """Asks one field of each of many generated sentences, and counts what it is told.

    The sentences are all different, so the decisions are about as many fresh inputs. The prompts are fixed: their
    examples have names, cities and jobs of their own, none of which any item has; their five forms were chosen, out of
    six, on the sentences of seed 101. The reply is free text: its form is constrained, what it may say is not.

    Args:
        items: Number of sentences, 1 to 10,000.
        seed: What they are drawn from.

    Raises:
        InputError: A number is out of range.
    """

    concurrency, slots = 1, JURORS
    """One call at a time: each juror's examples stay computed in a slot of their own."""

    def __init__(self, items: int = 300, seed: int = 1) -> None:
        if not 1 <= items <= MOST_ITEMS:
            raise InputError("process", f"extraction: items must be 1 to {MOST_ITEMS}, got {items}")
        self.spec = f"extraction:items={items},seed={seed}"
        self.length = items
        self.items = _drawn(items, random.Random(f"extraction items {seed}"))
        grammar = 'root ::= " " [A-Za-z] [a-z]+ "\\n"'
        self.sampling = Sampling(temperature=0.0, max_tokens=8, stop=("\n",), grammar=grammar)
        self._examples = [(form, _examples(form, number)) for form in _FORMS for number in range(_SETS)]

    def first(self) -> Counts:
        """Return the first sentence, nothing found."""
        return Counts(0, {})

    def prompt(self, state: Counts) -> Jury:
        """Ask the jury, each of whom says one thing only: its members differ in form and examples."""
        item = self.items[state.item]
        prompts = [Prompt(text=f"{examples}{_asked(item, form)}") for form, examples in self._examples]
        return Jury.of(prompts, self.sampling, k=LEAD)

    def parse(self, text: str, state: Counts) -> str:
        """Return the word of a reply.

        Raises:
            RedFlag: `not_a_word`.
        """
        said = text.strip()
        if not said.isalpha():
            raise RedFlag("not_a_word", repr(text))
        return said

    def advance(self, state: Counts, action: str) -> Counts:
        """Count the word."""
        key = f"{self.items[state.item].field} {action}"
        return Counts(state.item + 1, state.found | {key: state.found.get(key, 0) + 1})

    def is_done(self, state: Counts) -> bool:
        """Tell whether every sentence was asked about."""
        return state.item >= self.length

    def is_correct(self, state: Counts) -> bool:
        """Tell whether the counts are those of the sentences."""
        return state.found == Counter(f"{item.field} {item.answer}" for item in self.items)

    def reference(self, state: Counts) -> str:
        """Return what the sentence says."""
        return self.items[state.item].answer

    def distractors(self, state: Counts) -> list[str]:
        """Return other words of the sentence."""
        item = self.items[state.item]
        words = [word.strip(".,:") for word in item.sentence.split()]
        return [word for word in words if word.isalpha() and word != item.answer][-2:]

    def sentinel(self, number: int) -> Counts:
        """Return a sentence of this list; its turn in the chain may come, too."""
        return Counts(number % self.length, {})


def _drawn(count: int, rng: random.Random) -> list[Item]:
    """Return different sentences, their fields asked in turn."""
    names, cities, jobs = _WORDS["items"]
    seen: dict[str, Any] = {}
    while len(seen) < count:
        values = {"name": rng.choice(names), "city": rng.choice(cities), "job": rng.choice(jobs)}
        seen.setdefault(rng.choice(_TEMPLATES).format(**values), values)
    asked = (FIELDS[place % len(FIELDS)] for place in range(count))
    return [Item(sentence, field, values[field]) for (sentence, values), field in zip(seen.items(), asked, strict=True)]


def _examples(form: str, number: int) -> str:
    """Return one juror's examples: every kind of sentence once, fields in turn, in an order of its own."""
    rng = random.Random(f"extraction prompts {form} {number}")
    names, cities, jobs = _WORDS["prompts"]
    items = []
    for place, template in enumerate(_TEMPLATES):
        values = {"name": rng.choice(names), "city": rng.choice(cities), "job": rng.choice(jobs)}
        field = FIELDS[(number + place) % len(FIELDS)]
        items.append(Item(template.format(**values), field, values[field]))
    rng.shuffle(items)
    return "".join(f"{_asked(one, form)} {one.answer}\n\n" for one in items)


def _asked(item: Item, form: str) -> str:
    field = item.field
    return form.format(sentence=item.sentence, field=field, Field=field.capitalize(), word=_WORD_OF[field])
