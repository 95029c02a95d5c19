"""The dashboard in a real Chromium, from a real server; `make test-browser` installs both.

Skipped where there is none. With MAGICQUEUE_AXE, the path of axe-core's script, every view
is also held to its rules of accessibility.
"""

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
        hostile.push({"x": "</script><script>alert(2)</script>"})
    return int(dead)


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (320, "light")]
)
def test_every_view(served: Served, browser: Any, width: int, scheme: str) -> None:
    dead = fill(served)
    page, said = page_of(browser, width, scheme)
    for place, heading, text in (
        ("#/", "Overview", "emails"),
        ("#/queues", "Queues", "emails"),
        ("#/queue/emails?state=dead", "emails", "KeyError"),
        ("#/queue/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", HOSTILE, "Push a job"),
        (f"#/job/{dead}", f"Job {dead}", "KeyError"),
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
    page.get_by_role("link", name=HOSTILE).wait_for()
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
