"""Anthropic's Messages interface as the fake server speaks it, refusals included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.fake_openai import Reply, Request

Json = Any

WINDOW = 200_000
FIXED = "fake-fixed"
"""A model that takes no temperature and no top_p but those it has by itself, as those after Claude Opus 4.6."""
PLAIN = "fake-plain"
"""A model without structured outputs."""

_FIELDS = {"model", "messages", "max_tokens", "system", "temperature", "top_p", "stop_sequences", "output_config"}
_REFUSED_KEYWORDS = ("minimum", "maximum", "minLength", "maxLength", "maxItems", "multipleOf", "pattern", "uniqueItems")


def says(*texts: str, stop_reason: str | None = "end_turn", usage: Json = None) -> Reply:
    """Return a message with these text blocks."""
    blocks = [{"type": "text", "text": text} for text in texts]
    message = {"id": "msg_secret", "type": "message", "role": "assistant", "model": "claude-secret", "content": blocks}
    used = {"input_tokens": 7, "output_tokens": 2} if usage is None else usage
    return Reply(body=message | {"stop_reason": stop_reason, "stop_sequence": None, "usage": used})


def refusing(status: int, kind: str, message: str = "no", **headers: str) -> Reply:
    """Return an error in Anthropic's form; header names are given with underscores."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Reply(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def answering(request: Request) -> Reply:
    """Answer as a small obedient model would, and refuse what the real interface refuses."""
    if refusal := next(_header_refusals(request), None):
        return refusal
    if request.method == "GET" and request.path.startswith("/v1/models/"):
        name = request.path.removeprefix("/v1/models/")
        return Reply(body={"type": "model", "id": name, "max_input_tokens": WINDOW, "max_tokens": 64_000})
    if request.path == "/v1/messages/count_tokens":
        return _counted(request.body)
    if request.path != "/v1/messages":
        return refusing(404, "not_found_error", request.path)
    if problem := next(_problems(request.body), None):
        return refusing(400, "invalid_request_error", problem)
    return _completed(request.body)


def _completed(body: Json) -> Reply:
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    text = json.dumps(_member(schema)) if schema else "ok"
    if body["max_tokens"] == 1:
        return says(text[:1], stop_reason="max_tokens", usage={"input_tokens": 7, "output_tokens": 1})
    for stop in body.get("stop_sequences", ()):
        if stop in text:
            return says(text.partition(stop)[0], stop_reason="stop_sequence")
    return says(text)


def _counted(body: Json) -> Reply:
    if body.keys() - {"model", "messages", "system"}:
        return refusing(400, "invalid_request_error", "Extra inputs are not permitted")
    texts = [body.get("system", ""), *(message["content"] for message in body["messages"])]
    return Reply(body={"input_tokens": sum(len(text.split()) for text in texts)})


def _header_refusals(request: Request) -> Iterator[Reply]:
    if not request.headers.get("x-api-key"):
        yield refusing(401, "authentication_error", "x-api-key header is required")
    if request.headers.get("anthropic-version") != "2023-06-01":
        yield refusing(400, "invalid_request_error", "anthropic-version: header is required")


def _problems(body: Json) -> Iterator[str]:
    """Yield what the real interface would refuse a request for."""
    for name in body.keys() - _FIELDS:
        yield f"{name}: Extra inputs are not permitted"
    for name in ("model", "messages", "max_tokens"):
        if not body.get(name):
            yield f"{name}: Field required"
    if any(message["role"] not in ("user", "assistant") for message in body["messages"]):
        yield "messages: Unexpected role"
    if not all(stop.strip() for stop in body.get("stop_sequences", ())):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    yield from _sampling_problems(body)
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    if schema is not None and body["model"] == PLAIN:
        yield f"output_config.format: '{PLAIN}' does not support output format."
    if schema is not None:
        yield from (f"output_config.format.schema: {problem}" for problem in _schema_problems(schema))


def _sampling_problems(body: Json) -> Iterator[str]:
    temperature, top_p = body.get("temperature"), body.get("top_p")
    if temperature is not None and temperature > 1:
        yield "temperature: range: 0..1"
    if body["model"] == FIXED and temperature not in (None, 1.0):
        yield "`temperature` is deprecated for this model."
    if body["model"] == FIXED and top_p is not None and top_p < 0.99:
        yield "`top_p` is deprecated for this model."
    if temperature is not None and top_p is not None:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def _schema_problems(schema: Json) -> Iterator[str]:
    """Yield what structured outputs refuse in a schema."""
    for keyword in _REFUSED_KEYWORDS:
        if keyword in schema:
            yield f"property '{keyword}' is not supported"
    if "object" in schema.get("type", ()) and schema.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    items = [schema["items"]] if "items" in schema else []
    for part in [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *items]:
        if not part.keys() & {"type", "enum", "const", "anyOf", "allOf"}:
            yield "schema must have a type"
        yield from _schema_problems(part)


def _member(schema: Json) -> Json:
    """Return the first member of a schema of enums, objects and texts."""
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {name: _member(part) for name, part in schema["properties"].items()}
    return "text"
