"""Role cards: those that ship, a user's own by name, what they do to sampling and replies, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Completion, Json, Sampling, TokenUsage
from orchestra_agents.roles.cards import RoleCard, load_cards, shipped_cards

ROLES = (
    "arbiter",
    "coder",
    "debugger",
    "decomposer",
    "judge",
    "lead",
    "planner",
    "reviewer",
    "summariser",
    "worker",
)
KEYS = "words, temperature, max_tokens, flags"
FLAGS = "refusal, {longer_than: TOKENS}, {matching: PATTERN} or {not_matching: PATTERN}"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Return `folder` with the files of these names and contents."""
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def flagged(card: RoleCard, text: str, tokens: int = 1) -> str | None:
    """Return the reason for which the card's own policy discards a reply."""
    policy = card.red_flag()
    assert policy is not None
    return policy(Completion(text=text, usage=TokenUsage(output_tokens=tokens)))


def test_the_ten_roles_ship() -> None:
    """There is a card for each of the ten roles, in alphabetical order; sampling is left to the run."""
    cards = shipped_cards()
    assert tuple(cards) == ROLES
    assert [name for name, card in cards.items() if card.name != name] == []
    base = Sampling(temperature=0.4, max_tokens=99)
    assert [name for name, card in cards.items() if card.sampling(base) != base] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_shipped_card_is_short_and_round_trips(role: str) -> None:
    """A card has at most four sentences and 400 characters in one paragraph, and is what its JSON says."""
    card = shipped_cards()[role]
    assert RoleCard.from_dict(role, json.loads(json.dumps(card.to_dict()))) == card
    assert len(card.words) <= 400
    assert card.words.count(". ") < 4
    assert "\n" not in card.words
    assert "helpful assistant" not in card.words


def test_a_worker_is_told_nothing_first() -> None:
    """The worker's words are empty, so that prompts stand as they were measured; every other role has some."""
    assert [name for name, card in shipped_cards().items() if not card.words] == ["worker"]


def test_those_who_write_for_a_program_must_not_apologise() -> None:
    """Plans and code that begin as a refusal are discarded; a reviewer may say that it cannot accept something."""
    for role in ("planner", "coder", "debugger"):
        assert flagged(shipped_cards()[role], "I'm sorry, but no.") == "refusal"
        assert flagged(shipped_cards()[role], "1. Write add(a, b).") is None
    assert shipped_cards()["reviewer"].red_flag() is None


def test_nobody_can_change_the_shipped_cards() -> None:
    """The mapping is read-only, and what `to_dict` returns is a copy."""
    with pytest.raises(TypeError):
        shipped_cards()["judge"] = RoleCard(name="judge")  # type: ignore[index]
    card = RoleCard.from_dict("a", {"flags": [{"longer_than": 5}]})
    card.to_dict()["flags"][0]["longer_than"] = 6
    assert card.flags == ({"longer_than": 5},)


def test_a_card_does_not_share_its_flags_with_what_it_was_read_from() -> None:
    """Changing the value that was given does not change the card."""
    said: dict[str, Json] = {"flags": [{"longer_than": 5}]}
    card = RoleCard.from_dict("a", said)
    said["flags"][0]["longer_than"] = 6
    assert card.flags == ({"longer_than": 5},)


def test_a_folder_overrides_by_name_and_adds_roles(tmp_path: Path) -> None:
    """A file's stem is its role: the whole card of that name is replaced, new names are added, the others stand."""
    files = {
        "coder.yaml": "words: Write Python.\ntemperature: 0\n",
        "critic.yml": "words: |\n  Name one fault.\nmax_tokens: 50\nflags: [refusal, longer_than: 40]\n",
        "judge.json": '{"words": "Pick one.", "temperature": 0.5}',
        "notes.md": "not a card",
        ".#judge.yaml": "an editor's",
    }
    cards = load_cards(write(tmp_path, files))
    assert cards["coder"] == RoleCard(name="coder", words="Write Python.", temperature=0.0)
    assert cards["critic"] == RoleCard(
        name="critic", words="Name one fault.", max_tokens=50, flags=("refusal", {"longer_than": 40})
    )
    assert cards["judge"] == RoleCard(name="judge", words="Pick one.", temperature=0.5)
    assert {name for name in cards if cards[name] != shipped_cards().get(name)} == {"coder", "critic", "judge"}
    assert set(cards) == {*ROLES, "critic"}


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    """Without files a folder gives the shipped cards."""
    assert load_cards(str(tmp_path)) == shipped_cards()


def test_a_written_card_is_read_back(tmp_path: Path) -> None:
    """What `to_dict` returns is what a file may say."""
    said = {role: card.to_dict() for role, card in shipped_cards().items()}
    files = {f"{role}.json": json.dumps(card) for role, card in said.items()}
    assert load_cards(write(tmp_path, files)) == shipped_cards()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Sampling(temperature=0.7, max_tokens=100, seed=5, top_p=0.9)),
        ({"temperature": 0}, Sampling(temperature=0.0, max_tokens=100, seed=5, top_p=0.9)),
        ({"max_tokens": 7}, Sampling(temperature=0.7, max_tokens=7, seed=5, top_p=0.9)),
        ({"temperature": 2, "max_tokens": 1}, Sampling(temperature=2.0, max_tokens=1, seed=5, top_p=0.9)),
    ],
)
def test_sampling_is_the_cards_over_the_runs(said: dict[str, Json], expected: Sampling) -> None:
    """What a card says replaces the run's temperature and length; everything else is the run's."""
    card = RoleCard.from_dict("critic", said)
    assert card.sampling(Sampling(temperature=0.7, max_tokens=100, seed=5, top_p=0.9)) == expected


@pytest.mark.parametrize(
    ("flag", "text", "tokens", "reason"),
    [
        ("refusal", "I cannot do that.", 1, "refusal"),
        ("refusal", "42", 1, None),
        ({"longer_than": 750}, "long", 751, "too_long"),
        ({"longer_than": 750}, "short", 750, None),
        ({"matching": "(?i)wait, no"}, "Wait, no: 4", 1, "pattern"),
        ({"matching": "(?i)wait, no"}, "4", 1, None),
        ({"not_matching": r"^\d+\z"}, "four", 1, "pattern"),
        ({"not_matching": r"^\d+\z"}, "4", 1, None),
    ],
)
def test_a_flag_flags(flag: Json, text: str, tokens: int, reason: str | None) -> None:
    """Each kind of flag discards what the policy of its name discards, and keeps the rest."""
    assert flagged(RoleCard.from_dict("critic", {"flags": [flag]}), text, tokens) == reason


def test_a_card_flags_what_any_of_its_flags_flags() -> None:
    """Several flags combine to one policy; none is no policy."""
    card = RoleCard.from_dict("critic", {"flags": ["refusal", {"longer_than": 5}, {"matching": "x"}]})
    assert flagged(card, "I won't.") == "refusal"
    assert flagged(card, "a", tokens=6) == "too_long"
    assert flagged(card, "x") == "pattern"
    assert flagged(card, "a") is None
    assert RoleCard.from_dict("critic", {}).red_flag() is None


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (None, f"must be a mapping with some of the keys {KEYS}, got None"),
        (["words"], f"must be a mapping with some of the keys {KEYS}, got ['words']"),
        ({"word": "a"}, f"'word' is not a key here; known are {KEYS}"),
        ({"name": "a"}, f"'name' is not a key here; known are {KEYS}"),
        ({1: "a"}, f"1 is not a key here; known are {KEYS}"),
        ({"words": None}, "words must be a text, got None"),
        ({"words": 5}, "words must be a text, got 5"),
        ({"words": "\ud800"}, r"words must be a text, got '\ud800'"),
        ({"temperature": "0"}, "temperature must be a number from 0 to 2, got '0'"),
        ({"temperature": True}, "temperature must be a number from 0 to 2, got True"),
        ({"temperature": -0.1}, "temperature must be a number from 0 to 2, got -0.1"),
        ({"temperature": 2.01}, "temperature must be a number from 0 to 2, got 2.01"),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 2, got nan"),
        ({"max_tokens": 0}, "max_tokens must be an integer from 1 to 2,147,483,647, got 0"),
        ({"max_tokens": 1.5}, "max_tokens must be an integer from 1 to 2,147,483,647, got 1.5"),
        ({"max_tokens": True}, "max_tokens must be an integer from 1 to 2,147,483,647, got True"),
        ({"max_tokens": 2**31}, "max_tokens must be an integer from 1 to 2,147,483,647, got 2147483648"),
        ({"flags": "refusal"}, f"flags must be a list, each item {FLAGS}, got 'refusal'"),
        ({"flags": ["refusal", "rude"]}, f"flags[1] must be {FLAGS}, got 'rude'"),
        ({"flags": [{}]}, f"flags[0] must be {FLAGS}, got {{}}"),
        ({"flags": [{"longer_than": 5, "matching": "a"}]}, f"flags[0] must be {FLAGS}, got"),
        ({"flags": [{"unlikely": -1}]}, f"flags[0] must be {FLAGS}, got {{'unlikely': -1}}"),
        ({"flags": [{"longer_than": 0}]}, "flags[0].longer_than must be an integer of at least 1, got 0"),
        ({"flags": [{"longer_than": True}]}, "flags[0].longer_than must be an integer of at least 1, got True"),
        ({"flags": [{"matching": "("}]}, "flags[0].matching must be a regular expression in RE2 syntax, got '('"),
        ({"flags": [{"matching": ""}]}, "flags[0].matching must be a regular expression in RE2 syntax, got ''"),
        ({"flags": [{"not_matching": 5}]}, "flags[0].not_matching must be a regular expression in RE2 syntax, got 5"),
    ],
)
def test_what_is_no_card_is_refused_in_one_sentence(said: Json, problem: str) -> None:
    """The error names the card, the key and what is allowed there."""
    with pytest.raises(InputError) as caught:
        RoleCard.from_dict("critic", said)
    assert caught.value.field == "roles[critic]"
    assert str(caught.value).startswith(f"roles[critic]: {problem}")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("judge.yaml", "wordz: a", f"'wordz' is not a key here; known are {KEYS}"),
        ("judge.json", '{"temperature": 3}', "temperature must be a number from 0 to 2, got 3"),
        ("judge.yaml", "flags: [{matching: '['}]", "flags[0].matching must be a regular expression in RE2 syntax"),
        ("judge.yaml", "words: 2026-01-01", "words must be a text, got datetime.date(2026, 1, 1)"),
        ("judge.yaml", "# nothing", "must be a mapping with some of the keys"),
        ("my-role.yaml", "words: a", "'my-role' is no name of a role; a role is called by letters, digits and _"),
        ("2nd.json", "{}", "'2nd' is no name of a role"),
        ("judge.yaml", "words: &a x\nflags: [*a]", "line 2 repeats *a; write aliases out, they are not read here"),
        ("judge.yaml", "words: !!str 5", "line 1 has the tag tag:yaml.org,2002:str; tags are not read here"),
        ("judge.yaml", "!!python/object/apply:os.getcwd []", "line 1 has the tag tag:yaml.org,2002:python/object/"),
        ("judge.yaml", "words: a\nwords: b", "line 1 is not YAML: a key comes twice in one mapping"),
        ("judge.json", '{"words": "a", "words": "b"}', "is not JSON that can be used: a key comes twice"),
        ("judge.yaml", "words: ]", "line 1 is not YAML: while parsing a block node"),
        ("judge.yaml", "words: a\n---\nwords: b", "line 2 is not YAML: expected a single document"),
        ("judge.yaml", "words: a\0", "must be text, but holds a zero byte"),
        ("judge.json", '{"words":\n tru}', "line 2 is not JSON: Expecting value"),
        ("judge.yaml", f"words: {'x' * 65_536}", "must have at most 65,536 bytes"),
        ("judge.yaml", b"words: \xff", "must be UTF-8 text; byte 7 is not"),
        ("judge.yaml", "[" * 65_000, "line 1 nests more than 64 levels deep"),
        ("judge.json", "[" * 65_000, "is not JSON that can be used: maximum recursion depth exceeded"),
        ("judge.yaml", f"max_tokens: {'9' * 60_000}", "is not YAML that can be used: Exceeds the limit"),
        ("judge.yaml", f"temperature: {'1:' * 400}1.5", "is not YAML that can be used: int too large to convert"),
    ],
)
def test_a_bad_file_is_refused_by_its_path(tmp_path: Path, name: str, content: str | bytes, problem: str) -> None:
    """Whatever a file holds, the error is one line that names the file, and no card of the folder is used."""
    with pytest.raises(InputError) as caught:
        load_cards(write(tmp_path, {"critic.yaml": "words: a", name: content}))
    assert caught.value.field == str(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: {problem}")
    assert "\n" not in str(caught.value)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    """The cap counts bytes, and the last one allowed is read; a byte order mark is no part of the text."""
    content = b"\xef\xbb\xbfwords: " + b"x" * (65_536 - 10)
    assert load_cards(write(tmp_path, {"judge.yaml": content}))["judge"].words == "x" * (65_536 - 10)


def test_two_files_of_one_role_are_refused(tmp_path: Path) -> None:
    """Which of the two would win is not guessed."""
    write(tmp_path, {"judge.json": "{}", "judge.yaml": "words: a"})
    with pytest.raises(InputError, match=r"judge\.yaml: is the second card of the role judge; keep one file for each"):
        load_cards(tmp_path)


def test_only_folders_of_files_are_read(tmp_path: Path) -> None:
    """A missing folder, a file in its place, and a folder or pipe in a card's place are refused without waiting."""
    with pytest.raises(InputError, match="nowhere: must be a folder of role cards"):
        load_cards(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"judge\.yaml: must be a folder of role cards"):
        load_cards(write(tmp_path, {"judge.yaml": "words: a"}) / "judge.yaml")
    (tmp_path / "lead.yaml").mkdir()
    with pytest.raises(InputError, match=r"lead\.yaml: must be a file, not a folder or device"):
        load_cards(tmp_path)
    (tmp_path / "lead.yaml").rmdir()
    os.mkfifo(tmp_path / "lead.yaml")
    with pytest.raises(InputError, match=r"lead\.yaml: must be a file, not a folder or device"):
        load_cards(tmp_path)


def test_flags_of_a_card_made_by_hand_are_checked_when_they_are_used() -> None:
    """A card that nobody read from data refuses a flag that is none as soon as its policy is asked for."""
    with pytest.raises(InputError, match=r"roles\[critic\]: flags\[0\] must be refusal"):
        RoleCard(name="critic", flags=("rude",)).red_flag()
