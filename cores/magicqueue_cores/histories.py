"""What went wrong with jobs: made when it is needed, and counted in what memory takes."""

from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.python_job import History, Job


def history_of(job: Job, tally: Tally) -> History:
    """Give the job's history, made if it has none."""
    if job.history is None:
        job.history = History()
        tally.histories += 1
    return job.history


def count_in(history: History, tally: Tally) -> None:
    """Count a history that was made elsewhere."""
    tally.histories += 1
    tally.texts += history.text is not None
    tally.text_bytes += len(history.text or b"")


def set_error(job: Job, error: str | None, tally: Tally) -> History:
    """Put an error, or none, in the place of the job's last; gives its history."""
    history = history_of(job, tally)
    if history.text is not None:
        tally.texts -= 1
        tally.text_bytes -= len(history.text)
        history.text = None
    if error is not None:
        history.text = error.encode(errors="surrogatepass")
        tally.texts += 1
        tally.text_bytes += len(history.text)
    return history


def drop_history(job: Job, tally: Tally) -> None:
    """Let a job have none any more."""
    set_error(job, None, tally)
    job.history = None
    tally.histories -= 1
