"""A JSON schema in words, for servers that it is not sent to."""

from __future__ import annotations

from dataclasses import replace

from orchestra_agents.models.contract import Message, Prompt


def with_schema(prompt: Prompt, schema: str | None) -> Prompt:
    """Return a chat prompt whose first system message tells the schema; raw text is continued as it is.

    >>> with_schema(Prompt(messages=(Message("user", "Hi"),)), '{"type":"object"}').messages[0].content
    'Reply with JSON alone, following this JSON schema: {"type":"object"}'
    """
    if schema is None or prompt.text is not None:
        return prompt
    words = f"Reply with JSON alone, following this JSON schema: {schema}"
    first, *rest = prompt.messages
    if first.role == "system":
        return replace(prompt, messages=(Message("system", f"{first.content}\n{words}"), *rest))
    return replace(prompt, messages=(Message("system", words), *prompt.messages))
