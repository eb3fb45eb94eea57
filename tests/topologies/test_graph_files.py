"""Graph files: YAML and JSON, context files, and what hostile ones are told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestra_agents.errors import InputError
from orchestra_topologies.graph import TaskGraph

EXAMPLE = """
goal: Compare three storage engines
context: Read carefully.
subtasks:
  - id: facts
    description: List the facts.
    estimated_tokens: 400
  - id: judge
    description: Which one wins?
    answer: {choice: [alpha, beta, gamma]}
    depends_on: [facts]
    coupling: weak
"""
ONE = "subtasks: [{id: a, description: x}]\n"


def write(folder: Path, text: str | bytes, name: str = "graph.yaml") -> Path:
    """Return the path of a new file with this text."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path, **limits: Any) -> InputError:
    """Return the error that loading ends with."""
    with pytest.raises(InputError) as caught:
        TaskGraph.load(path, **limits)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    """The same graph comes from YAML and from JSON, from a path or its text."""
    graph = TaskGraph.load(write(tmp_path, EXAMPLE))
    other = write(tmp_path, json.dumps(yaml.safe_load(EXAMPLE)), "graph.json")
    assert graph == TaskGraph.load(other) == TaskGraph.load(str(other))
    assert (graph.goal, graph.context) == ("Compare three storage engines", "Read carefully.")
    assert graph["judge"].depends_on == (("facts", "weak"),)
    assert graph["facts"].estimated_tokens == 400


def test_a_written_graph_is_loaded_back(tmp_path: Path) -> None:
    """`to_dict` written as a file is the same graph again."""
    graph = TaskGraph.load(write(tmp_path, EXAMPLE))
    assert TaskGraph.load(write(tmp_path, json.dumps(graph.to_dict()), "again.json")) == graph
    assert TaskGraph.load(write(tmp_path, yaml.safe_dump(graph.to_dict()), "again.yml")) == graph


def test_dates_stay_text(tmp_path: Path) -> None:
    """YAML's dates are not a type of ours, so an id or a text may look like one."""
    assert TaskGraph.load(write(tmp_path, "subtasks: [{id: 2026-01-15, description: 2026-13-45}]")).order == (
        "2026-01-15",
    )


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("g.yaml", "subtasks:\n  - id: a\n   bad: [", "line 3 is not YAML"),
        ("g.yaml", "a: 1\n---\nb: 2", "line 2 is not YAML: expected a single document"),
        ("g.yaml", "goal: a\ngoal: b\n", "line 1 is not YAML: a key comes twice in one mapping"),
        ("g.yaml", "{[a]: b}", "line 1 is not YAML"),
        ("g.yaml", "subtasks: 0x_", "is not YAML that can be used"),
        ("g.yaml", "goal: \x01", "is not YAML that can be used"),
        ("g.yaml", "goal: !!python/object/apply:os.system [id]", "line 1 has the tag"),
        ("g.yaml", "goal: !!bool maybe", "line 1 has the tag"),
        ("g.yaml", "a: &x [1]\nb: *x", r"line 2 repeats \*x"),
        ("g.yaml", "a: &x {b: 1}\nc: {<<: *x}", r"line 2 repeats \*x"),
        ("g.yaml", "- a\n- b\n", "must be a mapping with goal, context and subtasks, got list"),
        ("g.yaml", "", "must be a mapping with goal, context and subtasks, got NoneType"),
        ("g.yaml", "just words", "got str"),
        ("g.yaml", b"goal: \xff\xfe", "must be UTF-8 text; byte 6 is not"),
        ("g.yaml", "goal: a\0b", "holds a zero byte"),
        ("g.yaml", "[" * 100 + "]" * 100, "nests more than 64 levels deep"),
        ("g.yaml", "[" * 300_000, "nests more than 64 levels deep"),
        ("g.json", '{"goal": "a",\n"subtasks": }', "line 2 is not JSON: Expecting value"),
        ("g.json", "", "line 1 is not JSON"),
        ("g.json", '{"goal": NaN}', "NaN is no JSON number"),
        ("g.json", '{"goal": 1, "goal": 2}', "a key comes twice"),
        ("g.json", "[" * 300_000 + "]" * 300_000, "is not JSON that can be used"),
        ("g.json", "9" * 5000, "is not JSON that can be used"),
        ("g.json", "[]", "got list"),
    ],
)
def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    """A broken or hostile file is one sentence with its name and, where there is one, the line."""
    path = write(tmp_path, text, name)
    with pytest.raises(InputError, match=says):
        raise refusal(path)
    assert refusal(path).field == str(path)


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    """Nested aliases, which would expand to billions of nodes, are refused before anything is built."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "repeats *a0" in str(refusal(write(tmp_path, "\n".join(lines))))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    """A path that is no file says so under its own name."""
    assert str(refusal(tmp_path / "none.yaml")) == f"{tmp_path / 'none.yaml'}: does not exist"
    assert "must be a file" in str(refusal(tmp_path))
    assert "cannot be read" in str(refusal(tmp_path / ("x" * 5000)))
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "must be a file" in str(refusal(tmp_path / "pipe.yaml"))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """A graph file above 50 MB is refused after reading no more than that."""
    path = write(tmp_path, ONE)
    os.truncate(path, 50_000_001)
    assert str(refusal(path)) == f"{path}: must have at most 50,000,000 bytes"


def test_errors_inside_a_file_name_the_subtask(tmp_path: Path) -> None:
    """What is wrong in a file's subtasks has the same field as in Python, and the limits hold."""
    error = refusal(write(tmp_path, EXAMPLE + "    k: three\n"))
    assert str(error) == "subtasks[judge].k: must be an integer from 1 to 1000, got 'three'"
    assert "max_subtasks" in str(refusal(write(tmp_path, EXAMPLE), max_subtasks=1))
    assert "max_layers" in str(refusal(write(tmp_path, EXAMPLE), max_layers=1))
    unquoted = EXAMPLE.replace("[alpha, beta, gamma]", "[yes, no]")
    assert "put it in quotes" in str(refusal(write(tmp_path, unquoted)))


def test_context_files_are_joined_under_their_names(tmp_path: Path) -> None:
    """The files listed are read relative to the graph file and joined, each under a line that names it."""
    (tmp_path / "more").mkdir()
    write(tmp_path, "one\n", "notes.txt")
    write(tmp_path / "more", "zwei ß", "b.txt")
    path = write(tmp_path, f"context: [notes.txt, more/b.txt]\n{ONE}")
    assert TaskGraph.load(path).context == "=== notes.txt ===\none\n\n=== more/b.txt ===\nzwei ß"


def test_context_that_is_text_is_never_a_file(tmp_path: Path) -> None:
    """A plain string is text, even where a file is called so."""
    write(tmp_path, "secret", "notes.txt")
    assert TaskGraph.load(write(tmp_path, f"context: notes.txt\n{ONE}")).context == "notes.txt"


def test_context_outside_the_folder_needs_leave(tmp_path: Path) -> None:
    """Files outside the graph file's folder, by path or by symbolic link, are read only where the caller lists them."""
    home = tmp_path / "home"
    home.mkdir()
    secret = write(tmp_path, "secret", "secret.txt")
    (home / "link.txt").symlink_to(secret)
    for name in ("../secret.txt", str(secret), "link.txt"):
        path = write(home, f"context: ['{name}']\n{ONE}")
        assert str(refusal(path)).startswith(f"context: {name} lies outside the graph file's folder")
        assert "outside" in str(refusal(path, allow_outside=[tmp_path / "other"]))
        assert TaskGraph.load(path, allow_outside=[secret]).context.endswith("secret")
        assert TaskGraph.load(path, allow_outside=[str(tmp_path)]).context.endswith("secret")


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ("[none.txt]", "context: none.txt does not exist"),
        ("[folder]", "context: folder must be a file"),
        ("[big.txt]", "context: big.txt must have at most 1,000,000 bytes"),
        ("[binary.txt]", "context: binary.txt must be UTF-8 text; byte 1 is not"),
        ("[zero.txt]", "context: zero.txt must be text, but holds a zero byte"),
        ('["a\\0b"]', "context: 'a\\x00b' cannot be a file name"),
        ("[loop]", "context: 'loop' cannot be a file name"),
        ("[3]", "context[0]: must be a file name that comes once, got 3"),
        ("['']", "context[0]: must be a file name"),
        ("[a.txt, a.txt]", "context[1]: must be a file name that comes once, got 'a.txt'"),
        ("{a: b}", "context: must be a text; only a graph file may list files"),
    ],
)
def test_a_bad_context_is_refused_by_name(tmp_path: Path, listed: str, says: str) -> None:
    """Each context file that cannot be used is named with what is wrong."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    write(tmp_path, "a", "a.txt")
    write(tmp_path, "x" * 1_000_001, "big.txt")
    write(tmp_path, b"a\xff", "binary.txt")
    write(tmp_path, "a\0", "zero.txt")
    assert str(refusal(write(tmp_path, f"context: {listed}\n{ONE}"))).startswith(says)


def test_a_file_of_many_subtasks_is_read(tmp_path: Path) -> None:
    """A file as large as the default limits allow is loaded whole."""
    said = [{"id": f"s{n}", "description": "x", "depends_on": [f"s{n - 10}"] if n >= 10 else []} for n in range(10_000)]
    graph = TaskGraph.load(write(tmp_path, json.dumps({"subtasks": said}), "graph.json"))
    assert (len(graph), len(graph.layers)) == (10_000, 1_000)
