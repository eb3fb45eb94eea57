"""Server-sent events: a streamed reply is put together, and told piece by piece, as its events arrive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol, TypeAlias

from orchestra_agents.errors import ModelError, ServerError, TransportError
from orchestra_agents.models._decoding import decoded
from orchestra_agents.models.contract import Json

Failed: TypeAlias = Callable[[int, bytes], ModelError]
"""Returns the typed error that an answer stands for, given its status and what it says."""

DONE = b"[DONE]"
"""What ends a stream of an OpenAI-compatible server; it is no JSON, so no part of an event either."""
STOPPED = "message_stop"
"""Type of the event that ends a stream of Anthropic's interface."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP statuses of the kinds of failure that Anthropic's interface names, as it documents them."""


class Assembly(Protocol):
    """A streamed reply, put together as its events arrive."""

    @property
    def has_begun(self) -> bool:
        """Whether any of its text is there."""

    @property
    def is_whole(self) -> bool:
        """Whether the server has said why it ended."""

    def add(self, event: Json) -> str:
        """Take an event, and return the piece of text that it brings.

        Raises:
            ServerError: It brings something that is no text.
        """


async def fill(
    assembly: Assembly, chunks: AsyncGenerator[bytes, None], *, tell: Callable[[str], None], failed: Failed
) -> None:
    """Put a whole reply together; the stream is closed whatever happens.

    Args:
        assembly: Takes the events.
        chunks: The stream.
        tell: Told each piece of the text, none of which is empty.
        failed: Makes an error of the event that tells of a failure.

    Raises:
        ModelError: The stream broke off or told of a failure; retryable at most until the first piece was told.
    """
    try:
        async with aclosing(events_of(chunks, failed)) as events:
            async for event in events:
                if piece := _taken(assembly, event):
                    tell(piece)
        if not assembly.is_whole:
            raise _cut("the server's stream ended before its answer did")
    except ModelError as error:
        error.retryable = error.retryable and not assembly.has_begun
        raise


async def events_of(chunks: AsyncGenerator[bytes, None], failed: Failed) -> AsyncGenerator[Json, None]:
    """Yield the data of each event, until the stream says that it is done or ends; an event without any is none.

    Raises:
        ServerError: An event is no JSON.
        TransportError: The stream ended within an event.
        ModelError: An event tells of a failure: what the response with that failure would be.
    """
    data: list[bytes] = []
    async with aclosing(_lines_of(chunks)) as lines:
        async for line in lines:
            if line.startswith(b"data:"):
                told = line[5:].strip()
                if told == DONE:
                    return
                data += [told] if told else []
            elif not line and data:
                text, data = b"\n".join(data), []
                event = decoded(text)
                kind = event.get("type") if isinstance(event, dict) else None
                if kind == STOPPED:
                    return
                _check(event, text, failed)
                yield event
    if data:
        raise _cut("the server's stream ended within an event")


async def _lines_of(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    r"""Yield the lines of a stream without their ends, which are \n, \r\n or \r; the last one need not have any."""
    held = [b""]  # pieces of a line whose end is still to come, joined once it has: a long line is not copied each time
    async with aclosing(chunks):
        async for chunk in chunks:
            held.append(chunk)
            if b"\n" in chunk or b"\r" in chunk or held[0].endswith(b"\r"):
                *lines, last = b"".join(held).splitlines(keepends=True)
                held = [last]
                if last.endswith(b"\n"):  # after \r there may be a \n to come
                    lines, held = [*lines, last], [b""]
                for line in lines:
                    yield line.rstrip(b"\r\n").removeprefix(_BYTE_ORDER_MARK)
    if rest := b"".join(held):
        yield rest.rstrip(b"\r\n")


def _taken(assembly: Assembly, event: Json) -> str:
    try:
        return assembly.add(event)
    except ServerError as error:
        error.calls = 1  # answered, and perhaps billed, though not as promised
        raise


def _check(event: Json, text: bytes, failed: Failed) -> None:
    """Refuse an event that tells of a failure."""
    told = event.get("error") if isinstance(event, dict) else None
    if told:
        error = failed(_status(told), text)
        error.calls = 1
        raise error


def _status(told: Json) -> int:
    """Return the HTTP status that a failure would have had before the stream began."""
    code, kind = (told.get("code"), told.get("type")) if isinstance(told, dict) else (None, None)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return _STATUSES.get(kind, 500) if isinstance(kind, str) else 500


def _cut(told: str) -> TransportError:
    error = TransportError(told)
    error.unknown = 1
    return error
