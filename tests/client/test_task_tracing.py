"""OpenTelemetry for tasks, where its SDK is installed."""

import asyncio
import logging
from typing import Any

import pytest

from magicqueue import Discard, JobLogFilter, SyncQueue, Tasks
from magicqueue_server.testing import in_memory

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from magicqueue.tasks.tracing import Tracing


class Telemetry:
    """What was told, and a middleware that tells it."""

    def __init__(self, *, child: bool) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.middleware = Tracing(
            child=child,
            tracer_provider=self.tracers,
            meter_provider=MeterProvider([self.reader]),
        )

    def spans(self, start: str) -> list[Any]:
        every = self.exporter.get_finished_spans()
        return [span for span in every if span.name.startswith(start)]

    def metrics(self) -> dict[str, list[Any]]:
        data: Any = self.reader.get_metrics_data()
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize("child", [False, True])
def test_a_run_leads_to_its_push(kind: str, *, child: bool) -> None:
    telemetry = Telemetry(child=child)
    tasks = Tasks("mail", middleware=[telemetry.middleware])
    tracer = telemetry.tracers.get_tracer("test")

    def body() -> None:
        with tracer.start_as_current_span("inside"):
            pass

    async def in_loop() -> None:
        await asyncio.sleep(0)
        body()

    work: Any = tasks.task(name="work")(in_loop if kind == "async" else body)
    with in_memory() as here, tracer.start_as_current_span("request") as request:
        pushed = work.push_sync()
        assert trace.get_current_span() is request
        here.run_all_sync(tasks)
        assert trace.get_current_span() is request
    (create,) = telemetry.spans("create mail")
    (process,) = telemetry.spans("process mail")
    (inside,) = telemetry.spans("inside")
    assert create.parent.span_id == request.get_span_context().span_id
    assert create.kind is trace.SpanKind.PRODUCER
    assert process.kind is trace.SpanKind.CONSUMER
    assert inside.parent.span_id == process.context.span_id
    if child:
        assert process.parent.span_id == create.context.span_id
        assert process.links == ()
    else:
        assert process.parent is None
        assert [link.context.span_id for link in process.links] == [create.context.span_id]
    assert dict(process.attributes) == {
        "messaging.system": "magicqueue",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": str(pushed.id),
        "magicqueue.task": "work",
        "magicqueue.job.attempt": 1,
    }
    assert process.status.is_unset


def test_failures_and_counts_are_told() -> None:
    telemetry = Telemetry(child=False)
    tasks = Tasks("mail", middleware=[telemetry.middleware])

    @tasks.task(max_attempts=1)
    async def fails(word: str) -> None:
        if word == "discard":
            raise Discard("bad address")
        if word == "fail":
            raise ValueError("no")

    with in_memory() as here:
        for word in ("well", "fail", "discard"):
            fails.push_sync(word)
        here.run_all_sync(tasks, raises=False)
    well, failed, discarded = telemetry.spans("process")
    assert well.status.is_unset
    assert failed.attributes["error.type"] == "ValueError"
    assert failed.status.description == "ValueError: no"
    assert failed.events[0].name == "exception"
    assert discarded.attributes["error.type"] == "Discard"
    told = telemetry.metrics()
    assert [point.value for point in told["messaging.client.sent.messages"]] == [3]
    consumed = told["messaging.client.consumed.messages"]
    errors = {point.attributes.get("error.type") for point in consumed}
    assert errors == {None, "ValueError", "Discard"}
    assert sum(point.count for point in told["messaging.process.duration"]) == 3


def test_records_of_a_job_say_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry(child=False)
    tasks = Tasks("mail", middleware=[telemetry.middleware])

    @tasks.task
    async def work() -> None:
        logging.getLogger("app").warning("here")

    caplog.handler.addFilter(JobLogFilter())
    with in_memory() as here:
        work.push_sync()
        here.run_all_sync(tasks)
    (process,) = telemetry.spans("process")
    labels = vars(caplog.records[-1])["labels"]
    assert labels == {
        "task": "work",
        "trace_id": trace.format_trace_id(process.context.trace_id),
        "span_id": trace.format_span_id(process.context.span_id),
    }


def test_pushes_from_elsewhere_have_no_producer() -> None:
    telemetry = Telemetry(child=False)
    tasks = Tasks("mail", middleware=[telemetry.middleware])

    @tasks.task
    async def work() -> None: ...

    with in_memory() as here, SyncQueue("mail") as queue:
        queue.push({"task": "work", "headers": {"traceparent": "nonsense"}})
        here.run_all_sync(tasks)
    (process,) = telemetry.spans("process")
    assert process.links == ()
    assert process.parent is None
