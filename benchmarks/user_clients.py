"""What a program sees that uses a Python client: ours, or beanstalkd's greenstalk.

    python -m benchmarks.user_clients awaited_push --client ours --port 6789 --jobs 900

Each with what it does by itself. `latency` has a producer and a worker, two processes; the
worker's handler tells when it began, by the clock that all processes share.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time

from benchmarks.processes import import_sources

PAUSE_S = 0.003
_WARM = 20
_QUEUE = "bench"


class Ours:
    """Our client, without asyncio."""

    def __init__(self, port):
        from magicqueue import SyncQueue  # noqa: PLC0415 - its sources are found by then

        self._url = f"127.0.0.1:{port}"
        self.queue = SyncQueue(_QUEUE, url=self._url)

    def push_all(self, jobs):
        """Push jobs, each awaited; gives what each took, in seconds."""
        return timed(lambda number: self.queue.push({"i": number}), jobs)

    def work(self, started):
        """Run a worker whose handler calls this."""
        from magicqueue import SyncWorker  # noqa: PLC0415 - as above

        SyncWorker(_QUEUE, lambda _: started(), url=self._url).run()


class OursAsyncio(Ours):
    """Our client with asyncio."""

    def push_all(self, jobs):
        """Push jobs, each awaited; gives what each took, in seconds."""
        return asyncio.run(self._push_all(jobs))

    async def _push_all(self, jobs):
        from magicqueue import Queue  # noqa: PLC0415 - as above

        took = []
        async with Queue(_QUEUE, url=self._url) as queue:
            for number in range(jobs):
                begun = time.perf_counter()
                await queue.push({"i": number})
                took.append(time.perf_counter() - begun)
        return took

    def work(self, started):
        """Run a worker whose handler calls this."""
        from magicqueue import Worker  # noqa: PLC0415 - as above

        async def handler(_job):
            started()

        asyncio.run(Worker(_QUEUE, handler, url=self._url).run())


class Greenstalk:
    """beanstalkd's client; it sends text, so jobs are made JSON here, as ours does."""

    def __init__(self, port):
        import greenstalk  # noqa: PLC0415 - may not be installed

        # a tube for this process and its worker: no command empties one
        tube = f"bench-{os.getpgrp()}"
        self._client = greenstalk.Client(("127.0.0.1", port), use=tube, watch=tube)
        self.queue = self

    def push(self, data):
        """Put a job."""
        self._client.put(json.dumps(data))

    def push_all(self, jobs):
        """Put jobs, each awaited; gives what each took, in seconds."""
        return timed(lambda number: self.push({"i": number}), jobs)

    def work(self, started):
        """Reserve, handle, delete, for ever."""
        while True:
            job = self._client.reserve()
            json.loads(job.body)
            started()
            self._client.delete(job)


CLIENTS = {"ours": Ours, "ours_asyncio": OursAsyncio, "greenstalk": Greenstalk}


def timed(push, jobs):
    """Give what each call took."""
    took = []
    for number in range(jobs):
        begun = time.perf_counter()
        push(number)
        took.append(time.perf_counter() - begun)
    return took


def awaited_push(client, port, jobs):
    """Push one job after the other."""
    queue = client(port)
    queue.push_all(max(1, jobs // 10))
    return queue.push_all(jobs)


def work(client, port, pipe):
    """Be the worker."""
    client(port).work(lambda: pipe.send(time.perf_counter()))


def latency(client, port, jobs):
    """Push a job to an idle worker again and again."""
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=work, args=(client, port, there), daemon=True)
    worker.start()
    queue, took = client(port).queue, []
    for number in range(_WARM + jobs):
        begun = time.perf_counter()
        queue.push({"i": number})
        took.append(here.recv() - begun)
        time.sleep(PAUSE_S)
    worker.kill()
    worker.join()
    return took[_WARM:]


def main():
    """Measure one thing, and say it as JSON."""
    import_sources()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("awaited_push", "latency"))
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    options = parser.parse_args()
    measure = {"awaited_push": awaited_push, "latency": latency}[options.what]
    took = measure(CLIENTS[options.client], options.port, options.jobs)
    parts = statistics.quantiles(took, n=1000, method="inclusive")
    found = {"per_s": len(took) / sum(took)}
    for name, place in (("p50_us", 499), ("p99_us", 989), ("p999_us", 998)):
        found[name] = parts[place] * 1e6
    print(json.dumps(found))


if __name__ == "__main__":
    main()
