"""From what a chat model of LangChain raises to the typed errors, by name and status: its provider is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError

from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    InvalidRequest,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerError,
    TransportError,
)
from orchestra_agents.models._failures import failure, shortened

_MOST_CAUSES = 8

_BY_NAME: Mapping[str, type[ModelError]] = MappingProxyType(
    {
        **dict.fromkeys(("ContextOverflowError", "ContextWindowExceededError"), ContextExceeded),
        **dict.fromkeys(("AuthenticationError", "PermissionDeniedError"), AuthError),
        **dict.fromkeys(("ModelAuthenticationError", "ModelPermissionDeniedError", "NoCredentialsError"), AuthError),
        **dict.fromkeys(("RateLimitError", "ModelRateLimitError", "ResourceExhausted"), RateLimited),
        **dict.fromkeys(("TimeoutError", "TimeoutException", "APITimeoutError", "ModelTimeoutError"), ModelTimeout),
        **dict.fromkeys(("Timeout", "ReadTimeoutError", "DeadlineExceeded"), ModelTimeout),
        **dict.fromkeys(("APIConnectionError", "ModelConnectionError", "ConnectionError", "gaierror"), TransportError),
        **dict.fromkeys(("TransportError", "ClientConnectionError", "HTTPClientError"), TransportError),
        **dict.fromkeys(("BadRequestError", "NotFoundError", "UnprocessableEntityError"), InvalidRequest),
        **dict.fromkeys(("ModelInvalidRequestError", "ModelNotFoundError"), InvalidRequest),
        **dict.fromkeys(("InternalServerError", "ServiceUnavailable", "ModelAPIError"), ServerError),
        "JSONDecodeError": ServerError,  # an answer that is none
    }
)
"""Names of exception classes: of LangChain's own, of its providers' libraries, and of HTTP clients below those."""

_UNSENT = frozenset(
    (
        *("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"),  # httpx
        *("ConnectTimeoutError", "EndpointConnectionError"),  # botocore
        *("NewConnectionError", "NameResolutionError"),  # urllib3
        *("ClientConnectorError", "ConnectionRefusedError", "gaierror"),  # aiohttp, the system
    )
)
"""Those of them that say that nothing was sent yet."""


def error_of(error: Exception) -> ModelError:
    """Return the typed error that `error` stands for; what nothing is known of is a ModelError that is not retried."""
    chain = _chain(error)
    kind = next((_BY_NAME[name] for one in chain for name in _names(one) if name in _BY_NAME), ModelError)
    status = next((status for one in chain if (status := _status(one)) is not None), None)
    if status is not None and kind is not ContextExceeded:
        headers = next((headers for one in chain if (headers := _headers(one))), {})
        return failure(status, headers, _told(error).encode("utf-8", "replace"), None)
    head = "the chat model failed: " if kind is ModelError else ""
    typed = kind(f"{head}{type(error).__name__}: {said(error)}")
    if kind in (ModelError, ModelTimeout, ServerError, TransportError):
        typed.unknown = int(not any(name in _UNSENT for one in chain for name in _names(one)))
    return typed


def said(error: Exception) -> str:
    """Return what `error` says, on one short line and without what looks like a key."""
    if isinstance(error, ValidationError):  # its own text shows what was given, keys and prompts too
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return shortened("; ".join(one["msg"] for one in problems), None)
    return shortened(str(error), None) or "no message"


def _told(error: Exception) -> str:
    """Return what `error` says with the server's code for it, which OpenAI's library keeps apart."""
    code = getattr(error, "code", None)
    return f"{error} ({code})" if isinstance(code, str) and code else str(error)


def _chain(error: BaseException) -> Sequence[BaseException]:
    """Return `error` and what it was raised from, `raise ... from None` too: integrations hide causes by it."""
    chain = [error]
    while len(chain) < _MOST_CAUSES and (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return chain


def _names(error: BaseException) -> Sequence[str]:
    """Return the names of the classes of `error`, the most special first."""
    return [kind.__name__ for kind in type(error).__mro__]


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of a failure, where OpenAI's library and most others, httpx, Google's or boto's put it."""
    response = getattr(error, "response", None)
    candidates = (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        _boto(response).get("HTTPStatusCode"),
        getattr(error, "code", None),
    )
    return next((int(one) for one in candidates if isinstance(one, int) and 400 <= one < 600), None)


def _headers(error: BaseException) -> dict[str, str]:
    """Return the headers of the response that came with a failure, with lower-case names."""
    response = getattr(error, "response", None)
    headers = _boto(response).get("HTTPHeaders") or getattr(response, "headers", None)
    if not isinstance(headers, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _boto(response: object) -> Mapping[str, object]:
    """Return what boto tells about a response, nothing where it is none of boto's."""
    told = response.get("ResponseMetadata") if isinstance(response, dict) else None
    return told if isinstance(told, Mapping) else {}
