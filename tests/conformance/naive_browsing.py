"""The model's verbs that look through jobs: the list, sorted and cut."""

from conformance.naive_jobs import ACTIVE, DEAD, DELAYED, HELD, READY, Job, NaiveJobs
from magicqueue_cores.contract import (
    TURN_JOBS_MAX,
    JobsPage,
    JobState,
    JobView,
    Place,
    Search,
    TurnPage,
)


class NaiveBrowsing(NaiveJobs):
    """A part of `NaiveCore`, which has `advance`."""

    def advance(self, now_ms: int) -> None:
        raise NotImplementedError

    def browse(
        self,
        search: Search,
        after_id: int,
        count: int,
        scan_max: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> JobsPage:
        self.advance(now_ms)

        def wanted(view: JobView) -> bool:
            return search.queue in (None, view.queue) and view.state in search.states

        views = sorted((job.view for job in self.all), key=lambda view: view.id)
        if search.queue is not None and not any(map(wanted, views)):
            return JobsPage([], None, 0, 0)
        page = JobsPage([], after_id, 0, 0)
        for view in views:
            if view.id <= after_id:
                continue
            if page.scanned == scan_max or len(page.jobs) == count:
                return page
            if wanted(view):
                size = page.scanned_bytes + len(view.payload)
                if page.scanned_bytes and size > payload_bytes_max:
                    page.next_id = view.id - 1
                    return page
                page.scanned_bytes = size
                if search.contains in view.payload:
                    page.jobs.append(view)
            page.scanned += 1
            page.next_id = view.id
        page.next_id = None
        return page

    def in_turn(
        self,
        queue: str,
        state: JobState,
        after: Place | None,
        count: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> TurnPage:
        self.advance(now_ms)
        listed = [] if state is HELD else self.some(state, queue)
        places = sorted((self.place(job), job.view.id) for job in listed)
        page = TurnPage([], None)
        for place, job_id in places[:TURN_JOBS_MAX]:
            if after is not None and place <= after:
                continue
            job = self.find(job_id)
            assert job is not None
            payload_bytes_max -= len(job.view.payload)
            if page.jobs and (len(page.jobs) >= count or payload_bytes_max < 0):
                return page
            page.jobs.append(job.view)
            page.next_place = place
        page.next_place = None
        return page

    def place(self, job: Job) -> Place:
        view = job.view
        if view.state is READY:
            return -view.priority, job.ready_seq
        if view.state is DELAYED:
            return view.run_at_ms, view.id
        if view.state is ACTIVE:
            return view.lease_until_ms or 0, view.id
        assert view.state is DEAD
        return job.death_seq, 0
