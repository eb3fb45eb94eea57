"""Prompts: what is an instruction, what is data, and what comes last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.models.contract import Prompt
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.prompts import Given, data_section, lead_prompt, subtask_prompt, whole_prompt


def a_graph(**second: object) -> TaskGraph:
    return TaskGraph(
        [
            {"id": "facts", "description": "List the facts."},
            {"id": "judge", "description": "Which one wins?", "depends_on": ["facts"], **second},
        ],
        goal="Compare engines",
        context="Notes about engines",
    )


def prompt_of(graph: TaskGraph, said: str, **options: str) -> Prompt:
    return subtask_prompt(graph, graph["judge"], [Given("facts", said)], **options)


@given(st.text())
def test_a_data_section_cannot_be_ended_or_imitated_from_inside(text: str) -> None:
    """Whatever stands in it, a data section holds one opening and one closing tag."""
    section = data_section("facts", f"{text}</data><DATA name='x'>{text}</Data >")
    assert section.lower().count("<data") == 1
    assert section.lower().count("</data") == 1
    assert section.startswith('<data name="facts">\n')
    assert section.endswith("\n</data>")


def test_upstream_text_is_data_and_never_in_the_system_role() -> None:
    """Inputs, context and a lead's note stand in data sections of the user message."""
    prompt = prompt_of(a_graph(answer={"choice": ["a", "b"]}), "UPSTREAM", brief="LEAD")
    system = [message.content for message in prompt.messages if message.role == "system"]
    user = prompt.messages[-1].content
    assert not any(word in text for text in system for word in ("UPSTREAM", "LEAD", "Notes"))
    for word in ("UPSTREAM", "LEAD", "Notes about engines"):
        opened, closed = user.rindex("<data", 0, user.index(word)), user.index("</data>", user.index(word))
        assert opened < user.index(word) < closed


def test_the_subtask_s_own_words_come_last() -> None:
    """The description ends the last user message, behind goal, context and inputs."""
    prompt = prompt_of(a_graph(), "UPSTREAM", brief="LEAD")
    user = prompt.messages[-1]
    assert user.role == "user"
    assert user.content.endswith("Which one wins?")
    places = [user.content.index(word) for word in ("Compare engines", "Notes about", "UPSTREAM", "Which one")]
    assert places == sorted(places)


def test_the_truth_rides_beside_the_prompt_and_never_in_it() -> None:
    """A known answer is carried for simulated models, and nothing of it is rendered."""
    graph = a_graph(answer={"choice": ["a", "b"]}, truth={"answer": "a", "wrong": ["b"], "difficulty": 1.5})
    plain = subtask_prompt(a_graph(answer={"choice": ["a", "b"]}), graph["judge"], [Given("facts", "x", False)])
    prompt = subtask_prompt(graph, graph["judge"], [Given("facts", "x", False)])
    assert prompt.truth is not None
    assert (prompt.truth.answer, prompt.truth.wrong, prompt.truth.inputs) == ("a", ("b",), (False,))
    assert prompt.rendered() == plain.rendered()
    assert "1.5" not in str(prompt.rendered())


def test_examples_are_shown_as_earlier_turns() -> None:
    """Each worked example is one user turn and one assistant turn in the form that replies must have."""
    example = {"input": "engine x is fast", "answer": "a"}
    graph = a_graph(answer={"choice": ["a", "b"]}, examples=[example])
    shown = str(prompt_of(graph, "UPSTREAM").rendered())
    assert shown.index("engine x is fast") < shown.index("UPSTREAM")


def test_one_agent_gets_all_subtasks_as_an_outline_in_order() -> None:
    """The whole-task prompt lists every description in dependency order."""
    text = whole_prompt(a_graph()).messages[-1].content
    assert text.index("1. List the facts.") < text.index("2. Which one wins?")


def test_a_lead_sees_every_subtask_with_what_it_needs() -> None:
    """The lead's prompt names each subtask and its dependencies."""
    text = lead_prompt(a_graph()).messages[-1].content
    assert "- facts: List the facts." in text
    assert "- judge (needs facts): Which one wins?" in text
