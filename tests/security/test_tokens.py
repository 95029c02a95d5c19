"""The file of tokens: what it may say, and what is said of one that is wrong."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from magicqueue_server import tokens
from magicqueue_server.token_command import token as token_command
from magicqueue_server.tokens import BadTokens, digest_of, new_secret, read_tokens
from server.process import EXECUTABLE, environment

DIGEST = digest_of("s").hex()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    return path


def test_all_fields(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'[tokens.web]\nsha256 = "{DIGEST.upper()}"\nscopes = ["produce", "read"]\n'
        'queues = ["mail", "img-*"]\nexpires = 2030-01-31T01:00:00+01:00\n'
        f'[tokens."who ever"]\nsha256 = "{digest_of("t").hex()}"\nscopes = ["admin"]\n',
    )
    found = read_tokens(path)
    assert len(found) == 2
    web, other = found.find("s"), found.find("t")
    assert web is not None
    assert other is not None
    assert (web.name, web.scopes) == ("web", frozenset({"produce", "read"}))
    moment = datetime(2030, 1, 31, tzinfo=UTC).timestamp() * 1000
    assert web.expires_ms == moment
    assert web.holds_at(round(moment) - 1)
    assert not web.holds_at(round(moment))
    assert [web.covers(q) for q in ("mail", "mails", "img-", "img-a", "img")] == [
        *(True, False, True, True, False)
    ]
    assert other.queues is None
    assert other.covers("anything")
    assert found.find("x") is None
    assert found.find("") is None
    assert found.find("\ud800") is None


def test_a_star_alone_is_all_queues_and_a_date_ends_as_it_begins(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'[tokens.a]\nsha256 = "{DIGEST}"\nscopes = ["read"]\nqueues = ["*"]\n'
        "expires = 2030-01-31\n",
    )
    token = read_tokens(path).find("s")
    assert token is not None
    assert token.queues is None
    assert token.expires_ms == datetime(2030, 1, 31, tzinfo=UTC).timestamp() * 1000


def test_prefixes_that_are_covered() -> None:
    token = tokens.Token(name="t", digest=b"", scopes=frozenset(), queues=("mail", "img-*"))
    covered = {p: token.covers_all_that_begin(p) for p in ("", "mail", "img-", "img-a")}
    assert covered == {"": False, "mail": False, "img-": True, "img-a": True}


HEAD = f'[tokens.a]\nsha256 = "{DIGEST}"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(("x = ", "not valid TOML"), ("", "has tables [tokens.NAME]")),
        *(("x = 1", "not 'x'"), ("tokens = 1", "has tables")),
        *(("[tokens]\na = 1", "[tokens.a] must be a table"),),
        ('[tokens.a]\nscopes = ["read"]', "[tokens.a].sha256 must be the SHA-256"),
        ('[tokens.a]\nsha256 = "abc"\nscopes = ["read"]', "sha256 must be the SHA-256"),
        *((HEAD, "scopes must be a list"), (HEAD + "scopes = []", "scopes must be")),
        *((HEAD + 'scopes = "read"', "scopes must be"),),
        (HEAD + 'scopes = ["reed"]', "one or more of produce, consume, read"),
        (HEAD + 'scopes = ["read"]\nscope = 1', "not 'scope'"),
        *(
            (HEAD + f'scopes = ["read"]\nqueues = {wrong}', "queues must be")
            for wrong in ("[]", '"mail"', '[""]', '["a*b"]', "[1]")
        ),
        (HEAD + 'scopes = ["read"]\nexpires = 2030-01-31T00:00:00', "no zone"),
        (HEAD + 'scopes = ["read"]\nexpires = "soon"', "must be a date or a time"),
        (HEAD + 'scopes = ["read"]\n[tokens.""]\nscopes = 1', "a token's name"),
        (HEAD + 'scopes = ["read"]\n[tokens."\\u001b"]\nscopes = 1', "a token's name"),
    ],
)
def test_a_wrong_file_says_what_and_where(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadTokens, match=r"tokens\.toml") as caught:
        read_tokens(written(tmp_path, text))
    assert words in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BadTokens, match="No such file"):
        read_tokens(Path("/nowhere/tokens.toml"))


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TOKENS_MAX", 1)
    row = f'sha256 = "{DIGEST}"\nscopes = ["read"]\n'
    with pytest.raises(BadTokens, match="more than 1 token"):
        read_tokens(written(tmp_path, f"[tokens.a]\n{row}[tokens.b]\n{row}"))


def test_every_digest_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        seen.append(one)
        return one == other

    monkeypatch.setattr("magicqueue_server.tokens.hmac.compare_digest", compare)
    rows = [tokens.Token(name=n, digest=digest_of(n), scopes=frozenset()) for n in "abc"]
    for secret in ("a", "c", "x"):
        seen.clear()
        tokens.Tokens(rows).find(secret)
        assert seen == [row.digest for row in rows]


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(s.startswith("mq_") and len(s) == 46 for s in secrets)


def test_the_command_makes_a_secret_and_lines_that_fit(tmp_path: Path) -> None:
    asked = ["new", 'we"b', "--scope", "produce", "--scope", "read", "--queue", "m-*"]
    done = CliRunner().invoke(token_command, [*asked, "--expires", "2030-01-31T00:00:00Z"])
    assert done.exit_code == 0
    secret = done.stderr.splitlines()[-1]
    assert secret not in done.stdout
    token = read_tokens(written(tmp_path, done.stdout)).find(secret)
    assert token is not None
    assert (token.name, token.queues) == ('we"b', ("m-*",))
    assert token.scopes == {"produce", "read"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--queue", "a*b"], "queues must be a list"),
        (["--expires", "soon"], "must be a time"),
        (["--expires", "2030-01-31T00:00:00"], "no zone"),
    ],
)
def test_the_command_makes_nothing_that_a_server_would_refuse(
    more: list[str], words: str
) -> None:
    done = CliRunner().invoke(token_command, ["new", "web", "--scope", "read", *more])
    assert done.exit_code == 2
    assert words in done.output
    assert not done.stdout


def test_the_command_as_json_and_as_a_process() -> None:
    command = (
        [EXECUTABLE]
        if EXECUTABLE is not None
        else [sys.executable, "-m", "magicqueue_server"]
    )
    done = subprocess.run(
        [*command, "token", "new", "web", "--scope", "admin", "--json"],
        env=environment(),
        capture_output=True,
        check=True,
    )
    made = json.loads(done.stdout)
    assert digest_of(made["secret"]).hex() in made["toml"]
    assert not done.stderr
