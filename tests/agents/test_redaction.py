"""Secrets go wherever they stand, ordinary text stays, and no text makes it slow."""

from __future__ import annotations

import base64
import json
import string
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import AuthError
from orchestra_agents.redaction import GONE, redact, redact_text

# Put together here, so that nobody who scans this repository for keys finds one.
BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0uX"
OPENAI = "sk" + "-" + BODY + BODY[:16]
PROJECT = "sk" + "-proj-" + BODY[:14] + "_-" + BODY
ANTHROPIC = "sk" + "-ant-api03-" + BODY + "-_" + BODY[:8]
GITHUB = "gh" + "p_" + BODY + "0123"
GITHUB_FINE = "github" + "_pat_" + BODY[:22] + "_" + BODY
AWS = "AK" + "IA" + "IOSFODNN7EXAMPLE"
AWS_SESSION = "AS" + "IA" + "Y34FZKBOKMUTVV7A"
GOOGLE = "AI" + "za" + BODY + "-_9"
HUGGING_FACE = "h" + "f_" + BODY + "ab"
SLACK = "xox" + "b-123456789012-" + BODY[:24]
JWT = "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxIn0.c2lnbmF0dXJl-_" + BODY
BASIC = base64.b64encode(b"someone:pass word").decode()
LOGIN = base64.b64encode(b"user:pass").decode()
PEM_BODY = "\n".join([BODY + BODY[:30] + "+/"] * 3)
KEY_BEGINS, KEY_ENDS = (f"-----{word} {'PRIVATE'} KEY-----" for word in ("BEGIN", "END"))
PEM = f"{KEY_BEGINS}\n{PEM_BODY}\n{KEY_ENDS}".replace("PRIVATE", "RSA PRIVATE")
PLAIN = "correct-horse7"
"""A secret without a shape."""

BY_SHAPE: dict[str, str] = {
    "openai": OPENAI,
    "openai of a project": PROJECT,
    "openai, letters only": "sk" + "-" + "abcdefghijklmnopqrstuvwxyz",
    "openrouter": "sk" + "-or-v1-" + "0123456789abcdef" * 4,
    "anthropic": ANTHROPIC,
    "github": GITHUB,
    "github oauth": "gh" + "o_" + BODY + "0123",
    "github server": "gh" + "s_" + BODY + "0123",
    "github fine-grained": GITHUB_FINE,
    "gitlab": "gl" + "pat-" + BODY[:20],
    "aws": AWS,
    "aws session": AWS_SESSION,
    "google": GOOGLE,
    "hugging face": HUGGING_FACE,
    "groq": "gs" + "k_" + BODY + BODY[:20],
    "xai": "xa" + "i-" + BODY * 2,
    "stripe": "sk" + "_live_" + BODY[:24],
    "slack bot": SLACK,
    "slack app": "xox" + "a-2-" + BODY[:24],
    "slack person": "xox" + "p-1234-" + BODY[:24],
    "json web token": JWT,
    "bearer": f"Bearer {BODY}",
    "bearer in lower case": f"bearer  {BODY.lower()}==",
    "basic": f"Basic {BASIC}",
    "basic in lower case": f"basic {LOGIN}",
    "private key": PEM,
    "private key on one line": PEM.replace("\n", "\\n"),
}
AROUND = [
    "{}",
    "the key {} was refused",
    "({})",
    '{{"k": "{}"}}',
    "a\n{}\nb",
    "a\\n{}\\nb",
    "{0} and {0}",
    "\\u0022{}\\u0022",
    "x=1&y={}&z=2",
    "https://example.org/a?x={}#b",
    "AuthError('{}')",
    "a%20{}%20b",
]
"""Texts that a secret may stand in, of which nothing else may go."""


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("secret", BY_SHAPE.values(), ids=BY_SHAPE.keys())
def test_a_secret_goes_by_its_shape(secret: str, around: str) -> None:
    """A text that looks like a secret goes whole, the words around it stay."""
    assert redact_text(around.format(secret)) == around.format(GONE)


IN_CONTEXT = [
    # headers
    (f"authorization: Bearer {PLAIN}", f"authorization: Bearer {GONE}"),
    (f"Authorization: Basic {BASIC}\r\naccept: */*", f"Authorization: Basic {GONE}\r\naccept: */*"),
    (f"Authorization: Token {PLAIN}", f"Authorization: Token {GONE}"),
    (f"Proxy-Authorization: Basic {LOGIN}", f"Proxy-Authorization: {GONE}"),
    (f"> x-api-key: {PLAIN}\n> accept: */*", f"> x-api-key: {GONE}\n> accept: */*"),
    (f"X-Goog-Api-Key: {GOOGLE}", f"X-Goog-Api-Key: {GONE}"),
    (f"api-key:{PLAIN}", f"api-key:{GONE}"),
    (f"x-auth-token: {BODY.lower()}", f"x-auth-token: {GONE}"),
    ("Cookie: session=abc; theme=dark\nHost: a", f"Cookie: {GONE}\nHost: a"),
    ("set-cookie: id=a3f; Path=/; HttpOnly", f"set-cookie: {GONE}"),
    (f"Headers([('x-api-key', '{PLAIN}'), ('a', 'b')])", f"Headers([('x-api-key', '{GONE}'), ('a', 'b')])"),
    (f"[(b'X-Api-Key', b'{PLAIN}'), (b'Accept', b'*/*')]", f"[(b'X-Api-Key', b'{GONE}'), (b'Accept', b'*/*')]"),
    (f"Headers({{'x-api-key': '{PLAIN}', 'a': 'b'}})", f"Headers({{'x-api-key': '{GONE}', 'a': 'b'}})"),
    # errors
    (f"Incorrect API key provided: {PROJECT}. You can", f"Incorrect API key provided: {GONE}. You can"),
    (f"AuthError('HTTP 401: key {ANTHROPIC}')", f"AuthError('HTTP 401: key {GONE}')"),
    (f'raise Refused("{GITHUB}")', f'raise Refused("{GONE}")'),
    (f"KeyError: '{AWS}'", f"KeyError: '{GONE}'"),
    (f"Settings(api_key='{PLAIN}', max_tokens=512)", f"Settings(api_key='{GONE}', max_tokens=512)"),
    (f"connect(host='h', password=\"{PLAIN}'s\")", f"connect(host='h', password=\"{GONE}\")"),
    (f"TypeError: f(token={PLAIN}, n=3)", f"TypeError: f(token={GONE}, n=3)"),
    # JSON
    (f'{{"api_key": "{PLAIN}", "n": 1}}', f'{{"api_key": "{GONE}", "n": 1}}'),
    (f'{{"apiKey":"{PLAIN}"}}', f'{{"apiKey":"{GONE}"}}'),
    (f'{{"client_secret": "a\\"b {PLAIN}"}}', f'{{"client_secret": "{GONE}"}}'),
    (f'{{\\"token\\": \\"{PLAIN}\\", \\"n\\": 1}}', f'{{\\"token\\": \\"{GONE}\\", \\"n\\": 1}}'),
    (f'"{{\\\\\\"token\\\\\\": \\\\\\"{PLAIN}\\\\\\"}}"', f'"{{\\\\\\"token\\\\\\": \\\\\\"{GONE}\\\\\\"}}"'),
    (f"{{'password': '{PLAIN}'}}", f"{{'password': '{GONE}'}}"),
    (f"{{\\'password\\': \\'{PLAIN}\\'}}", f"{{\\'password\\': \\'{GONE}\\'}}"),
    (f'{{"a": ["{HUGGING_FACE}", 2]}}', f'{{"a": ["{GONE}", 2]}}'),
    (json.dumps({"key": PEM}), json.dumps({"key": GONE})),
    # command lines
    (f"curl -H 'Authorization: Bearer {OPENAI}' https://a", f"curl -H 'Authorization: Bearer {GONE}' https://a"),
    (f"curl -H 'x-api-key: {PLAIN}' https://a", f"curl -H 'x-api-key: {GONE}' https://a"),
    (f'curl -H "api-key: {PLAIN}" -d @b', f'curl -H "api-key: {GONE}" -d @b'),
    (f"curl -u {GITHUB}: https://a", f"curl -u {GONE}: https://a"),
    (f"curl https://a/v1?key={GOOGLE} -o b", f"curl https://a/v1?key={GONE} -o b"),
    (f"orchestra run --api-key={PLAIN} --json", f"orchestra run --api-key={GONE} --json"),
    (f"OPENAI_API_KEY={PLAIN} orchestra run", f"OPENAI_API_KEY={GONE} orchestra run"),
    # environments and files of settings
    (f"HOME=/root\nOPENAI_API_KEY={PLAIN}\nTERM=x", f"HOME=/root\nOPENAI_API_KEY={GONE}\nTERM=x"),
    (f"export HF_TOKEN={HUGGING_FACE}", f"export HF_TOKEN={GONE}"),
    (f"export DB_PASSWORD='two words {PLAIN}'", f"export DB_PASSWORD='{GONE}'"),
    (f"aws_access_key_id = {AWS}", f"aws_access_key_id = {GONE}"),
    (f"aws_secret_access_key = {BODY}/+ab", f"aws_secret_access_key = {GONE}"),
    (f"environ({{'OPENAI_API_KEY': '{PLAIN}', 'A': 'b'}})", f"environ({{'OPENAI_API_KEY': '{GONE}', 'A': 'b'}})"),
    (f'os.environ["GROQ_API_KEY"] = "{PLAIN}"', f'os.environ["GROQ_API_KEY"] = "{GONE}"'),
    (f'api_key = "{PLAIN}"', f'api_key = "{GONE}"'),
    (f"password: {PLAIN}", f"password: {GONE}"),
    (f"AccountKey={BODY}==;EndpointSuffix=a", f"AccountKey={GONE};EndpointSuffix=a"),
    (f"PGPASSWORD={PLAIN}", f"PGPASSWORD={GONE}"),
    # URLs
    ("https://user:pw@host/path", f"https://{GONE}@host/path"),
    ("see https://user:p@ss@host, or http://b", f"see https://{GONE}@host, or http://b"),
    (f"https://{GITHUB}@github.com/a/b.git", f"https://{GONE}@github.com/a/b.git"),
    ("postgresql+asyncpg://me:pw@db:5432/a", f"postgresql+asyncpg://{GONE}@db:5432/a"),
    ("redis://:pw@cache:6379/0", f"redis://{GONE}@cache:6379/0"),
    ('{"proxy": "http://u:p@proxy:3128"}', f'{{"proxy": "http://{GONE}@proxy:3128"}}'),
    (f"GET /v1?api_key={PLAIN}&token={PLAIN} HTTP/1.1", f"GET /v1?api_key={GONE}&token={GONE} HTTP/1.1"),
    (f"https://a/?page=2&access_token={PLAIN}", f"https://a/?page=2&access_token={GONE}"),
    (f"https://a/?key={PLAIN}&alt=sse", f"https://a/?key={GONE}&alt=sse"),
    ("https://a/b?sv=2024&sig=aB%2Fc3D%3D&se=1", f"https://a/b?sv=2024&sig={GONE}&se=1"),
    (f"https://a/?next=%3Fapi_key%3D{PLAIN}", f"https://a/?next=%3Fapi_key%3D{GONE}"),
    (f"/?X-Amz-Credential={AWS}/a&X-Amz-Signature=0a1b", f"/?X-Amz-Credential={GONE}&X-Amz-Signature={GONE}"),
    (f"'location': 'http://other/?q={quote(f'Bearer {OPENAI}')}'", f"'location': 'http://other/?q={GONE}'"),
    (f"location: http://other/?q={quote(f'key={PROJECT}&a=b')}", f"location: http://other/?q=key%3D{GONE}%26a%3Db"),
]
"""Texts, and what they become."""


@pytest.mark.parametrize(("text", "clean"), IN_CONTEXT)
def test_a_secret_goes_wherever_it_is_written(text: str, clean: str) -> None:
    """In headers, errors, JSON, command lines, environments and URLs, a secret goes and all else stays."""
    assert redact_text(text) == clean


HARMLESS = [
    "",
    "ordinary prose about keys, tokens, secrets and passwords, with a cookie: it has nothing to hide",
    "a task-based-thing-of-sorts",
    "task-decomposition, mask-rcnn, disk-usage-report and risk-taking",
    "sk-learn, sk-learn-contrib and sk-SK",
    "ask-sk-what-it-means",
    "max_tokens=512 input_tokens=10 output_tokens=20",
    "'max_tokens': 512, 'tokens': [1, 2]",
    '{"input_tokens": 7, "completion_tokens": 5, "total_tokens": 12}',
    "tokens: 12345678901234567890",
    "token=50256, eos_token=2",
    "the token=17 of 32",
    "password=None, token=null, secret=true, api_key=undefined",
    "Transport(api_key=None, concurrency=8)",
    "api_key: has characters that an HTTP header cannot carry; it must be printable ASCII",
    "openai needs a key: set OPENAI_API_KEY, or give a base URL of your own server",
    "You need an API key in an Authorization header, as in Authorization: Bearer YOUR_KEY",
    "Authorization: only administrators may do that",
    "the secret: practice",
    "password: required",
    "token: the smallest unit of text",
    "the bearer of news",
    "bearer authentication, bearer instruments and bearer certificates",
    "Bearer token/password",
    "basic knowledge, Basic training, Basic JavaScript and basic authentication",
    "HTTP Basic realm=users",
    "eyJ is how a token begins",
    "eyJhbGci.is.short",
    "AKIA",
    "EURASIA, ASIAN and MALAYSIA",
    "ASIAPACIFIC_REGION",
    "hf_hub_download and hf_transfer_enabled",
    "AIzaSomething",
    "ghp_ is a prefix of GitHub",
    "xoxo-hugs",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "20261123-174501-9f86d081",
    "123e4567-e89b-12d3-a456-426614174000",
    "2026-11-23T17:45:01.123456Z",
    "https://api.openai.com/v1/chat/completions?page=2&limit=10&sort=key",
    "http://127.0.0.1:8080/v1, and me@example.org",
    "https://medium.com/@someone/a-story",
    "git@github.com:a/b.git",
    '{"url": "https://a.b", "mail": "me@example.org"}',
    "This model's maximum context length is 4097 tokens, however you requested 5000",
    "Unsupported parameter: 'max_tokens' is not supported with this model",
    "HTTP 429: Rate limit reached for gpt-4.1-mini on tokens per min (TPM): Limit 200000, Used 199000",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "a -- b --- c ----- d",
    "keyboard=qwerty&monkey=banana",
    "secretary=someone passwords_changed=12 tokenizer=gpt2-large",
    "unexpected keys ['api_key', 'model']",
    r"C:\new\token\x41\u0041",
    "embedded half of a pair \ud800 and a \x00",
    GONE,
    f"api_key={GONE}",
]
"""Texts of which nothing may go."""


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays(text: str) -> None:
    """Prose, hashes, names of runs, counts of tokens and words that resemble a secret stay."""
    assert redact_text(text) == text
    assert redact([text, {"text": text}]) == [text, {"text": text}]


SECRET_NAMES = [
    *["api_key", "api-key", "apikey", "apiKey", "OPENAI_API_KEY", "x-api-key", "X-Goog-Api-Key"],
    *["authorization", "Authorization", "proxy-authorization", "token", "access_token", "accessToken", "HF_TOKEN"],
    *["secret", "client_secret", "AWS_SECRET_ACCESS_KEY", "private_key", "signing_key", "secrets", "api_keys"],
    *["password", "PGPASSWORD", "passwd", "passphrase", "cookie", "set-cookie", "cookies", "credentials"],
]
OTHER_NAMES = [
    *["tokens", "input_tokens", "max_tokens", "max_completion_tokens", "tokenizer", "token_count", "secretary"],
    *["passwords_changed", "key", "keys", "key_header", "id", "sort_key", "cookie_policy", "auth", "PWD", ""],
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_goes_by_its_name(name: str) -> None:
    """Any text under the name of a secret goes, however deep it lies there; figures stay."""
    assert redact(PLAIN, name) == GONE
    assert redact({"a": {name: PLAIN, "b": PLAIN}}) == {"a": {name: GONE, "b": PLAIN}}
    assert redact({name: [PLAIN, (b"x", 7)]}) == {name: [GONE, (GONE, 7)]}
    assert redact({name: {"a": PLAIN, "n": 512, "on": True, "no": None}}) == {
        name: {"a": GONE, "n": 512, "on": True, "no": None}
    }
    assert redact({name.encode(): PLAIN}) == {name.encode(): GONE}
    assert redact([(name, PLAIN), ("accept", PLAIN)]) == [(name, GONE), ("accept", PLAIN)]
    assert redact([(name.encode(), PLAIN.encode())]) == [(name.encode(), GONE)]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names_hide_nothing(name: str) -> None:
    """Figures and words under other names stay."""
    value = {name: ["plain", 512, {"a": b"plain"}]}
    assert redact(value) == value
    assert redact("plain", name) == "plain"


@pytest.mark.parametrize("value", [None, True, 0, 512, 0.5, float("inf")])
def test_figures_stay(value: Any) -> None:
    """What is no text stays, even under the name of a secret: `token` may be a number of one."""
    assert redact(value, "token") is value


def test_containers_keep_their_kind() -> None:
    """Lists, tuples, mappings and bytes come back as such, keys cleaned, too."""
    value = {OPENAI: [OPENAI, (OPENAI, 1)], ("a", AWS): OPENAI.encode(), 3: b"\xff" + AWS.encode()}
    assert redact(value) == {
        GONE: [GONE, (GONE, 1)],
        ("a", GONE): GONE.encode(),
        3: b"\xff" + GONE.encode(),
    }
    assert redact(OrderedDict(api_key="x")) == {"api_key": GONE}


@dataclass(frozen=True)
class Settings:
    api_key: str
    max_tokens: int = 512


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError(PLAIN)


class Discreet(Exception):
    """An error that shows itself in one way only."""

    def __repr__(self) -> str:
        return "Discreet()"


@pytest.mark.parametrize(
    "value",
    [
        AuthError(f"HTTP 401: {PROJECT}"),
        AuthError(f"HTTP 401: api_key={PLAIN}"),
        OSError(5, f"no {OPENAI}", f"/keys/{OPENAI}"),
        ExceptionGroup("several", [ValueError(OPENAI)]),
        Discreet(OPENAI),
        Discreet({"password": PLAIN}),
        Settings(PLAIN),
        [Settings(PLAIN)],
        {OPENAI},
        frozenset({f"password={PLAIN}"}),
        bytearray(OPENAI.encode()),
        httpx.Headers({"x-api-key": PLAIN}),
        httpx.Request("GET", f"https://a/?api_key={PLAIN}"),
        Unprintable(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_show_no_secret(value: Any) -> None:
    """An object that would be shown with a secret, or cannot be shown, is replaced by a text without it."""
    clean = redact({"a": value})
    shown = f"{clean!r} {clean['a']}"
    assert GONE in shown or "Discreet()" in shown
    assert not any(secret in shown for secret in (PLAIN, OPENAI, PROJECT))


def test_objects_without_secrets_are_left_alone() -> None:
    """An error, or anything else that shows no secret, is the same object afterwards."""
    for value in (AuthError("refused"), Discreet("no"), object(), {1, 2}, Settings, len):
        assert redact(value) is value


def test_cycles_end() -> None:
    """What contains itself is gone through once."""
    loop: dict[str, Any] = {"token": PLAIN}
    loop["self"] = [loop, loop]
    assert redact(loop) == {"token": GONE, "self": [GONE, GONE]}


def test_any_depth_is_survived() -> None:
    """Thousands of containers in one another are cut off, however they end."""
    for wrap in (lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}):
        value: Any = OPENAI
        for _ in range(20_000):
            value = wrap(value)
        shown = repr(redact(value))
        assert GONE in shown
        assert len(shown) < 1000


def test_shared_parts_are_gone_through_once() -> None:
    """Two to the fifty paths to one secret take no time."""
    value: Any = [OPENAI]
    for _ in range(50):
        value = [value, value]
    clean = redact(value)
    while len(clean) == 2:
        assert clean[0] is clean[1]
        clean = clean[0]
    assert clean == [GONE]


# Every alphabet and length that a kind of secret really has.
ALNUM = string.ascii_letters + string.digits


def _of(alphabet: str, low: int, high: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=low, max_size=high or low)


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


DRAWN: dict[str, st.SearchStrategy[str]] = {
    "openai": _of(ALNUM, 48).map(lambda body: "sk" + f"-{body}").filter(_has_digit),
    "openai of a project": _of(ALNUM + "-_", 60, 160).map(lambda body: "sk" + f"-proj-7{body}"),
    "anthropic": _of(ALNUM + "-_", 93).map(lambda body: "sk" + f"-ant-api03-{body}AA"),
    "github": st.tuples(st.sampled_from("opsur"), _of(ALNUM, 36)).map(lambda two: f"gh{two[0]}_{two[1]}"),
    "github fine-grained": _of(ALNUM + "_", 82).map(lambda body: "github" + f"_pat_{body}"),
    "aws": st.tuples(st.sampled_from(["AKIA", "ASIA"]), _of(string.ascii_uppercase + "234567", 16)).map("".join),
    "google": _of(ALNUM + "-_", 35).map(lambda body: "AI" + f"za{body}"),
    "hugging face": _of(ALNUM, 34).map(lambda body: f"hf_{body}"),
    "slack": st.tuples(st.sampled_from("abp"), _of(ALNUM, 12), _of(ALNUM, 24)).map(
        lambda three: f"xox{three[0]}-{three[1]}-{three[2]}"
    ),
    "json web token": st.tuples(_of(ALNUM + "-_", 10, 60), _of(ALNUM + "-_", 10, 90), _of(ALNUM + "-_", 43)).map(
        lambda three: f"eyJ{three[0]}.eyJ{three[1]}.{three[2]}"
    ),
    "bearer": _of(ALNUM + "-._~+/", 20, 80).map(lambda body: f"Bearer {body}").filter(_has_digit),
    "basic": st.tuples(_of(ALNUM, 1, 20), _of(string.printable[:94], 3, 20)).map(
        lambda login: "Basic " + base64.b64encode(":".join(login).encode()).decode()
    ),
    "private key": _of(ALNUM + "+/=\n", 64, 200).map(lambda body: f"{KEY_BEGINS}\n{body}\n{KEY_ENDS}"),
    "user info": st.tuples(_of(ALNUM, 1, 9), _of(ALNUM + "!$*+-._~%:;=", 4, 20)).map(
        lambda login: f"https://{login[0]}:{login[1]}@"
    ),
    "parameter": _of(ALNUM + "-._~%", 5, 40).map(lambda body: f"?api_key=v{body}"),
}
BORDERS = [" ", "=", "(", "[", "'", '"', ":", ",", "/", "\n", "\\n", "\\t", "\\u0022", "\\x1b", "%20", "%3D", ">", "é"]
ENDS = [" ", ")", "]", "'", '"', ",", "\n", "\\n", "&", "%20", "#", ";", ">", "\\u0022"]
before = st.just("") | st.builds("{}{}".format, st.text(max_size=20), st.sampled_from(BORDERS))
after = st.just("") | st.builds("{}{}".format, st.sampled_from(ENDS), st.text(max_size=20))


@given(kind=st.sampled_from(sorted(DRAWN)), data=st.data(), start=before, end=after)
def test_no_surroundings_save_a_secret(kind: str, data: st.DataObject, start: str, end: str) -> None:
    """A secret of any shape that stands as a word of its own is gone, its last letters included."""
    secret = data.draw(DRAWN[kind])
    clean = redact_text(start + secret + end)
    last = secret.rstrip("@=\n-")[-10:]
    assert secret not in clean
    assert last not in clean or last in start + end
    assert GONE in clean


FRAGMENTS = [
    *["api_key", "token", "x-api-key", "authorization", "cookie", "password", "key", "sig", "none", "Token "],
    *["=", ":", ": ", " = ", '"', "'", '\\"', "\\'", "\\", "\\n", "\n", " ", "%20", "%3D", "?", "&", "/", "://", "@"],
    *["[", "]", "(", ")", ",", "('", "b'", "', '", "--", "-", "_", "a", "1", "abcdefgh", "12345678", "x=1", "http"],
    *["sk-", "ASIA", "eyJ" + BODY, "." + BODY, "bearer ", "Bearer%20", "Basic ", LOGIN, GONE, "é", "\ud800", "\x00"],
    *[KEY_BEGINS, KEY_ENDS, *BY_SHAPE.values()],
]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from([*SECRET_NAMES, *OTHER_NAMES]) | texts, inner, max_size=4)
    ),
)


@given(text=texts | st.text())
def test_cleaning_a_text_twice_changes_nothing(text: str) -> None:
    """The second pass over a text finds nothing."""
    clean = redact_text(text)
    assert redact_text(clean) == clean


@given(value=values, name=st.sampled_from([*SECRET_NAMES, *OTHER_NAMES]))
def test_cleaning_twice_changes_nothing(value: Any, name: str) -> None:
    """The second pass over a value finds nothing."""
    clean = redact(value, name)
    assert redact(clean, name) == clean


@given(data=st.recursive(st.sampled_from([OPENAI, PLAIN, 1]), lambda inner: st.lists(inner, max_size=3)))
def test_nothing_that_is_passed_in_changes(data: Any) -> None:
    """What is cleaned is a copy."""
    before = repr(data)
    redact({"token": data, "a": data})
    assert repr(data) == before


KEYS = [PLAIN, "a/b+c=d&e\"f'g\\h", "sk-very-secret-key", "0123456789abcdef" * 2, "k" * 4, "schlüssel", "[redacted]"]
"""Keys that no shape gives away."""
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda key: quote(key, safe=""),
    "in a URL, in lower case": lambda key: "".join(
        part if len(part) == 1 else part.lower() for part in (quote(letter, safe="") for letter in key)
    ),
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in JSON for HTML": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "in Python": lambda key: repr(key)[1:-1],
    "in base64": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "in base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_known_secret_goes_however_it_is_written(key: str, written: Callable[[str], str]) -> None:
    """A key that is known goes without any sign of what it is, inside of words, too."""
    form = written(key)
    clean = redact_text(f"no {form}x, or x{form}", key)
    assert GONE in clean
    assert len(clean) <= len(f"no {GONE}x, or x{GONE}") + 4  # letters of base64 that the key shares with a neighbour
    if key != GONE:
        assert form not in clean


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "Bearer"])
def test_a_known_secret_goes_from_base64_at_any_place(user: str) -> None:
    """Coded together with other words, a key leaves no four letters that decode to its own."""
    key = "0123456789abcdef" * 2
    coded = base64.b64encode(f"{user}:{key}!".encode()).decode()
    clean = redact_text(f"got {coded}", key)
    assert GONE in clean
    assert len(clean) - len(GONE) < len("got ") + len(user) * 2 + 10


def test_the_beginning_of_a_known_secret_goes() -> None:
    """A server that quotes a part of the key gives away no dozen of its letters."""
    key = "0123456789abcdef" * 2
    assert (
        redact_text(f"{key[:12]}... and {key[:20]}*** and {key[:11]}", key) == f"{GONE}... and {GONE}*** and {key[:11]}"
    )


def test_several_known_secrets_go() -> None:
    """Each of several keys goes; words too short to be one are left, or no text could be read."""
    assert redact_text("one-key or two-key", "one-key", "two-key", "", "o", "or") == f"{GONE} or {GONE}"


KIBIBYTE = 1024
HOSTILE = [
    *[
        "a",
        "é",
        " ",
        "\\",
        "-",
        "a@",
        "%20",
        "\\u0041",
        "://",
        "://a@",
        "-sk-",
        "sk-",
        f"{OPENAI} ",
        "AKIA0123456789AB-",
    ],
    *["-eyJ", "eyJa-", "eyJaaaaa.", "eyJaaaaa.aaaaa,", "bearer ", "bearer", "basic\t", "token", "token:", "token: "],
    *[
        'token="',
        "token=",
        "token = ",
        "token: aaa ",
        "token\\\\\\\\\\\\\\",
        "api_key='\\",
        "password=a",
        "key=&",
        "xox",
    ],
    *["cookie:", "cookie:a", "('token", "('a-", "('token','", "-----BEGIN ", f"{KEY_BEGINS}- -"],
]
"""What a text may be made of to take long."""
BEGUN = [("token='", "a"), ("token='", "\\"), ("Bearer ", "a"), ("Bearer ", " "), ("Basic ", "a"), ("https://", "a")]
BEGUN += [
    ("https://", "a@"),
    ("cookie: a=", "a"),
    (KEY_BEGINS, "- "),
    ("eyJ", "a"),
    ("eyJaaaaa.", "a"),
]


@pytest.mark.parametrize(("beginning", "part"), [*(("", part) for part in HOSTILE), *BEGUN])
def test_time_is_linear(beginning: str, part: str) -> None:
    """Sixteen times the text takes about sixteen times the time, where a quadratic pattern takes 256 times as much."""

    def seconds(size: int) -> float:
        text = beginning + part * (size // len(part))
        began = time.process_time()
        redact_text(text)
        return time.process_time() - began

    assert seconds(160 * KIBIBYTE) < 80 * max(min(seconds(10 * KIBIBYTE) for _ in range(2)), 0.004)
