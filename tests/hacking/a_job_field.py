"""What has to be where for an option of a job. The table is `wire.requests.PushItem`.

That no way through the server drops it is asked of servers: a job that is pushed with it is
the same on both cores, by lines and by verbs, and after its records were replayed.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import msgspec

from hacking.checklist import Checklist, text_of
from magicqueue.job import NewJob
from magicqueue.job_options import JobOptions
from magicqueue.wire.requests import Push, PushBatch, PushItem
from magicqueue_cores.policies import PolicyOptions
from policies.wires import Fields, LogWire
from wire.samples import LINES as SAMPLES

FIELDS: Final = tuple(field for field in PushItem.__struct_fields__ if field != "data")
UNTOLD: Final = frozenset({"unique", "unique_for", "on_conflict", "on_expire"})
"""They say how another option is meant, which is what a reply tells."""


@cache
def sample(field: str) -> Fields | None:
    """Return the options of the first sample of a PUSH, or of a job of a PUSHB, with it."""
    for line in SAMPLES:
        told: Fields = msgspec.json.decode(line)
        for job in (told, *told.get("jobs", ())):
            if isinstance(job, dict) and "data" in job and job.get(field) is not None:
                return {name: job[name] for name in job if name in FIELDS}
    return None


class Story(NamedTuple):
    """What a server told of a job that was pushed, handed out and failed."""

    before: list[Fields]
    after: list[Fields]
    """The same questions after it was killed and has started again."""


def story(core: str, options: Fields) -> Story:
    """Let two jobs with options live: one comes by PUSH, one by PUSHB.

    Before them comes a job that they may depend on.
    """
    wire = LogWire(core, PolicyOptions())
    peer = wire.peer()
    told = [
        peer.ask(cmd, **fields)
        for cmd, fields in (
            ("PUSH", {"queue": "p", "data": 1}),
            ("PUSH", {"queue": "q", "data": 1, **options}),
            ("PUSHB", {"queue": "r", "jobs": [{"data": 1, **options}]}),
            ("GETJOB", {"id": 2}),
            ("PULL", {"queue": "q", "timeout": 0}),
            ("FAIL", {"id": 2, "error": "no"}),
        )
    ]
    asked = [peer.ask("GETJOB", id=job_id) for job_id in (2, 3)]
    assert wire.restart is not None
    wire.restart()
    peer = wire.peer()
    return Story(told + asked, asked + [peer.ask("GETJOB", id=number) for number in (2, 3)])


def options_with(field: str) -> Iterator[Fields]:
    """Make options of its sample: it alone, with each of the others, with all of them."""
    options = sample(field) or {}
    value = options.get(field)
    if value is not None:
        yield {field: value}
        yield from (
            {field: value, name: options[name]} for name in options if name != field
        )
        yield options


@cache
def telling(field: str) -> Fields | None:
    """Return options of which a reply tells this one, None if no reply ever does."""
    for options in options_with(field):
        heard = story("python", options).before
        rest = {name: value for name, value in options.items() if name != field}
        seen = field in UNTOLD or heard != story("python", rest).before
        if heard[1]["ok"] and seen:
            return options
    return None


def is_the_same_everywhere(field: str) -> bool:
    """Whether a reply tells of it, and both cores do so alike."""
    options = telling(field)
    return options is not None and story("python", options) == story("array", options)


def outlives_a_restart(field: str) -> bool:
    """Whether a killed server knows it again, on either core."""
    options = telling(field)
    if options is None:
        return False
    for core in ("python", "array"):
        one, two, *again = story(core, options).after
        if [one, two] != again:
            return False
    return True


def is_an_option(field: str) -> bool:
    """Whether the client takes it, for all jobs of a push and for one of them."""
    return field in JobOptions.__annotations__ and field in NewJob.__annotations__


def is_on_the_command_line(field: str) -> bool:
    """Whether `magicqueue push` takes it."""
    if field == "jitter":
        return True  # what it pushes has it in any case
    # `--timeout` of every command is how long the server may be silent
    flag = "--job-timeout" if field == "timeout" else f"--{field.replace('_', '-')}"
    return f'"{flag}"' in text_of("client/magicqueue/cli/push.py")


CHECKLIST: Final = Checklist(
    "A job field",
    FIELDS,
    (
        lambda field: all(
            field in kind.__struct_fields__ for kind in (Push, PushBatch, PushItem)
        ),
        lambda field: f"`{field}`" in text_of("docs/protocol.md"),
        lambda field: sample(field) is not None,
        is_the_same_everywhere,
        outlives_a_restart,
        is_an_option,
        is_on_the_command_line,
    ),
)
