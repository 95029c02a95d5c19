"""Tokens: who holds one, what it allows, and the file that says so.

    [tokens.web]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    scopes = ["produce"]
    queues = ["mail", "img-*"]          # left out: all queues
    expires = 2030-01-31T00:00:00Z      # left out: never

The file holds digests, not secrets. A secret is 256 random bits, so a plain SHA-256 of it
tells nobody anything, and there is nothing to salt or to slow down.
"""

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

SCOPES: Final = ("produce", "consume", "read", "operate", "admin")
SECRET_START: Final = "mq_"  # noqa: S105 - what secrets begin with, so that scanners find them
SECRET_CHARS_MAX: Final = 512
TOKENS_MAX: Final = 1000
"""Each is compared with whatever is shown."""
_SECRET_BYTES: Final = 32
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_KEYS: Final = frozenset({"sha256", "scopes", "queues", "expires"})
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_NAME_CHARS_MAX: Final = 100


class BadTokens(Exception):
    """The file of tokens cannot be used; the text says where and what to do."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of one secret may do."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    queues: tuple[str, ...] | None = None
    """Names, or beginnings of names with a `*` behind; None: all."""
    expires_ms: int | None = None
    """When it ends, by the wall clock."""

    def holds_at(self, wall_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_ms is None or wall_ms < self.expires_ms

    def covers(self, queue: str) -> bool:
        """Whether it is for this queue."""
        if self.queues is None:
            return True
        return any(
            queue.startswith(pattern[:-1]) if pattern.endswith("*") else queue == pattern
            for pattern in self.queues
        )

    def covers_all_that_begin(self, prefix: str) -> bool:
        """Whether it is for every queue whose name begins so."""
        if self.queues is None:
            return True
        return any(
            pattern.endswith("*") and prefix.startswith(pattern[:-1])
            for pattern in self.queues
        )


class Tokens:
    """The tokens of a file. `names` are in its order."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._all = tuple(tokens)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, token: Token) -> bool:
        return token in self._all

    def find(self, secret: str) -> Token | None:
        """Give the token of a secret, in a time that tells nothing of the others."""
        found: Token | None = None
        digest = digest_of(secret)
        for token in self._all:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def next_expiry_ms(self, wall_ms: int) -> int | None:
        """When the next of them ends that has not ended yet."""
        times = (t.expires_ms for t in self._all if t.expires_ms is not None)
        return min((at_ms for at_ms in times if at_ms > wall_ms), default=None)


def new_secret() -> str:
    """Make a secret."""
    return SECRET_START + secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Give what is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def read_tokens(path: Path) -> Tokens:
    """Read a file of tokens. Raises BadTokens."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise BadTokens(f"cannot read the tokens file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadTokens(f"the tokens file {path} is not valid TOML: {error}") from None
    rows = table.get("tokens")
    unknown = sorted(table.keys() - {"tokens"})
    if unknown or not isinstance(rows, dict):
        named = f", not {unknown[0]!r}" if unknown else ""
        raise BadTokens(f"the tokens file {path} has tables [tokens.NAME]{named}")
    if len(rows) > TOKENS_MAX:
        raise BadTokens(f"the tokens file {path} has more than {TOKENS_MAX} tokens")
    try:
        return Tokens([token_of(name, row) for name, row in rows.items()])
    except ValueError as error:
        raise BadTokens(f"the tokens file {path}: {error}") from None


def token_of(name: str, row: Any) -> Token:
    """Read one table. Raises ValueError that names it."""
    if not name or len(name) > _NAME_CHARS_MAX or _CONTROL.search(name):
        raise ValueError(
            f"a token's name has 1 to {_NAME_CHARS_MAX} characters, none a control"
            f" character (not {name[:_NAME_CHARS_MAX]!r})"
        )
    where = f"[tokens.{name}]"
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be a table")  # noqa: TRY004 - a wrong value of a file
    unknown = sorted(row.keys() - _KEYS)
    if unknown:
        raise ValueError(f"{where} has {', '.join(sorted(_KEYS))}, not {unknown[0]!r}")

    def read(key: str, reader: Callable[[Any], T]) -> T:
        try:
            return reader(row.get(key))
        except ValueError as error:
            raise ValueError(f"{where}.{key} {error}") from None

    return Token(
        name=name,
        digest=read("sha256", _digest),
        scopes=read("scopes", _scopes),
        queues=read("queues", _queues),
        expires_ms=read("expires", _expires_ms),
    )


def _digest(value: Any) -> bytes:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value.lower()):
        raise ValueError(
            "must be the SHA-256 of a secret, 64 hexadecimal digits:"
            " `magicqueue token new` makes both"
        )
    return bytes.fromhex(value)


def _scopes(value: Any) -> frozenset[str]:
    names = _strings(value)
    if not names or not set(names) <= set(SCOPES):
        raise ValueError(f"must be a list of one or more of {', '.join(SCOPES)}")
    return frozenset(names)


def _queues(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    patterns = _strings(value)
    if not patterns or not all(patterns) or any("*" in name[:-1] for name in patterns):
        raise ValueError(
            'must be a list of names or beginnings of names, as in ["mail", "img-*"]'
            " (leave it out for all queues)"
        )
    return None if "*" in patterns else patterns


def _strings(value: Any) -> tuple[str, ...]:
    """Give the strings of a list; nothing if it is none."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    return ()


def _expires_ms(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("has no zone: write it as 2030-01-31T00:00:00Z")
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time(), UTC)
    else:
        raise ValueError(  # noqa: TRY004 - a wrong value of a file
            "must be a date or a time, as in 2030-01-31T00:00:00Z"
        )
    return round(moment.timestamp() * 1000)
