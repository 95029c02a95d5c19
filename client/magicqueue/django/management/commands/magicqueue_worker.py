"""`manage.py magicqueue_worker`: run the tasks of a backend's queues, in threads."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from magicqueue.django.framework import task_backends
from magicqueue.errors import MagicQueueError
from magicqueue.loop_signals import signals_in_loop
from magicqueue.stop_signals import StopSignal
from magicqueue.worker import Worker
from magicqueue.worker_options import GRACE_S, THREADS


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Run tasks until Ctrl-C or SIGTERM."""

    help = (
        "Runs the tasks of a backend until Ctrl-C or SIGTERM: those that run are finished."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say what may be given."""
        parser.add_argument("--backend", default="default", help="an alias of TASKS")
        parser.add_argument(
            "-q", "--queue", action="append", help="one of its queues; again for more [all]"
        )
        parser.add_argument(
            "-c",
            "--concurrency",
            type=int,
            default=THREADS,
            help="tasks of a queue at once",
        )
        parser.add_argument(
            "--grace", type=float, default=GRACE_S, help="seconds that a stop waits"
        )

    def handle(self, **options: Any) -> None:
        """Work."""
        from magicqueue.django.backend import MagicQueueBackend  # noqa: PLC0415
        from magicqueue.django.running import run  # noqa: PLC0415

        backend = task_backends[options["backend"]]
        if not isinstance(backend, MagicQueueBackend):
            raise CommandError(f"TASKS[{options['backend']!r}] is no MagicQueueBackend")
        queues = options["queue"] or sorted(backend.queues)
        if not queues:
            raise CommandError("the backend takes any queue: say which by --queue")
        for queue in queues:
            if backend.queues and queue not in backend.queues:
                raise CommandError(f"TASKS[{backend.alias!r}] has no queue {queue!r}")
        workers = [
            Worker(
                queue,
                run,
                url=backend.url,
                concurrency=options["concurrency"],
                grace=options["grace"],
                **backend.access,
            )
            for queue in queues
        ]
        self.stderr.write(f"running the tasks of {', '.join(queues)}; Ctrl-C stops it")
        try:
            asyncio.run(_work(workers))
        except MagicQueueError as error:
            raise CommandError(str(error)) from error
        done = sum(worker.completed for worker in workers)
        failed = sum(worker.failed for worker in workers)
        self.stderr.write(f"stopped: {done} done, {failed} failed")


async def _work(workers: list[Worker]) -> None:
    def stop() -> None:
        for worker in workers:
            worker.request_stop()

    async with signals_in_loop(StopSignal(stop)):
        running = [asyncio.create_task(worker.run(signals=False)) for worker in workers]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop()
            await asyncio.gather(*running)
