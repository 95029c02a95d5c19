"""The options of a job that is pushed, and their JSON.

A job of a PUSHB is `{"data":…` and a tail with its options. The tail is made once for a set
of options; a unique key and a group, which mostly are others for each job, are added to
it. The options of plain jobs come first, those that a server may lack behind them:
`needs_of` names what it must be able to do.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Literal, Required, TypedDict

import msgspec
import orjson
from msgspec import Raw

from magicqueue.arguments import several_ids, whole_number
from magicqueue.durations import Duration, Moment, duration_ms, moment_ms
from magicqueue.job import AnyJob, NewJob
from magicqueue.wire.limits import DEPENDS_ON_MAX, KEY_BYTES_MAX, PRIORITY_MAX

BACKOFF_S: Final = 1.0
"""Failed jobs wait this long before their first retry, unless told otherwise."""

NO_OPTIONS: Final = b"}"

SHAREABLE: Final = (
    b'"priority"',
    b'"delay"',
    b'"run_at"',
    b'"max_attempts"',
    b'"backoff"',
    b'"jitter"',
)
"""How options begin that a batch may say once for all its jobs."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOBODY: Final[tuple[Any, ...]] = (None, [], ())
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_NEEDS: Final = {
    b',"unique_key":': "unique",
    b',"ttl":': "ttl",
    b',"timeout":': "timeout",
    b',"keep_result":': "results",
    b',"group":': "groups",
    b',"depends_on":': "flows",
}


class _Options(TypedDict, total=False):
    priority: int
    delay: Duration | None
    run_at: Moment | None
    max_attempts: int | None
    backoff: Duration
    jitter: bool
    unique: Literal["done", "start"]
    unique_for: Duration | None
    on_conflict: Literal["return", "reject", "replace"]
    ttl: Duration | None
    on_expire: Literal["remove", "dead"]
    timeout: Duration | None
    keep_result: Duration | None
    depends_on: Iterable[AnyJob] | AnyJob
    on_parent_failure: Literal["wait", "fail", "run"]


class JobOptions(_Options, total=False):
    """The options of `push`, `push_batch` and `push_many`.

    priority: higher runs first (0; 32 bits, signed). delay or run_at: not before then.
    max_attempts: failures after which it is dead (the server's default is 25; 0: no
    limit). backoff: the wait before the first retry (1 s), doubled by each failure up to
    an hour. jitter: take a random part of that wait (True).

    unique_key: at most one job of the queue holds it at a time. unique: until it is
    settled or dead ("done") or only until it is first handed out ("start"); unique_for:
    instead, for so long from the push whatever becomes of it. on_conflict: with a key that
    is held, give the holder's id ("return"), raise Duplicate ("reject"), or give a holder
    that waits the new data, priority and time ("replace").

    ttl: it is not handed out later than that; then it is removed, or dead (on_expire).
    timeout: an attempt fails that runs for longer. keep_result: how long its end and its
    result are kept, for `result`, `wait` and `job` (0). group: groups of a queue's jobs, by
    customer say, take turns, one job each; those without a group are one more.

    depends_on: up to 1,000 jobs or ids (or one) that have to be done before it may run.
    on_parent_failure: if one of them is dead it waits until that is revived ("wait"), is
    dead, too ("fail"), or runs all the same ("run"). See Flow for jobs pushed together.
    """

    unique_key: str | None
    group: str | None


class UniqueOptions(_Options, total=False):
    """JobOptions with a unique key."""

    unique_key: Required[str]
    group: str | None


_OPTIONS: Final = tuple(_Options.__annotations__)
_values: Final = attrgetter(*_OPTIONS)


def tail_of(options: JobOptions | UniqueOptions) -> bytes:
    """Encode a job's options, as the rest of its object behind the data.

    Raises TypeError or ValueError that names the option.
    """
    if not options:
        return _DEFAULT_TAIL
    unknown = options.keys() - JobOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"a job has no option {min(unknown)!r}: see JobOptions")
    rest = _named(options)
    key, group = rest.pop("unique_key", None), rest.pop("group", None)
    return _with_names(key, group, rest)


def tail_of_job(job: NewJob) -> bytes:
    """Encode the options of a NewJob."""
    if job.unique_key is None and job.group is None and job.depends_on is None:
        return _tail_of(*_values(job))
    options = dict(zip(_OPTIONS, _values(job), strict=True))
    return _with_names(job.unique_key, job.group, _named(options))


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options with the ids of the jobs that one depends on, if it does."""
    given = dict(options)
    others = given.get("depends_on")
    if others in _NOBODY:
        given.pop("depends_on", None)
    else:
        given["depends_on"] = tuple(several_ids(others, "depends_on", DEPENDS_ON_MAX))
    return given


def needs_of(tail: bytes) -> tuple[str, ...]:
    """Name what a server must be able to do for these options."""
    return () if tail is _DEFAULT_TAIL else _needs_of(tail)


@lru_cache(maxsize=1024)
def _needs_of(tail: bytes) -> tuple[str, ...]:
    # in the key, which is a text from elsewhere, quotes are escaped: it looks like no field
    return tuple(word for field, word in _NEEDS.items() if field in tail)


def members_of(tail: bytes) -> list[bytes]:
    """Part a tail into its options."""
    if needs_of(tail):
        members = _MEMBERS.decode(b"{" + tail[1:])
        return [b'"%b":%b' % (name.encode(), value) for name, value in members.items()]
    return tail[:-1].split(b",")[1:]


@lru_cache(maxsize=1024, typed=True)
def _tail_of(*values: Any) -> bytes:
    """Encode the options of a job without a key, given in the order of their names."""
    return _tail(**dict(zip(_OPTIONS, values, strict=True)))


def _with_names(key: str | None, group: str | None, options: dict[str, Any]) -> bytes:
    """Encode options with a key or a group, which are mostly others for each job."""
    if key is None:
        tail = _tail(**options)
    else:
        encoded = orjson.dumps(checked_name(key, "unique_key"))
        tail = b'%b,"unique_key":%b}' % (_tail(**options, has_key=True)[:-1], encoded)
    if group is None:
        return tail
    return b'%b,"group":%b}' % (tail[:-1], orjson.dumps(checked_name(group, "group")))


def checked_name(name: str, option: str) -> str:
    """Give a key or a group back. Raises TypeError or ValueError if it can be none."""
    if not isinstance(name, str):
        raise TypeError(f"{option} must be a string, not {type(name).__name__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{option} has a lone surrogate: leave it out") from None
    if not 0 < size <= KEY_BYTES_MAX or _CONTROL.search(name):
        raise ValueError(
            f"{option} must be 1 to {KEY_BYTES_MAX} bytes without control characters"
        )
    return name


@lru_cache(maxsize=1024, typed=True)
def _tail(  # noqa: PLR0913 - one for each option
    *,
    priority: int = 0,
    delay: Duration | None = None,
    run_at: Moment | None = None,
    max_attempts: int | None = None,
    backoff: Duration = BACKOFF_S,
    jitter: bool = True,
    has_key: bool = False,
    **policies: Any,
) -> bytes:
    fields: dict[str, Any] = {}
    if whole_number(priority, "priority", -PRIORITY_MAX - 1, PRIORITY_MAX):
        fields["priority"] = priority
    if delay is not None and run_at is not None:
        raise ValueError("give delay or run_at, not both")
    if delay is not None:
        fields["delay"] = duration_ms(delay, "delay")
    if run_at is not None:
        fields["run_at"] = moment_ms(run_at, "run_at")
    if max_attempts is not None:
        fields["max_attempts"] = whole_number(max_attempts, "max_attempts", 0, PRIORITY_MAX)
    if backoff_ms := duration_ms(backoff, "backoff"):
        fields["backoff"] = backoff_ms
        if jitter:
            fields["jitter"] = True
    fields |= _policies(has_key=has_key, **policies)
    return b"," + orjson.dumps(fields)[1:] if fields else NO_OPTIONS


def _policies(  # noqa: C901, PLR0913 - one for each option
    *,
    has_key: bool,
    unique: str | None = None,
    unique_for: Duration | None = None,
    on_conflict: str | None = None,
    ttl: Duration | None = None,
    on_expire: str | None = None,
    timeout: Duration | None = None,
    keep_result: Duration | None = None,
    depends_on: tuple[int, ...] = (),
    on_parent_failure: str | None = None,
) -> dict[str, Any]:
    """Check and name the options of jobs that are more than plain."""
    fields: dict[str, Any] = {}
    if unique is not None and unique_for is not None:
        raise ValueError("give unique or unique_for, not both")
    for name, word, words in (
        ("unique", unique, ("done", "start")),
        ("on_conflict", on_conflict, ("return", "reject", "replace")),
        ("on_expire", on_expire, ("remove", "dead")),
        ("on_parent_failure", on_parent_failure, ("wait", "fail", "run")),
    ):
        if word is not None:
            fields[name] = _one_of(word, name, words)
    for name, span in (("unique_for", unique_for), ("ttl", ttl), ("timeout", timeout)):
        if span is not None:
            fields[name] = duration_ms(span, name, least_ms=1)
    if keep_result is not None and (ms := duration_ms(keep_result, "keep_result")):
        fields["keep_result"] = ms
    for name in ("unique", "unique_for", "on_conflict"):
        if name in fields and not has_key:
            raise ValueError(f"{name} is about a unique_key: give one, too")
    if on_expire is not None and ttl is None:
        raise ValueError("on_expire is about a ttl: give one, too")
    if depends_on:
        fields["depends_on"] = depends_on
    elif on_parent_failure is not None:
        raise ValueError("on_parent_failure is about depends_on: give that, too")
    return fields


def _one_of(word: object, name: str, words: Iterable[str]) -> str:
    if not isinstance(word, str) or word not in words:
        raise ValueError(f"{name} is {word!r}: it must be {' or '.join(words)}")
    return word


_DEFAULT_TAIL: Final = _tail()
