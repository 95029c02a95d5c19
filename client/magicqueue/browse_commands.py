"""Commands that look through jobs, and that deal with all that match.

Both go by pages: a server looks at so many jobs a request, so that it serves others
meanwhile, and `next` says where to go on. They need a server that has told that it can.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from magicqueue.commands import with_rid
from magicqueue.job import Count, JobDetails
from magicqueue.protocol import Command
from magicqueue.readers import decoder
from magicqueue.refusals import Line
from magicqueue.wire import requests
from magicqueue.wire.values import Deed, JobOrder, State

BROWSE: Final = "browse"

PAGE_JOBS: Final = 500
PAGE_BYTES: Final = 2**25
"""Room for a page with all its data: a server looks at 16 MiB of that for one."""
_ALL_DATA: Final = 2**31 - 1
"""`data_max`: nothing of a job's data is left out."""


class JobsPage(msgspec.Struct, frozen=True):
    """Some jobs; `next` is where the page behind it begins, None at the end."""

    jobs: list[JobDetails]
    next: str | None


class BulkStep(msgspec.Struct, frozen=True):
    """How many jobs a request dealt with, and where to go on, None at the end."""

    done: Count
    next: str | None


_page: Final = decoder(JobsPage)
_step: Final = decoder(BulkStep)


def jobs(
    queue: str,
    state: State | None,
    contains: str | None,
    order: JobOrder,
    after: str | None,
) -> Command[JobsPage]:
    """List a page of jobs."""
    request = requests.Jobs(
        queue=queue,
        state=state,
        contains=contains,
        order=order,
        count=PAGE_JOBS,
        after=after,
        data_max=_ALL_DATA,
    )
    return with_rid(
        request,
        _listed(queue, after),
        needs=(BROWSE,),
        repeat=True,
        reply_bytes=PAGE_BYTES,
        holds_data=True,
    )


def bulk(
    do: Deed,
    queue: str,
    state: State | None,
    contains: str | None,
    after: str | None,
    *,
    dry: bool,
) -> Command[BulkStep]:
    """Do to some of the jobs that match what a single command does; or only count."""
    request = requests.Bulk(
        do=do, queue=queue, state=state, contains=contains, after=after, dry=dry or None
    )
    return with_rid(request, _done(after), needs=(BROWSE,), repeat=dry)


def _listed(queue: str, after: str | None) -> Callable[[Line], JobsPage]:
    """Read JOBS' reply: jobs of that queue, each once."""

    def read(line: Line) -> JobsPage:
        page = _page(line)
        if any(job.queue != queue for job in page.jobs):
            raise ValueError("a job is of another queue")
        if len({job.id for job in page.jobs}) != len(page.jobs):
            raise ValueError("a job is in it twice")
        _check_goes_on(page.next, after)
        return page

    return read


def _done(after: str | None) -> Callable[[Line], BulkStep]:
    """Read BULK's reply."""

    def read(line: Line) -> BulkStep:
        step = _step(line)
        _check_goes_on(step.next, after)
        return step

    return read


def _check_goes_on(following: str | None, after: str | None) -> None:
    if following is not None and following == after:
        raise ValueError("its listing does not go on")
