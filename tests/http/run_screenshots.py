"""Take pictures of the dashboard's views, with work going on: `make screenshots`.

In light and dark, wide and narrow. Look at them after each change of the page: a test sees
what is there, and nobody but you whether it is ugly.
"""

import importlib
import itertools
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, Final

from magicqueue import SyncQueue
from server.process import ServerProcess

sync_api: Any = importlib.import_module("playwright.sync_api")
SHOWN_MS: Final = 3_000
TRACEBACK: Final = """KeyError: 'street'
Traceback (most recent call last):
  File "/srv/shop/letters.py", line 41, in send
    address = f"{order['street']} {order['number']}"
KeyError: 'street'
"""
HEIGHT: Final = {1280: 900, 320: 720}


def fill(url: str) -> tuple[int, SyncQueue]:
    """Push what the views show; gives the id of a dead letter, and who holds a job."""

    def queue(name: str) -> SyncQueue:
        return SyncQueue(name, url=url)

    letters = queue("letters")
    dead = letters.push({"order": 4711}, priority=9, max_attempts=1)
    job = letters.pull(timeout=0)
    assert job is not None
    letters.fail(job, TRACEBACK)
    letters.push_batch([{"order": n, "to": "ada@example.org"} for n in range(500)])
    letters.push({"order": 4712}, delay=3600)
    held = letters.pull(timeout=0)
    assert held is not None
    letters.progress(held, 40, "page 4 of 10")
    letters.limit(concurrency=50)
    with queue("api") as api:
        for number, name in enumerate(("acme", "beta", "initech", "umbrella")):
            api.push_batch([{"n": n} for n in range(30 * number + 5)], group=name)
        api.throttle(600, group="beta")
    with queue("reports") as reports:
        reports.cron("month end", "0 6 L * *", {"kind": "month"}, tz="Europe/Berlin")
        reports.cron("heartbeat", every=60)
        reports.throttle(900)
    for number in range(30):
        with queue(f"tenant-{number:02}") as tenant:
            tenant.push(number)
    with queue("tenant-07") as tenant:
        tenant.pause()
    return int(dead), letters


def work(url: str, over: threading.Event) -> None:
    """Push and take jobs, so that there is something to see."""
    with SyncQueue("thumbnails", url=url) as queue:
        turn = 0
        while not over.wait(0.05):
            turn += 1
            queue.push_batch([{"n": n} for n in range(20 + turn % 40)])
            jobs = queue.pull_batch(30 + turn % 17, timeout=0)
            queue.ack_batch(jobs[1:])
            if jobs:
                queue.fail(jobs[0], "it was busy")


def shoot(browser: Any, place: str, dead: int, folder: Path) -> None:
    """Take all pictures."""
    views = {
        "overview": "",
        "queues": "queues",
        "queue": "queue/thumbnails",
        "limited": "queue/letters?state=active",
        "groups": "queue/api?state=groups",
        "dead": "jobs?state=dead&queue=letters",
        "jobs": "jobs?queue=letters&contains=ada",
        "job": f"job/{dead}",
        "crons": "crons",
    }
    for width, scheme in itertools.product(HEIGHT, ("light", "dark")):
        size = {"width": width, "height": HEIGHT[width]}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        for name, path in views.items():
            page = context.new_page()
            page.goto(f"{place}#/{path}")
            page.wait_for_timeout(SHOWN_MS)
            shot = folder / f"{name}-{scheme}-{width}.png"
            page.screenshot(path=shot, full_page=True)
            page.close()
        context.close()


def main() -> None:
    """Serve, fill, work, and shoot."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with ServerProcess("--core", "python", "--http", "127.0.0.1:0") as server:
        (at,) = (line for line in server.announced if line.startswith("HTTP at "))
        url = f"127.0.0.1:{server.port}"
        dead, holder = fill(url)
        over = threading.Event()
        worker = threading.Thread(target=work, args=(url, over))
        worker.start()
        try:
            with sync_api.sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                shoot(browser, f"http://{at.removeprefix('HTTP at ')}/", dead, folder)
                browser.close()
        finally:
            over.set()
            worker.join()
            holder.close()


if __name__ == "__main__":
    main()
