"""How the dashboard feels over very many queues while jobs pass, in a real Chromium.

    python -m benchmarks.dashboard [--core array] [--rounds 5]

Needs chromium, and playwright (the group `browser`). For each view: when its first row is
there, counted from when its page was asked for, and the longest task that kept the tab from
answering its user. A process of its own pushes, takes and acknowledges JOBS_A_S meanwhile.
"""

import argparse
import importlib
import multiprocessing
import shutil
import sys
import time
from statistics import median

from benchmarks.operators import BOARD_QUEUES, ROOM, say, with_http
from benchmarks.pauses import Line, many_queues
from benchmarks.processes import import_sources
from benchmarks.workloads import sized

JOBS_A_S = 10_000
BATCH = 200
OPEN_MS = sized(5_000, 5_000, 500)
FIRST_MS_MAX, TASK_MS_MAX = 1_000, 50
VIEWS = {"overview": "#/", "queues": "#/queues", "queue": "#/queue/work", "jobs": "#/jobs"}
_WATCH = """
window.longest = 0; window.first = null;
new PerformanceObserver(list => {
  const took = list.getEntries().map(one => one.duration);
  window.longest = Math.max(window.longest, ...took);
}).observe({ type: "longtask", buffered: true });
new MutationObserver(() => {
  if (window.first === null && document.querySelector("tbody tr th a")) {
    window.first = performance.now();
  }
}).observe(document, { subtree: true, childList: true });
"""


def pass_jobs(port):
    """Push and finish so many jobs a second, until this process is ended."""
    line = Line(port)
    ids, turn, begun = [], 0, time.monotonic()
    line.push("work", 1000)
    while True:
        push = {"cmd": "PUSHB", "queue": "work", "jobs": [{"data": {"n": turn}}] * BATCH}
        pull = {"cmd": "PULLB", "queue": "work", "count": BATCH, "timeout": 0}
        acks = [{"cmd": "ACKB", "ids": ids}] if ids else []
        replies = line.ask_all([push, *acks, pull])
        ids = [job["id"] for job in replies[-1]["jobs"]]
        turn += 1
        time.sleep(max(0.0, begun + turn * BATCH / JOBS_A_S - time.monotonic()))


def open_view(browser, url):
    """Give when a view's first row was there and its longest task, in ms."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    page.locator("tbody tr th a").first.wait_for()
    first = page.evaluate("window.first")
    page.evaluate("window.longest = 0")
    page.wait_for_timeout(OPEN_MS)
    longest = page.evaluate("window.longest")
    context.close()
    return first, longest


def measure(core, rounds):
    """Print a row for each view; gives whether all targets are met."""
    playwright = importlib.import_module("playwright.sync_api")
    met = True
    with with_http(core, ROOM) as (_, port, web), playwright.sync_playwright() as driver:
        line = Line(port)
        many_queues(line, BOARD_QUEUES)
        line.close()
        work = multiprocessing.Process(target=pass_jobs, args=(port,), daemon=True)
        work.start()
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, path in VIEWS.items():
            url = f"http://127.0.0.1:{web}/{path}"
            found = [open_view(browser, url) for _ in range(rounds)]
            first, longest = (median(column) for column in zip(*found, strict=True))
            what = f"{core}: {name}, {BOARD_QUEUES:,} queues, {JOBS_A_S:,} jobs/s"
            bound = f"at most {FIRST_MS_MAX} ms"
            within = first <= FIRST_MS_MAX
            met = say(f"{what}: first row", f"{first:.0f} ms", bound, met=within) and met
            shown, bound = f"{longest:.0f} ms", f"at most {TASK_MS_MAX} ms"
            within = longest <= TASK_MS_MAX
            met = (
                say("  its longest task (0: none over 50)", shown, bound, met=within)
                and met
            )
        browser.close()
        work.terminate()
        work.join()
    return met


def main(arguments):
    """Measure; gives 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.dashboard", description=__doc__)
    parser.add_argument("--core", default="array")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    import_sources()
    return not measure(asked.core, asked.rounds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
