"""Files of role cards as plain values: small, and without what a reader of YAML could be led astray by."""

from __future__ import annotations

import json
from typing import Any

import yaml

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import object_without_doubles
from orchestra_agents.models.contract import Json

MAX_BYTES = 64 * 1024
"""Largest file of a role card."""


class _CardLoader(yaml.SafeLoader):
    """The safe loader without aliases and tags, and without silent loss where a key comes twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next value as it is written."""
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it bare
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            problem = "aliases and tags are not read here; write the value out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping that `node` spells."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key comes twice in one mapping", node.start_mark)
        return mapping


def parse_card(data: bytes, name: str, *, is_json: bool) -> Json:
    """Return the value that the bytes of a file spell.

    Args:
        data: The file, or its first `MAX_BYTES + 1` bytes.
        name: The file's, for errors.
        is_json: Whether it is JSON; else it is YAML.

    Raises:
        InputError: It is too large, not UTF-8, not JSON or YAML, or uses aliases, tags or a key twice.
    """
    if len(data) > MAX_BYTES:
        raise InputError(name, f"must have at most {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=object_without_doubles) if is_json else _yaml(text)
    except UnicodeDecodeError as error:
        raise InputError(name, f"must be UTF-8 text; byte {error.start} is not") from error
    except json.JSONDecodeError as error:
        raise InputError(name, f"line {error.lineno} is not JSON: {error.msg}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1} " if mark else ""
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise InputError(name, f"{line}cannot be read as YAML: {problem}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        kind = "JSON" if is_json else "YAML"
        raise InputError(name, f"is not {kind} that can be used: {' '.join(str(error).split())}") from error


def _yaml(text: str) -> Json:
    return yaml.load(text, Loader=_CardLoader)  # a safe loader
