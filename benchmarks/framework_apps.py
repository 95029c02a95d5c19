"""The same task in every framework, and how each pushes it and runs its worker.

Each class is one framework: `push` awaits one push, `push_many` stores many in the quickest
way that it offers, `worker` is the command line of one worker process, as its documentation
has it. What it needs is imported when it is made, as it may not be installed. Workers load
this module, too: those whose command line names an object find it as a name of it.

The task tells the time at which it began to a socket of the benchmark's; it costs all the
same, and works wherever a framework runs it: a task, a thread or a process of its own.
"""

import asyncio
import os
import socket
import struct
import sys
import time

TOLD, PORT = "BENCH_TOLD", "BENCH_PORT"
"""Names of variables: where the task tells that it began, and the server's port."""
QUEUE = "bench"
CONCURRENCY = 50

_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def began(_number):
    """Be the task: tell when it began."""
    _socket.sendto(struct.pack("d", time.perf_counter()), os.environ[TOLD])


def redis_url():
    """Say where Redis is."""
    return f"redis://127.0.0.1:{os.environ.get(PORT, '0')}"


def module(*words):
    """Make the command line of a module."""
    return [sys.executable, "-m", *words]


class Plain:
    """What a framework without asyncio is asked; its pushes block."""

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        self.push_now(number)

    async def push_many(self, count):
        """Push many calls."""
        for number in range(count):
            self.push_now(number)

    async def close(self):
        """End it."""


class Gathers:
    """What a framework with asyncio is asked that has no way to push many at once."""

    async def push_many(self, count):
        """Push many calls, a hundred at once."""
        for start in range(0, count, 100):
            numbers = range(start, min(start + 100, count))
            await asyncio.gather(*(self.push(number) for number in numbers))


class MagicQueue:
    """Ours."""

    server = "magicqueue"

    def __init__(self):
        from magicqueue import Tasks  # noqa: PLC0415 - its sources are found by then

        self.tasks = Tasks(QUEUE, url=f"127.0.0.1:{os.environ.get(PORT, '6789')}")

        async def task(number: int) -> None:
            began(number)

        self.task = self.tasks.task(name="began")(task)

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        await self.task.push(number)

    async def push_many(self, count):
        """Push many calls."""
        await self.task.push_many([(number,) for number in range(count)])

    def worker(self):
        """Run a worker with its own defaults."""
        return module("magicqueue", "worker", "benchmarks.framework_apps:magicqueue")

    async def close(self):
        """End it."""
        await self.tasks.close()


class Celery(Plain):
    """Celery with Redis; one prefork process, no results."""

    server = "redis"

    def __init__(self):
        import celery  # noqa: PLC0415 - may not be installed

        self.app = celery.Celery(QUEUE, broker=redis_url())
        self.app.conf.task_ignore_result = True
        self.app.conf.worker_hijack_root_logger = False
        self.task = self.app.task(name="began")(began)

    def push_now(self, number):
        """Push one call."""
        self.task.delay(number)

    def worker(self):
        """Run one process."""
        words = ["-A", "benchmarks.framework_apps:celery", "worker", "-c", "1"]
        return module(
            "celery", *words, "--without-gossip", "--without-mingle", "-l", "ERROR"
        )


class Dramatiq(Plain):
    """Dramatiq with Redis; one process with its 8 threads."""

    server = "redis"

    def __init__(self):
        import dramatiq  # noqa: PLC0415 - may not be installed
        from dramatiq.brokers.redis import RedisBroker  # noqa: PLC0415 - as above

        self.broker = RedisBroker(url=redis_url())
        dramatiq.set_broker(self.broker)
        self.task = dramatiq.actor(began, actor_name="began", broker=self.broker)

    def push_now(self, number):
        """Push one call."""
        self.task.send(number)

    def worker(self):
        """Run one process."""
        return module(
            "dramatiq", "benchmarks.framework_apps:dramatiq", "-p", "1", "-t", "8"
        )


class Rq(Plain):
    """RQ; its SimpleWorker, which does not fork for each job."""

    server = "redis"

    def __init__(self):
        import redis  # noqa: PLC0415 - may not be installed
        import rq  # noqa: PLC0415 - as above

        self.rq = rq
        self.queue = rq.Queue(QUEUE, connection=redis.Redis.from_url(redis_url()))

    def push_now(self, number):
        """Push one call."""
        self.queue.enqueue(began, number, result_ttl=0)

    async def push_many(self, count):
        """Push many calls in one pipeline."""
        calls = [
            self.rq.Queue.prepare_data(began, (number,), result_ttl=0)
            for number in range(count)
        ]
        self.queue.enqueue_many(calls)

    def worker(self):
        """Run one process."""
        words = ["worker", "--url", redis_url(), "-w", "rq.SimpleWorker", "--quiet", QUEUE]
        return module("rq.cli", *words)


class Taskiq(Gathers):
    """taskiq with a Redis list; one process."""

    server = "redis"

    def __init__(self):
        from taskiq_redis import ListQueueBroker  # noqa: PLC0415 - may not be installed

        self.broker = ListQueueBroker(url=redis_url())

        async def task(number: int) -> None:
            began(number)

        self.task = self.broker.task(task_name="began")(task)

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        await self.task.kiq(number)

    def worker(self):
        """Run one process."""
        words = ["worker", "benchmarks.framework_apps:taskiq", "--workers", "1"]
        return module("taskiq", *words, "--log-level", "ERROR")

    async def close(self):
        """End it."""
        await self.broker.shutdown()


class Arq(Gathers):
    """arq; one process, which polls twice a second as it does by itself."""

    server = "redis"

    def __init__(self):
        import arq  # noqa: PLC0415 - may not be installed
        from arq.connections import RedisSettings  # noqa: PLC0415 - as above

        self.arq = arq
        self.pool = None

        async def task(_context, number):
            began(number)

        self.settings = type(
            "Settings",
            (),
            {
                "functions": [arq.worker.func(task, name="began", keep_result=0)],
                "redis_settings": RedisSettings.from_dsn(redis_url()),
                "max_jobs": CONCURRENCY,
            },
        )

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        if self.pool is None:
            self.pool = await self.arq.create_pool(self.settings.redis_settings)
        await self.pool.enqueue_job("began", number)

    def worker(self):
        """Run one process."""
        return module("arq", "benchmarks.framework_apps.arq")

    async def close(self):
        """End it."""
        if self.pool is not None:
            await self.pool.aclose()


class Saq(Gathers):
    """saq with Redis; one process."""

    server = "redis"

    def __init__(self):
        import saq  # noqa: PLC0415 - may not be installed

        self.queue = saq.Queue.from_url(redis_url())

        async def task(_context, *, number):
            began(number)

        self.settings = {
            "queue": self.queue,
            "functions": [("began", task)],
            "concurrency": CONCURRENCY,
        }

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        await self.queue.enqueue("began", number=number, ttl=-1)

    def worker(self):
        """Run one process."""
        return module("saq", "benchmarks.framework_apps.saq", "--quiet")

    async def close(self):
        """End it."""
        await self.queue.disconnect()


class Procrastinate:
    """procrastinate with PostgreSQL; one process."""

    server = "postgresql"

    def __init__(self):
        import procrastinate  # noqa: PLC0415 - may not be installed

        port = os.environ.get(PORT, "0")
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
        self.is_open = False

        async def task(number: int) -> None:
            began(number)

        self.task = self.app.task(name="began")(task)

    async def push(self, number):
        """Push one call, and wait until it is stored."""
        await self._open()
        await self.task.defer_async(number=number)

    async def push_many(self, count):
        """Push many calls in one statement."""
        await self._open()
        await self.task.batch_defer_async(*({"number": number} for number in range(count)))

    def worker(self):
        """Run one process."""
        words = ["--app", "benchmarks.framework_apps.procrastinate", "worker"]
        return module("procrastinate", *words, "--concurrency", str(CONCURRENCY))

    async def close(self):
        """End it."""
        if self.is_open:
            await self.app.close_async()

    async def _open(self):
        if not self.is_open:
            await self.app.open_async()
            self.is_open = True
            if not await self.app.check_connection_async():
                await self.app.schema_manager.apply_schema_async()


FRAMEWORKS = {
    "MagicQueue": MagicQueue,
    "Celery": Celery,
    "Dramatiq": Dramatiq,
    "RQ": Rq,
    "taskiq": Taskiq,
    "arq": Arq,
    "saq": Saq,
    "procrastinate": Procrastinate,
}

_NAMED = {
    "magicqueue": lambda: MagicQueue().tasks,
    "celery": lambda: Celery().app,
    "dramatiq": lambda: Dramatiq().broker,
    "taskiq": lambda: Taskiq().broker,
    "arq": lambda: Arq().settings,
    "saq": lambda: Saq().settings,
    "procrastinate": lambda: Procrastinate().app,
}


def __getattr__(name):
    """Make what a worker's command line names."""
    if name not in _NAMED:
        raise AttributeError(name)
    made = globals()[name] = _NAMED[name]()
    return made
