"""Log lines, and the secrets that never get into them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import AuthError
from orchestra_agents.journal.records import Asked, RunEnded
from orchestra_agents.tracing import configure_logging, log_record, redact

GONE = "[redacted]"
SECRETS = [
    "sk-proj-4fKxAbCdEf12345678",
    "sk-ant-api03-AbCdEfGhIjKl-_9",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abcdefgh.ijkl-1234=",
    "bearer  0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]
"""Texts that are secrets by their shape."""
NAMES = ["api_key", "api-key", "apikey", "OPENAI_API_KEY", "x-api-key", "Authorization", "token", "access_token"]
NAMES += ["hf_token", "password", "PGPASSWORD", "client_secret", "SECRET"]
"""Names under which anything is a secret."""
HARMLESS = [
    "",
    "a task about ski-jumping and risk-taking",
    "task-decomposition, mask-rcnn and disk-usage-report",
    "the bearer of news",
    "eyJ is how a token begins",
    "tokens: 12",
    "AKIA",
]


@pytest.fixture(autouse=True)
def _usual_logging() -> Iterator[None]:
    """Whatever a test configures ends with it."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "key={} refused", "({})", '{{"k": "{}"}}', "a\n{}\nb", "{0} and {0}"])
def test_secrets_go_by_their_shape(secret: str, around: str) -> None:
    """A text that looks like a secret goes, the words around it stay."""
    text = around.format(secret)
    assert redact(text) == around.format(GONE)


@pytest.mark.parametrize("name", NAMES)
def test_secrets_go_by_their_name(name: str) -> None:
    """Whatever text stands under the name of a secret goes, alone, in a mapping or in a list."""
    assert redact("plain", name) == GONE
    assert redact({"outer": {name: "plain", "id": "plain"}}) == {"outer": {name: GONE, "id": "plain"}}
    assert redact({name: ["plain", ("plain", b"plain")]}) == {name: [GONE, (GONE, GONE)]}


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay(text: str) -> None:
    """What only resembles a secret stays."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "name", ["tokens", "input_tokens", "max_tokens", "secretary", "passwords_changed", "key", "id"]
)
def test_other_names_are_no_secrets(name: str) -> None:
    """Figures and words under other names stay."""
    assert redact({name: "plain"}) == {name: "plain"}


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc \n", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
)


@given(value=plain_values)
def test_values_without_secrets_are_untouched(value: Any) -> None:
    """Redaction returns equal values of the same types where there is nothing to take out."""
    assert redact(value) == value
    assert type(redact(value)) is type(value)


@given(path=st.lists(st.sampled_from(["list", "tuple", "dict"]), max_size=5), secret=st.sampled_from(SECRETS))
def test_no_nesting_hides_a_secret(path: list[str], secret: str) -> None:
    """However deep a secret lies, it goes."""
    value: Any = secret
    for wrapper in path:
        value = {"list": [value], "tuple": (1, value), "dict": {"a": value}}[wrapper]
    assert secret not in repr(redact(value))
    assert GONE in repr(redact(value))


@pytest.mark.parametrize("secret", SECRETS)
def test_objects_are_seen_through(secret: str) -> None:
    """An error, bytes or a set that would be shown with a secret is shown without it."""
    for value in (AuthError(f"key {secret} refused"), secret.encode(), {secret}):
        assert secret not in repr(redact(value))
        assert GONE in repr(redact(value))
    error = AuthError("refused")
    assert redact(error) is error


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON documents of some lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON form each event is one line on stderr with its level, time and fields, and stdout stays empty."""
    configure_logging("json", "info")
    structlog.get_logger("any").info("asked\nagain", node="a", votes=3, answer={"é": [1]})
    structlog.get_logger("any").warning("slow")
    out, err = capsys.readouterr()
    assert out == ""
    first, second = lines(err)
    assert {key: first[key] for key in ("event", "level", "node", "votes", "answer")} == {
        "event": "asked\nagain",
        "level": "info",
        "node": "a",
        "votes": 3,
        "answer": {"é": [1]},
    }
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("slow", "warning")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_a_log_line(form: Any, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the event, its fields, the bound context or a traceback: a secret is gone from the line, in either form."""
    configure_logging(form, "debug")
    structlog.contextvars.bind_contextvars(run=f"run of {secret}")
    log = structlog.get_logger("any")
    log.info(f"event {secret}", header={"authorization": secret, "other": [secret]}, api_key="plain-text-key")
    log.info("failed", error=AuthError(secret))
    try:
        raise AuthError(f"refused {secret}")
    except AuthError:
        log.exception("broken")
    out, err = capsys.readouterr()
    assert out == ""
    assert secret not in err
    assert "plain-text-key" not in err
    assert err.count(GONE) >= 7
    assert "refused" in err


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lesser_levels_are_left_out(level: str, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Only events of at least the level asked for are written, whatever its case."""
    configure_logging("json", level.upper())
    log = structlog.get_logger("any")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert len(lines(capsys.readouterr().err)) == expected


def test_a_later_configuration_takes_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Loggers made before follow the configuration that holds when they are used."""
    configure_logging("console", "error")
    log = structlog.get_logger("any")
    log.info("unheard")
    configure_logging("json", "info")
    log.info("heard")
    assert [line["event"] for line in lines(capsys.readouterr().err)] == ["heard"]


def test_records_are_logged_with_run_and_node(capsys: pytest.CaptureFixture[str]) -> None:
    """A record of a run is a line that names the run and its fields; single samples show at debug only."""
    sample = Asked(node="facts", input="i", model="m", policy="p", index=4)
    for level in ("debug", "info"):
        configure_logging("json", level)
        log_record("night-1", sample)
        log_record("night-1", RunEnded(status="ok", answer="sk-abcdefgh12345678", seconds=1.0))
    asked, ended, again = lines(capsys.readouterr().err)
    assert (asked["event"], asked["run"], asked["node"], asked["index"]) == ("sample.asked", "night-1", "facts", 4)
    assert (ended["event"], ended["run"], ended["status"]) == ("run.ended", "night-1", "ok")
    assert "answer" not in ended  # content is the journal's, not the log's
    assert again["event"] == "run.ended"
