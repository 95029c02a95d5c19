"""Which token may do what: every command with every scope, and queue by queue."""

import logging
from collections.abc import Callable
from itertools import product

import msgspec
import pytest

from magicqueue.wire.requests import COMMANDS
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.access import Access, scopes_of, without_token
from magicqueue_server.tokens import SCOPES, Token, Tokens, digest_of
from server.desk import Caller, Desk, code_of

OK = {"ok": True}
LINES = {
    "PUSH": b'{"cmd":"PUSH","queue":"q","data":1}',
    "PUSHB": b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1}]}',
    "PUSHF": b'{"cmd":"PUSHF","jobs":[{"queue":"q","data":1}]}',
    "PULL": b'{"cmd":"PULL","queue":"q","timeout":0}',
    "PULLB": b'{"cmd":"PULLB","queue":"q","count":2,"timeout":0}',
    "ACK": b'{"cmd":"ACK","id":1}',
    "ACKB": b'{"cmd":"ACKB","ids":[1]}',
    "FAIL": b'{"cmd":"FAIL","id":1}',
    "FAILB": b'{"cmd":"FAILB","jobs":[{"id":1}]}',
    "HEARTBEAT": b'{"cmd":"HEARTBEAT","ids":[1]}',
    "PROGRESS": b'{"cmd":"PROGRESS","percent":1,"id":1}',
    "RELEASE": b'{"cmd":"RELEASE","ids":[1]}',
    "CANCEL": b'{"cmd":"CANCEL","ids":[1]}',
    "PROMOTE": b'{"cmd":"PROMOTE","ids":[1]}',
    "WAIT": b'{"cmd":"WAIT","ids":[1],"timeout":0}',
    "STATS": b'{"cmd":"STATS"}',
    "QUEUES": b'{"cmd":"QUEUES"}',
    "JOBS": b'{"cmd":"JOBS","queue":"q"}',
    "BULK": b'{"cmd":"BULK","do":"promote","queue":"q"}',
    "SUBSCRIBE": b'{"cmd":"SUBSCRIBE","kinds":["dead"],"queues":["q"]}',
    "GETJOB": b'{"cmd":"GETJOB","id":1}',
    "LIMIT": b'{"cmd":"LIMIT","queue":"q","concurrency":1}',
    "THROTTLE": b'{"cmd":"THROTTLE","queue":"q","for":0}',
    "CRON": b'{"cmd":"CRON","name":"c","queue":"q","every":60000}',
    "CRONLIST": b'{"cmd":"CRONLIST"}',
    "CRONPAUSE": b'{"cmd":"CRONPAUSE","name":"c"}',
    "CRONRESUME": b'{"cmd":"CRONRESUME","name":"c"}',
    "CRONRUN": b'{"cmd":"CRONRUN","name":"c"}',
    "CRONDELETE": b'{"cmd":"CRONDELETE","name":"c"}',
    "GROUPS": b'{"cmd":"GROUPS","queue":"q"}',
    "PAUSE": b'{"cmd":"PAUSE","queue":"q"}',
    "RESUME": b'{"cmd":"RESUME","queue":"q"}',
    "DRAIN": b'{"cmd":"DRAIN","queue":"q"}',
    "DEAD": b'{"cmd":"DEAD","queue":"q"}',
    "RETRYDEAD": b'{"cmd":"RETRYDEAD","queue":"q"}',
    "PURGEDEAD": b'{"cmd":"PURGEDEAD","queue":"q"}',
}
MAY = {
    "produce": {"PUSH", "PUSHB", "PUSHF", "GETJOB", "WAIT"},
    "consume": {
        *("PULL", "PULLB", "ACK", "ACKB", "FAIL", "FAILB"),
        *("HEARTBEAT", "PROGRESS", "RELEASE", "THROTTLE"),
    },
    "read": {
        *("STATS", "QUEUES", "DEAD", "GETJOB", "JOBS", "GROUPS"),
        *("SUBSCRIBE", "CRONLIST"),
    },
    "operate": {
        *("PAUSE", "RESUME", "DRAIN", "RETRYDEAD", "PURGEDEAD"),
        *("CANCEL", "PROMOTE", "LIMIT", "BULK"),
        *("CRON", "CRONDELETE", "CRONPAUSE", "CRONRESUME", "CRONRUN"),
    },
    "admin": set(LINES),
}
"""As section 18 of the specification has it, and RELEASE and THROTTLE, a worker's."""


def secured(desk: Desk, **rows: tuple[str, tuple[str, ...] | None]) -> Access:
    """Have tokens asked for, named as their secrets; a row is scopes and queues."""
    tokens = [
        Token(name=n, digest=digest_of(n), scopes=frozenset(s.split()), queues=q)
        for n, (s, q) in rows.items()
    ]
    access = Access(Tokens(tokens), desk.engine.core, lambda: desk.now)
    desk.engine.sessions.access = access
    return access


def known(desk: Desk, secret: str) -> Caller:
    """Open a session that has shown its token."""
    caller = desk.caller()
    (reply,) = caller.ask(b'{"cmd":"AUTH","token":"%b"}' % secret.encode())
    assert msgspec.json.decode(reply)["name"] == secret
    return caller


def code(reply: bytes) -> str | None:
    return None if reply.startswith(b'{"ok":true') else code_of(reply)


def test_the_table_names_every_command() -> None:
    assert set(LINES) | {"AUTH", "HELLO", "PING"} == set(COMMANDS)


@pytest.mark.parametrize("scope", SCOPES)
def test_every_command_with_every_scope(desk: Desk, scope: str) -> None:
    secured(desk, t=(scope, None), all=("admin", None))
    allowed = set()
    for name, line in LINES.items():
        caller = known(desk, "t")
        before = known(desk, "all").ask(b'{"cmd":"STATS","queue":"q"}')
        (reply,) = caller.ask(line)
        if code(reply) == "FORBIDDEN":
            assert known(desk, "all").ask(b'{"cmd":"STATS","queue":"q"}') == before
            assert caller.ask(b'{"cmd":"PING"}') == [b'{"ok":true,"pong":true}']
            assert caller.hang_ups == 0
        else:
            allowed.add(name)
    assert allowed == MAY[scope]


def test_an_unlisted_command_needs_operate() -> None:
    assert scopes_of("NEWTHING") == {"operate", "admin"}


@pytest.mark.parametrize("name", LINES)
def test_nothing_runs_without_a_token(desk: Desk, name: str) -> None:
    secured(desk, all=("admin", None))
    caller = desk.caller()
    replies = caller.ask(LINES[name], LINES["PUSH"], b'{"cmd":"PING"}')
    assert [code(reply) for reply in replies] == ["UNAUTHORIZED"]
    assert caller.hang_ups == 1
    assert b'"pushed":0' in known(desk, "all").ask(b'{"cmd":"STATS"}')[0]


def test_what_runs_without_a_token(desk: Desk) -> None:
    secured(desk, all=("admin", None))
    caller = desk.caller()
    replies = caller.ask(b'{"cmd":"PING"}', b'{"cmd":"HELLO"}', b"", b'{"cmd":"NONE"}')
    assert [code(reply) for reply in replies] == [None, None, "UNKNOWN_COMMAND"]
    assert caller.hang_ups == 0


def test_a_long_line_of_somebody_unknown_is_not_read(desk: Desk) -> None:
    secured(desk, all=("admin", None))
    caller = desk.caller()
    (reply,) = caller.ask(b'{"cmd":"PING","x":"%b"}' % (b"x" * 65_536))
    assert code(reply) == "UNAUTHORIZED"
    assert caller.hang_ups == 1
    assert known(desk, "all").ask(b'{"cmd":"PING","x":"%b"}' % (b"x" * 65_536))


@pytest.mark.parametrize(
    "line", [b'{"cmd":"AUTH","token":"%b"}', b'{"cmd":"HELLO","token":"%b"}']
)
@pytest.mark.parametrize(
    "secret", [b"", b"Wrong", b"tt", b"t " * 1000, "ä".encode(), b"\\u0000"]
)
def test_a_wrong_token_ends_the_session(desk: Desk, line: bytes, secret: bytes) -> None:
    secured(desk, t=("admin", None))
    caller = desk.caller()
    replies = caller.ask(line % secret, LINES["PUSH"])
    assert [code(reply) for reply in replies] == ["UNAUTHORIZED"]
    assert caller.hang_ups == 1
    assert secret.strip() == b"" or secret not in replies[0]


def test_a_wrong_token_later_ends_it_too_and_a_right_one_counts_instead(
    desk: Desk,
) -> None:
    secured(desk, t=("admin", None), r=("read", None))
    caller = known(desk, "t")
    assert code(caller.ask(LINES["PUSH"])[0]) is None
    caller.ask(b'{"cmd":"HELLO","token":"r"}')
    assert code(caller.ask(LINES["PUSH"])[0]) == "FORBIDDEN"
    assert code(caller.ask(b'{"cmd":"AUTH","token":"x"}')[0]) == "UNAUTHORIZED"
    assert caller.hang_ups == 1


def test_an_expired_token_is_none(desk: Desk) -> None:
    access = secured(desk)
    token = Token(
        name="t", digest=digest_of("t"), scopes=frozenset({"read"}), expires_ms=desk.now + 5
    )
    access.tokens = Tokens([token])
    caller = known(desk, "t")
    assert access.still_holds(caller.session)
    desk.tick(5)
    assert not access.still_holds(caller.session)
    late = desk.caller()
    (reply,) = late.ask(b'{"cmd":"AUTH","token":"t"}')
    assert code(reply) == "UNAUTHORIZED"
    assert b"'t' has expired" in reply


def test_auth_tells_what_the_token_is(desk: Desk) -> None:
    secured(desk, t=("read produce", ("mail", "img-*")))
    assert desk.caller().ask(b'{"cmd":"AUTH","token":"t","rid":7}') == [
        (
            b'{"ok":true,"name":"t","scopes":["produce","read"],"queues":["mail","img-*"],'
            b'"expires":null,"rid":7}'
        )
    ]


def test_auth_without_tokens_is_admin(desk: Desk) -> None:
    assert desk.caller().ask(b'{"cmd":"AUTH","token":"t"}') == [
        b'{"ok":true,"name":null,"scopes":["admin"],"queues":null}'
    ]


PATTERNED = ("produce consume read operate", ("q", "img-*"))


@pytest.mark.parametrize("name", LINES)
def test_queues_of_a_token(desk: Desk, name: str) -> None:
    """Each command on a queue or job of its own, and of another's."""
    secured(desk, t=PATTERNED, all=("admin", None))
    admin = known(desk, "all")
    admin.ask(LINES["PUSH"], LINES["PUSH"].replace(b'"q"', b'"secret"'))
    admin.ask(LINES["PULL"].replace(b'"q"', b'"secret"'))
    theirs = LINES[name].replace(b'"q"', b'"secret"').replace(b"1}", b"2}")
    theirs = theirs.replace(b"[1]", b"[2]")
    if theirs != LINES[name]:
        before = admin.ask(b'{"cmd":"STATS"}', b'{"cmd":"GETJOB","id":2}')
        (reply,) = known(desk, "t").ask(theirs)
        assert code(reply) == "FORBIDDEN"
        after = admin.ask(b'{"cmd":"STATS"}', b'{"cmd":"GETJOB","id":2}')
        assert _counts(before[0]) == _counts(after[0])
        assert after[1] == before[1]
    own = code(known(desk, "t").ask(LINES[name])[0])
    whole_server = {"STATS", "QUEUES"} | {one for one in LINES if one.startswith("CRON")}
    assert own == ("FORBIDDEN" if name in whole_server else own)
    assert (own == "FORBIDDEN") is (name in whole_server)


def _counts(reply: bytes) -> dict[str, object]:
    fields = msgspec.json.decode(reply)
    return {k: v for k, v in fields.items() if k not in {"connections", "uptime_ms"}}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"cmd":"ACKB","ids":[1,2]}', "FORBIDDEN"),
        (b'{"cmd":"ACKB","ids":["2"]}', "FORBIDDEN"),
        (b'{"cmd":"ACKB","ids":[{"id":2,"attempt":1}]}', "FORBIDDEN"),
        (b'{"cmd":"ACKB","ids":[99]}', None),
        (b'{"cmd":"ACK","id":99}', "NOT_FOUND"),
        (b'{"cmd":"ACKB","ids":[]}', "FORBIDDEN"),
        (b'{"cmd":"FAILB","jobs":[{"id":1},{"id":2}]}', "FORBIDDEN"),
        (b'{"cmd":"HEARTBEAT","id":2}', "FORBIDDEN"),
        (b'{"cmd":"RELEASE","id":"2"}', "FORBIDDEN"),
        (b'{"cmd":"RETRYDEAD","id":2}', "FORBIDDEN"),
        (b'{"cmd":"RETRYDEAD","queue":"q","id":2}', "FORBIDDEN"),
        (b'{"cmd":"PURGEDEAD","queue":"q","id":99}', "NOT_FOUND"),
        (b'{"cmd":"GETJOB","id":99}', "NOT_FOUND"),
        (b'{"cmd":"STATS","queue":"q"}', None),
        (b'{"cmd":"STATS","queue":"secret"}', "FORBIDDEN"),
        (b'{"cmd":"QUEUES","count":5,"prefix":"img-"}', None),
        (b'{"cmd":"QUEUES","count":5,"prefix":"img-a"}', None),
        (b'{"cmd":"QUEUES","count":5,"prefix":"img"}', "FORBIDDEN"),
        (b'{"cmd":"QUEUES","count":5}', "FORBIDDEN"),
        (b'{"cmd":"PUSH","queue":"img-7","data":1}', None),
        (b'{"cmd":"PUSH","queue":"q","queue":"secret","data":1}', "FORBIDDEN"),
        (b'{"cmd":"PUSH","queue":"secret","queue":"q","data":1}', None),
        (b'{"cmd":"push","queue":"secret","data":1}', "FORBIDDEN"),
        (b'{"cmd":"PING","cmd":"PUSH","queue":"secret","data":1}', "FORBIDDEN"),
    ],
)
def test_ways_to_name_another_queue(desk: Desk, line: bytes, wanted: str | None) -> None:
    secured(desk, t=PATTERNED, all=("admin", None))
    admin = known(desk, "all")
    admin.ask(LINES["PUSH"], LINES["PUSH"].replace(b'"q"', b'"secret"'))
    admin.ask(LINES["PULL"], LINES["PULL"].replace(b'"q"', b'"secret"'))
    assert code(known(desk, "t").ask(line)[0]) == wanted


def test_a_token_of_some_queues_names_so_many_jobs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magicqueue_server.access._IDS_MAX", 2)
    secured(desk, t=PATTERNED, all=("admin", None))
    for name, wanted in (("t", "TOO_LARGE"), ("all", None)):
        caller = known(desk, name)
        assert code(caller.ask(b'{"cmd":"ACKB","ids":[1,2]}')[0]) is None
        assert code(caller.ask(b'{"cmd":"ACKB","ids":[1,2,3]}')[0]) == wanted


CORES: tuple[Callable[[], Desk], ...] = (
    lambda: Desk(core=PythonCore),
    lambda: Desk(core=ArrayCore),
    lambda: Desk(7),
)


@pytest.mark.parametrize("make", CORES, ids=["python", "array", "later"])
@pytest.mark.parametrize("scopes", ["produce", "consume", "produce consume", "read"])
def test_a_core_that_runs_lines_runs_no_others(
    make: Callable[[], Desk], scopes: str
) -> None:
    """All pairs of lines in one piece, in every spelling, as the first and later ones."""
    spellings: list[tuple[str, bytes]] = []
    for name, line in LINES.items():
        if name == "SUBSCRIBE":
            continue  # who has subscribed runs nothing else
        spellings += [
            (name, line),
            (name, line.replace(b'"cmd":', b'"cmd" : ')),
            (name, line[:-1] + b',"cmd":"%b"}' % name.encode()),
            (name, b'{"cmd":"PULL",' + line[1:]),
            (name, b'{"cmd":"PUSH",' + line[1:]),
            (name, b" " + line),
        ]
    may = set().union(*(MAY[scope] for scope in scopes.split()))
    desk = make()
    desk.settle_checks = False
    secured(desk, t=(scopes, None))
    caller = known(desk, "t")
    for (one, first), (other, second) in product(spellings[::5], spellings):
        replies = caller.ask(first, second)
        got = [code(reply) == "FORBIDDEN" for reply in replies]
        assert got == [one not in may, other not in may], (first, second)


def test_rights_decide_who_may_run_lines() -> None:
    desk = Desk(core=ArrayCore)
    secured(
        desk,
        a=("admin", None),
        both=("produce consume", None),
        one=("consume", None),
        none=("read", None),
        some=("admin", ("q",)),
    )
    ways = {
        name: (known(desk, name).session.checked, known(desk, name).session.quick is None)
        for name in ("a", "both", "one", "none", "some")
    }
    assert ways == {
        "a": (False, True),
        "both": (False, True),
        "one": (False, False),
        "none": (True, True),
        "some": (True, True),
    }


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"AUTH","token":"mq_secret"}',
        b'{"cmd":"AUTH" , "token" :\t"mq_secret" , "x":',
        b'{"token":"mq_secret',
        b'"token":mq_secret}',
    ],
)
def test_a_line_is_logged_without_its_token(line: bytes) -> None:
    assert b"mq_secret" not in without_token(line)


def test_a_bug_does_not_tell_a_token(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    access = secured(desk, t=("admin", None))

    def broken(_secret: str) -> Token:
        raise RuntimeError("broken")

    monkeypatch.setattr(access.tokens, "find", broken)
    with caplog.at_level(logging.DEBUG):
        (reply,) = desk.caller().ask(b'{"cmd":"AUTH","token":"mq_secret"}')
    assert code(reply) == "INTERNAL"
    assert "AUTH" in caplog.text
    assert "mq_secret" not in caplog.text
