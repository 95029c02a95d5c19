"""The dashboard in a real Chromium, from a real server; `make test-browser` installs both.

Skipped where there is none. With MAGICQUEUE_AXE, the path of axe-core's script, every view
is also held to its rules of accessibility.
"""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import eventually
from magicqueue import SyncQueue
from patience import PATIENCE_S

sync_api: Any = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: make test-browser"
)
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium: make test-browser says how to get it"
)
HOSTILE = "<img src=x onerror=alert(1)>"
AXE = os.environ.get("MAGICQUEUE_AXE")
_AXE_RUN = "axe.run().then(found => JSON.stringify(found.violations.map(one => one.id)))"
ROOT = Path(__file__).parents[2]


class Served:
    """A server with HTTP on a port of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        roots = os.pathsep.join(str(ROOT / r) for r in ("client", "cores", "server"))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MAGICQUEUE_")}
        self.socket = folder / "socket"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "magicqueue_server", "serve", "--core=python"),
                *(f"--unix-socket={self.socket}", "--http=127.0.0.1:0", *options),
            ],
            env=kept | {"PYTHONPATH": roots},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("HTTP at "):
                self.url = f"http://{line.removeprefix('HTTP at ').strip()}/"
            if line.startswith("Ctrl-C"):
                break

    def queue(self, name: str, **more: Any) -> SyncQueue:
        return SyncQueue(name, url=f"unix://{self.socket}", **more)

    def limits(self, name: str) -> tuple[Any, Any]:
        with self.queue(name) as queue:
            limits = queue.limit()
            return limits.concurrency, limits.rate

    def throttled_groups(self, name: str) -> list[str]:
        with self.queue(name) as queue:
            found = queue.groups()
            return [group.name for group in found if group.throttled_until is not None]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


def page_of(
    browser: Any, width: int = 1280, scheme: str = "light"
) -> tuple[Any, list[str]]:
    """Open a tab, and gather what it complains of."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    return page, said


def check_access(page: Any) -> None:
    if AXE is None:
        return
    devtools = page.context.new_cdp_session(page)
    devtools.send("Runtime.evaluate", {"expression": Path(AXE).read_text("utf-8")})
    ran = devtools.send(
        "Runtime.evaluate",
        {"expression": _AXE_RUN, "awaitPromise": True, "returnByValue": True},
    )
    assert ran["result"]["value"] == "[]"


def fill(served: Served) -> int:
    """Push what the views show; gives the id of a dead letter."""
    with served.queue("emails") as emails:
        emails.push_batch([{"n": n} for n in range(30)])
        dead = emails.push({"to": "ada"}, priority=9, max_attempts=1)
        job = emails.pull(timeout=0)
        assert job is not None
        emails.fail(job, "KeyError: 'street'")
    with served.queue(HOSTILE) as hostile:
        hostile.push({"x": HOSTILE, HOSTILE: "</script><script>alert(2)</script>"})
        hostile.push(HOSTILE, group=HOSTILE, unique_key=HOSTILE)
        hostile.push(HOSTILE, priority=9, max_attempts=1)
        job = hostile.pull(timeout=0)
        assert job is not None
        hostile.fail(job, HOSTILE)
        hostile.cron(HOSTILE, "30 2 * * *", HOSTILE, tz="Europe/Berlin")
    return int(dead)


HOSTILE_QUEUE = "#/queue/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"


@pytest.mark.parametrize(
    ("width", "scheme"), list(itertools.product([1280, 320], ["light", "dark"]))
)
def test_every_view(served: Served, browser: Any, width: int, scheme: str) -> None:
    dead = fill(served)
    page, said = page_of(browser, width, scheme)
    for place, heading, text in (
        ("#/", "Overview", "emails"),
        ("#/queues", "Queues", "emails"),
        ("#/queue/emails?state=dead", "emails", "KeyError"),
        (HOSTILE_QUEUE, HOSTILE, "Push a job"),
        (f"{HOSTILE_QUEUE}?state=dead", HOSTILE, "failed"),
        (f"{HOSTILE_QUEUE}?state=groups", HOSTILE, "Limits of each group"),
        (f"#/job/{dead}", f"Job {dead}", "KeyError"),
        (f"#/job/{dead + 2}", f"Job {dead + 2}", "Unique key"),
        (f"#/job/{dead + 3}", f"Job {dead + 3}", "Last error"),
        ("#/jobs", "Jobs", HOSTILE),
        ("#/jobs?state=dead", "Dead letters", HOSTILE),
        ("#/crons", "Crons", HOSTILE),
    ):
        page.goto(served.url + place)
        page.get_by_role("heading", level=1, name=heading).wait_for()
        page.get_by_text(text).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        check_access(page)
    assert said == []


def test_a_dead_letter_is_retried_by_keyboard(served: Served, browser: Any) -> None:
    fill(served)
    page, said = page_of(browser)
    page.goto(f"{served.url}#/queue/emails?state=dead")
    retry = page.get_by_role("button", name="Retry job")
    retry.wait_for()
    assert "KeyError" in page.get_by_role("row").nth(1).inner_text()
    retry.focus()
    page.keyboard.press("Enter")
    retry.wait_for(state="detached")
    with served.queue("emails") as emails:
        assert (emails.stats().dead, emails.stats().queued) == (0, 31)
    assert said == []


def test_jobs_are_searched_and_all_that_match_are_cancelled(
    served: Served, browser: Any
) -> None:
    fill(served)
    page, said = page_of(browser)
    page.goto(f"{served.url}#/jobs")
    page.get_by_role("link", name=HOSTILE).first.wait_for()
    page.get_by_label("Queue").fill("emails")
    page.get_by_label("State").select_option("ready")
    page.get_by_label("Data contains").fill('"n":1')
    page.get_by_role("button", name="Look").click()
    page.get_by_text("jobs looked at, which is all of them").wait_for()
    check_access(page)
    assert page.get_by_role("row").count() == 12  # 1 and 10 to 19, below the heading
    page.get_by_role("button", name="Cancel all that match…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("emails")
    dialog.get_by_role("button", name="Cancel 11").click()
    page.get_by_text("Cancel: 11 jobs.").wait_for()
    with served.queue("emails") as emails:
        assert emails.stats().queued == 19
    assert said == []


def test_limits_are_set_and_taken_away(served: Served, browser: Any) -> None:
    fill(served)
    page, said = page_of(browser)
    page.goto(f"{served.url}#/queue/emails")
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Active at once").fill("3")
    page.get_by_label("Jobs", exact=True).fill("100")
    page.get_by_label("in seconds", exact=True).fill("60")
    page.get_by_role("button", name="Set").click()
    page.get_by_text("The limits hold from now on.").wait_for()
    with served.queue("emails") as emails:
        limits = emails.limit()
        assert limits.rate is not None
        assert (limits.concurrency, limits.rate.jobs, limits.rate.per) == (3, 100, 60_000)
    page.get_by_label("Active at once").fill("")
    page.get_by_label("Jobs", exact=True).fill("")
    page.get_by_role("button", name="Set").click()
    eventually(lambda: served.limits("emails") == (None, None))
    assert said == []


def test_groups_are_listed_by_pages_and_one_is_throttled(
    served: Served, browser: Any
) -> None:
    with served.queue("api") as api:
        api.push_batch([{"n": n} for n in range(120)], group="acme")
        for n in range(60):
            api.push(n, group=f"group{n:02}")
    page, said = page_of(browser)
    page.goto(f"{served.url}#/queue/api")
    page.get_by_role("link", name="groups").click()
    page.get_by_role("button", name="Throttle acme").wait_for()
    check_access(page)
    rows = page.get_by_role("region", name="Table of groups").get_by_role("row")
    assert rows.nth(1).inner_text().split()[:3] == ["acme", "120", "0"]
    assert rows.count() == 51
    page.get_by_label("Throttle for, in seconds").fill("600")
    page.get_by_role("button", name="Throttle acme").press("Enter")
    page.get_by_text("acme gets no turn for 600 s.").wait_for()
    assert served.throttled_groups("api") == ["acme"]
    check_access(page)
    page.get_by_role("button", name="Let acme go on").press("Enter")
    page.get_by_role("button", name="Throttle acme").wait_for()
    assert served.throttled_groups("api") == []
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Throttle group59").wait_for()
    assert rows.count() == 12
    assert said == []


def test_a_job_tells_what_it_waits_for(served: Served, browser: Any) -> None:
    with served.queue("flow") as flow:
        parent = flow.push("first")
        child = flow.push("second", depends_on=parent)
    page, said = page_of(browser)
    page.goto(f"{served.url}#/queue/flow?state=blocked")
    page.get_by_role("link", name=str(child), exact=True).click()
    page.get_by_role("heading", level=1, name=f"Job {child} blocked").wait_for()
    page.get_by_text("Depends on").wait_for()
    check_access(page)
    page.get_by_role("link", name=str(parent), exact=True).click()
    page.get_by_role("heading", level=1, name=f"Job {parent} ready").wait_for()
    page.get_by_text("Wait for it").wait_for()
    check_access(page)
    assert said == []


def test_limits_of_each_group_are_set(served: Served, browser: Any) -> None:
    fill(served)
    page, said = page_of(browser)
    page.goto(f"{served.url}{HOSTILE_QUEUE}?state=groups")
    page.get_by_text("Limits of each group").click()
    page.get_by_label("Each group: active at once, at most").fill("2")
    page.get_by_role("button", name="Set for each group").click()
    page.get_by_text("The limits of each group hold from now on.").wait_for()
    with served.queue(HOSTILE) as queue:
        limits = queue.limit()
        assert limits.group is not None
        assert (limits.concurrency, limits.group.concurrency) == (None, 2)
    page.goto(f"{served.url}#/queues")
    assert said == []


def test_a_queue_is_throttled_and_goes_on(served: Served, browser: Any) -> None:
    fill(served)
    page, said = page_of(browser)
    page.goto(f"{served.url}#/queue/emails")
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Hand out none for, in seconds").fill("600")
    page.get_by_role("button", name="Throttle", exact=True).click()
    page.get_by_text("Throttled: goes on in").wait_for()
    page.get_by_role("button", name="Let go on").click()
    page.get_by_text("It is throttled no more.").wait_for()
    with served.queue("emails") as emails:
        assert emails.stats().throttled_until is None
        emails.throttle(600)
        emails.limit(concurrency=3)
    with served.queue("limited") as limited:
        limited.limit(concurrency=3)
    page.goto(f"{served.url}#/queues")
    page.get_by_text("throttled", exact=True).wait_for()
    page.get_by_text("limited", exact=True).nth(1).wait_for()
    page.goto(f"{served.url}#/")
    page.get_by_text("1 queue is throttled.").wait_for()
    assert said == []


def test_a_drain_asks_for_the_name(served: Served, browser: Any) -> None:
    fill(served)
    page, _ = page_of(browser)
    page.goto(f"{served.url}#/queue/emails")
    page.get_by_role("button", name="Drain…").click()
    dialog = page.get_by_role("dialog")
    drain = dialog.get_by_role("button", name="Drain")
    assert drain.is_disabled()
    dialog.get_by_role("textbox").fill("emails")
    drain.click()
    page.get_by_text("30 jobs removed.").wait_for()
    with served.queue("emails") as emails:
        assert emails.stats().queued == 0


def test_a_token_that_may_only_read_is_offered_nothing(
    tmp_path: Path, browser: Any
) -> None:
    tokens = tmp_path / "tokens.toml"
    roots = os.pathsep.join(str(ROOT / r) for r in ("client", "cores", "server"))
    secrets = {}
    for name, scope in (("eye", "read"), ("hand", "admin")):
        made = subprocess.run(
            [sys.executable, "-m", "magicqueue", "token", "new", name, "--scope", scope],
            env=os.environ | {"PYTHONPATH": roots},
            capture_output=True,
            text=True,
            check=True,
        )
        with tokens.open("a", encoding="utf-8") as file:
            file.write(made.stdout)
        secrets[name] = made.stderr.strip().splitlines()[-1]
    tokens.chmod(0o600)
    served = Served(tmp_path, f"--tokens={tokens}")
    try:
        with served.queue("emails", token=secrets["hand"]) as emails:
            emails.push(1)
        page, _ = page_of(browser)
        page.goto(f"{served.url}#/queues")
        for secret, sees in ((secrets["eye"], 0), (secrets["hand"], 1)):
            page.get_by_label("Token").fill(secret)
            page.get_by_role("button", name="Come in").click()
            page.get_by_role("link", name="emails").wait_for()
            assert page.get_by_role("button", name="Pause emails").count() == sees
            page.get_by_title("Forget the token").click()
        page.get_by_label("Token").fill("mq_wrong")
        page.get_by_role("button", name="Come in").click()
        page.get_by_role("alert").wait_for()
    finally:
        served.stop()
