"""Every command that may change something asks the log first, whether it can be kept."""

from magicqueue.wire import requests
from magicqueue.wire.requests import COMMANDS
from magicqueue_server.wal import guard

LOOKS = {
    *(requests.StatsRequest, requests.Queues, requests.Groups, requests.Jobs),
    *(requests.GetJob, requests.Dead, requests.Wait, requests.CronList),
    *(requests.Subscribe, requests.Ping, requests.Hello, requests.Auth),
}
PULLS = {requests.Pull, requests.PullBatch}
"""They ask by `check_pull`, as often as they try."""


def test_whatever_is_no_look_is_guarded() -> None:
    guarded = {*guard._PUSHES, *guard._CHANGES}
    assert guarded & set(COMMANDS.values()) == set(COMMANDS.values()) - LOOKS - PULLS


def test_what_brings_jobs_is_refused_where_there_is_no_room_for_them() -> None:
    brings = {kind for name, kind in COMMANDS.items() if name.startswith("PUSH")}
    assert brings | {requests.Cron, requests.CronRun} <= set(guard._PUSHES)
