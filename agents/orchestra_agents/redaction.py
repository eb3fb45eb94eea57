"""Secrets taken out of what leaves the program: known ones literally, all others by their name or their shape.

The patterns are Python's own, for their look-behinds. Whatever repeats in them is possessive or bounded, so that time
is linear in the length of a text that may be hostile; and none but a quoted value reaches across a bracket, so that a
second pass finds nothing new.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from itertools import takewhile
from typing import Any
from urllib.parse import quote

GONE = "[redacted]"
"""What stands in a secret's place."""

_DEEPEST = 64  # containers inside containers that are looked through; what lies deeper goes
_SHORTEST = 4  # characters of a known secret that is looked for; fewer stand in every other word
_BEGINNING = 12  # characters of a known secret that go although the rest of it does not follow

_NAMES = (
    r"(?:(?:api|access|account|encryption|private|secret|signing|subscription)[_-]?keys?|authorization|token"
    r"|secrets?|passwords?|passwd|passphrase|cookies?|credentials?)"
)
_NAME = re.compile(rf"(?ai){_NAMES}$")

_WORD = r"[^][\s&\"'<>(),;{}\\|]"
_QUOTE = r"(?P<quote>\\{0,7}[\"'])"
_UNQUOTE = r"(?:(?!(?P=quote))(?:\\.|[^\\\r\n]))++"
_QUOTED = re.compile(  # {"api_key": "..."}, api_key='...', os.environ["API_KEY"] = "..."
    rf"(?ai)({_NAMES}(?:\\{{0,7}}[\"']\]?)?\s{{0,4}}[:=]\s{{0,4}}b?{_QUOTE}){_UNQUOTE}"
)
_LISTED = re.compile(  # (b'x-api-key', b'...')
    rf"(?ai)(\(b?[\"'][\w-]{{0,40}}?{_NAMES}[\"'],\s{{0,4}}b?{_QUOTE}){_UNQUOTE}"
)
_ASSIGNED = re.compile(  # API_KEY=..., ?token=...&sig=...
    rf"(?ai)((?:{_NAMES}|(?<=[?&;-])(?:key|sig|signature))(?:=|%3D|[ \t]{{1,4}}=[ \t]{{1,4}}))"
    rf"(?!(?:none|null|true|false|undefined)(?!{_WORD})|(?<=token=)[0-9]++(?!{_WORD})){_WORD}{{4,}}+"
)
_HEADER = re.compile(  # x-api-key: ..., Authorization: Token ...
    rf"(?ai)({_NAMES}:[ \t]{{0,4}}(?:(?:api-?key|basic|bearer|bot|key|negotiate|token)[ \t]{{1,4}})?)"
    rf"(?={_WORD}{{0,19}}[0-9]|{_WORD}{{20}}){_WORD}{{8,}}+"
)
_COOKIE = re.compile(r"(?ai)(cookie:[ \t]{0,4})(?=[^\s=;]{1,64}=)[^][\r\n\"'\\]++")  # Set-Cookie: a=...; Path=/
_USER = re.compile(r"(?<=://)(?:[^][\s/?#@\"'<>\\]*+@)++")

# Where a secret may begin: not inside a word, unless that is the end of an escape.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbfv0])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
_BEARER = re.compile(
    _START + r"(?ai:bearer(?:\s++|%20|\+)(?=[a-z0-9._~+/=-]{0,31}[0-9~+=]|[a-z0-9._~+/=-]{32})[a-z0-9._~+/=-]{8,}+)"
)
_BASIC = re.compile(_START + r"(?ai:basic(?:\s++|%20|\+)([a-z0-9+/_-]{6,}+)(?:=|%3d)*+)")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!-))*+"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
_SHAPES = (
    r"sk-(?=[a-z_-]{0,40}+[A-Z0-9]|[a-z]{16})[A-Za-z0-9_-]{8}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{10}",  # Stripe
    r"gsk_[A-Za-z0-9]{20}",  # Groq
    r"(?:glpat|nvapi|pplx|xai)-[A-Za-z0-9_-]{20}",  # GitLab, NVIDIA, Perplexity, xAI
    r"(?:hf|r8)_[A-Za-z0-9]{20}",  # Hugging Face, Replicate
    r"gh[oprsu]_[A-Za-z0-9]{20}|github_pat_[A-Za-z0-9_]{20}",
    r"AKIA[0-9A-Z]{12}|ASIA[0-9A-Z]{16}",  # AWS
    r"AIza[A-Za-z0-9_-]{30}",  # Google
    r"(?:xapp|xox[a-z])-[A-Za-z0-9-]{10}",  # Slack
    r"eyJ(?<![_-]eyJ)[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+\.",  # JSON web tokens
)
_SHAPE = re.compile(rf"{_START}(?:{'|'.join(_SHAPES)})[A-Za-z0-9_-]*+")


def redact(value: Any, name: str = "") -> Any:
    """Return `value` without secrets, known by the name they go by or by their shape.

    Containers are looked through, their keys, too; of other objects, what a log line would show of them.

    >>> redact({"api_key": "x", "url": "Bearer abcdefgh1234", "max_tokens": 512})
    {'api_key': '[redacted]', 'url': '[redacted]', 'max_tokens': 512}
    """
    return _Walk().clean(value, is_secret=_is_secret(name))


def redact_text(text: str, *known: str) -> str:
    """Return `text` without secrets, which are in `known` or show by the name before them or by their shape.

    Args:
        text: Anything, of any length.
        known: Secrets of at least four characters. They go as they are, escaped for a URL or JSON, in base64, and cut
            off after a dozen characters or more.

    >>> redact_text("refused: s3cr/t as s3cr%2Ft; see https://me:pw@example.org/?api_key=abcd", "s3cr/t")
    'refused: [redacted] as [redacted]; see https://[redacted]@example.org/?api_key=[redacted]'
    """
    for secret in known:
        text = _without(text, secret)
    for pattern, instead in _PASSES:
        text = pattern.sub(instead, text)
    return text


class _Walk:
    """One pass through a value; what contains itself, or is met again, is gone through once."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, bool], tuple[Any, Any]] = {}  # with the original, whose id it keeps from reuse

    def clean(self, value: Any, *, is_secret: bool, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict | list | tuple):
            return self._container(value, is_secret, depth)
        if is_secret:
            return GONE
        if isinstance(value, str):
            return redact_text(value)
        if isinstance(value, bytes):
            return redact_text(value.decode("latin-1")).encode("latin-1")
        return _clean_object(value)

    def _container(self, value: Any, is_secret: bool, depth: int) -> Any:
        mark = id(value), is_secret
        if depth == _DEEPEST:
            return GONE
        if mark not in self._met:
            self._met[mark] = value, GONE
            self._met[mark] = value, self._rebuilt(value, is_secret, depth + 1)
        return self._met[mark][1]

    def _rebuilt(self, value: Any, is_secret: bool, depth: int) -> Any:
        if isinstance(value, dict):
            return {
                self.clean(key, is_secret=False, depth=depth): self.clean(
                    inner, is_secret=is_secret or _is_secret(key), depth=depth
                )
                for key, inner in value.items()
            }
        if isinstance(value, tuple):
            return tuple(self.clean(inner, is_secret=is_secret, depth=depth) for inner in value)
        return [
            self.clean(inner, is_secret=is_secret, depth=depth)
            if is_secret or not _is_header(inner)
            else (self.clean(inner[0], is_secret=False), self.clean(inner[1], is_secret=True, depth=depth))
            for inner in value
        ]


def _is_secret(name: Any) -> bool:
    """Whether what goes by `name` is a secret."""
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return isinstance(text, str) and _NAME.search(text) is not None


def _is_header(item: Any) -> bool:
    """Whether an item of a list is the name of a secret and the secret, as HTTP libraries list headers."""
    return isinstance(item, tuple) and len(item) == 2 and _is_secret(item[0])


def _clean_object(value: Any) -> Any:
    """Return an object that shows no secret, else its representation without them."""
    try:
        shown = repr(value)
        more = f"{value}\n{value.args!r}" if isinstance(value, BaseException) else ""
    except Exception:  # noqa: BLE001 - the boundary to other people's code: theirs must not cost us a log line
        return GONE
    clean = redact_text(shown)
    return value if clean == shown and redact_text(more) == more else clean


def _without(text: str, secret: str) -> str:
    """Return `text` without a known secret, whatever way it is written, and without its beginning."""
    if len(secret) < _SHORTEST:
        return text
    forms = sorted(_forms(secret), key=len, reverse=True)
    for form in forms:
        text = text.replace(form, GONE)
    for form in forms:
        beginning, rest = form[:_BEGINNING], form[_BEGINNING:]
        first, *others = text.split(beginning)
        text = first + "".join(GONE + other[_shared(other, rest) :] for other in others)
    return text


def _shared(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _forms(secret: str) -> set[str]:
    """Return how a secret is written: as it is, in a URL, in JSON, in Python, and in base64 at any place of a text."""
    raw = secret.encode("utf-8", "replace")
    in_url, in_json = quote(raw, safe=""), json.dumps(secret)[1:-1]
    forms = {secret, in_url, in_json, in_json.replace("/", r"\/"), repr(secret)[1:-1]}
    forms.add(re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), in_url))
    for before in range(3):  # bytes that share the first group of four letters
        coded = base64.b64encode(bytes(before) + raw).decode()
        own = coded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]  # letters that no neighbour has a bit in
        forms |= {own, own.replace("+", "-").replace("/", "_")}
    return forms


def _without_login(basic: re.Match[str]) -> str:
    """Return "Basic ..." as it is, unless what follows is a user and a password."""
    coded = basic[1]
    try:
        login = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except ValueError:  # an ordinary word
        return basic[0]
    return GONE if ":" in login and login.isprintable() else basic[0]


_AFTER_NAME = rf"\g<1>{GONE}"
_PASSES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_PEM, GONE),
    (_QUOTED, _AFTER_NAME),
    (_LISTED, _AFTER_NAME),
    (_HEADER, _AFTER_NAME),
    (_COOKIE, _AFTER_NAME),
    (_ASSIGNED, _AFTER_NAME),
    (_USER, f"{GONE}@"),
    (_BEARER, GONE),
    (_BASIC, _without_login),
    (_SHAPE, GONE),
)
