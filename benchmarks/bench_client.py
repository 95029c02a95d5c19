"""Moved by client/magicqueue/, and by the server that answers it (hence both cores).

The client as a user has it: batches, gathered pushes, workers. The first three are the
workloads of the Rust original: 100,000 jobs in batches of 5,000, then processing them with
a handler that does nothing, and with one that computes (some 10 µs of CPU a job).
"""

import asyncio
import atexit
import hashlib

from benchmarks.in_process import CORES, new_core
from benchmarks.processes import end, start_server
from benchmarks.workloads import sized
from magicqueue import Queue, SyncQueue, SyncWorker, Worker

JOBS = sized(100_000, 20_000, 500)
BATCH = sized(5_000, 5_000, 100)
FEW = sized(5_000, 2_000, 100)

_addresses = {}


def address_of(core):
    """Give the address of this process's server with that core; it ends with us."""
    if core not in _addresses:
        new_core(core)
        process, port = start_server(core)
        atexit.register(end, process)
        _addresses[core] = f"127.0.0.1:{port}"
    return _addresses[core]


def nothing(_job):
    """Do nothing."""


async def nothing_async(_job):
    """Do nothing, as a task."""


def compute(job):
    """Hash some bytes."""
    hashlib.sha256(b"%d" % job.data["i"] * 2_000).digest()


class Client:
    params = [CORES]
    param_names = ["core"]
    number = 1
    repeat = sized((3, 5, 10.0), 1, 1)
    rounds = 1
    warmup_time = 0.0
    timeout = 120
    items = [{"i": number} for number in range(JOBS)]

    def setup(self, core):
        self.url = address_of(core)

    def teardown(self, core):
        with SyncQueue("bench", self.url) as queue:
            queue.drain()


class Push(Client):
    jobs = JOBS

    def time_push_batch_5000(self, core):
        async def run():
            async with Queue("bench", self.url) as queue:
                for at in range(0, JOBS, BATCH):
                    await queue.push_batch(self.items[at : at + BATCH])

        asyncio.run(run())

    def time_push_many(self, core):
        async def run():
            async with Queue("bench", self.url) as queue:
                await queue.push_many(self.items)

        asyncio.run(run())

    def time_sync_push_batch_5000(self, core):
        with SyncQueue("bench", self.url) as queue:
            for at in range(0, JOBS, BATCH):
                queue.push_batch(self.items[at : at + BATCH])


class PushFew(Client):
    jobs = FEW

    def time_push_gathered(self, core):
        async def run():
            async with Queue("bench", self.url) as queue:
                await asyncio.gather(*[queue.push(item) for item in self.items[:FEW]])

        asyncio.run(run())

    def time_push_one_at_a_time(self, core):
        async def run():
            async with Queue("bench", self.url) as queue:
                for item in self.items[:FEW]:
                    await queue.push(item)

        asyncio.run(run())

    def time_sync_push_one_at_a_time(self, core):
        with SyncQueue("bench", self.url) as queue:
            for item in self.items[:FEW]:
                queue.push(item)


class Work(Client):
    jobs = JOBS

    def setup(self, core):
        super().setup(core)
        with SyncQueue("bench", self.url) as queue:
            queue.push_many(self.items)

    def work(self, handler, **options):
        async def run():
            done = 0

            def counted(job):
                nonlocal done
                handler(job)
                done += 1
                if done == JOBS:
                    worker.request_stop()

            async def counted_async(job):
                nonlocal done
                await handler(job)
                done += 1
                if done == JOBS:
                    worker.request_stop()

            chosen = counted if options.get("inline") else counted_async
            worker = Worker("bench", chosen, url=self.url, **options)
            await worker.run(signals=False)
            if worker.completed != JOBS:
                raise AssertionError(f"{worker.completed} of {JOBS} jobs were completed")

        asyncio.run(run())

    def time_process_nothing(self, core):
        self.work(nothing, inline=True, batch_size=1_000)

    def time_process_cpu(self, core):
        self.work(compute, inline=True, batch_size=1_000)

    def time_process_nothing_async(self, core):
        self.work(nothing_async, concurrency=1_000, batch_size=1_000)

    def time_process_nothing_sync(self, core):
        done = 0

        def counted(_job):
            nonlocal done
            done += 1
            if done == JOBS:
                worker.request_stop()

        worker = SyncWorker("bench", counted, url=self.url, batch_size=1_000)
        worker.run(signals=False)
        if worker.completed != JOBS:
            raise AssertionError(f"{worker.completed} of {JOBS} jobs were completed")


del Client
