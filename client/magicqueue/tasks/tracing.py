"""OpenTelemetry for tasks: spans, the context that travels with a call, and metrics.

    from magicqueue.tasks.tracing import Tracing

    tasks = Tasks("emails", middleware=[Tracing()])

Where a call is pushed there is a span `create emails` (a producer's), and the call carries
its context as `traceparent` among the headers. Where it runs there is `process emails` (a
consumer's), which is the current span of the task. It links to the producer's, as the
conventions for messaging want it, since a job may run days later and several times; with
`child=True` it is its child, in one trace. All records of the job say `trace_id` and
`span_id`.

Names are those of the semantic conventions for messaging, which are still being developed:
https://opentelemetry.io/docs/specs/semconv/messaging/. It needs `opentelemetry-api`;
without an SDK that somebody has set up it does next to nothing.
"""

import time
from typing import Any, Final

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from magicqueue import commands
from magicqueue.failures import Retry
from magicqueue.job_log import label
from magicqueue.plain_text import plain
from magicqueue.tasks.middleware import Middleware, Pushing, Run

_SYSTEM: Final = "magicqueue"
_SCOPE: Final = "magicqueue"
_NOTE: Final = "magicqueue tracing"


class Tracing(Middleware):
    """Traces and counts tasks. child: a run is in the trace of its push, not linked to it.

    Without providers those of the process are taken, as `opentelemetry` has them set.
    """

    def __init__(
        self,
        *,
        child: bool = False,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._child = child
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Calls of tasks pushed"
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Attempts at tasks"
        )
        self._duration = meter.create_histogram(
            "messaging.process.duration", "s", "How long an attempt at a task took"
        )

    def pushing(self, call: Pushing) -> None:
        """Have the call carry the context of its producer's span."""
        about = _attributes("create", call.task, call.queue)
        with self._tracer.start_as_current_span(
            f"create {call.queue}", kind=SpanKind.PRODUCER, attributes=about
        ):
            propagate.inject(call.headers)
        self._sent.add(1, about)

    def before(self, run: Run) -> None:
        """Begin the consumer's span, and have it be the current one."""
        about = _attributes("process", run.task, run.job.queue)
        sent = propagate.extract(run.headers)
        producer = trace.get_current_span(sent).get_span_context()
        links = [Link(producer)] if producer.is_valid and not self._child else []
        alone = trace.set_span_in_context(trace.INVALID_SPAN, sent)  # with its baggage
        span = self._tracer.start_span(
            f"process {run.job.queue}",
            context=sent if self._child else alone,
            kind=SpanKind.CONSUMER,
            links=links,
            attributes={
                **about,
                "messaging.message.id": str(run.job.id),
                "magicqueue.job.attempt": run.job.attempts,
            },
        )
        token = context.attach(trace.set_span_in_context(span, sent))
        here = span.get_span_context()
        if here.is_valid:
            label(
                run.job,
                trace_id=trace.format_trace_id(here.trace_id),
                span_id=trace.format_span_id(here.span_id),
            )
        run.notes[_NOTE] = (span, token, about, time.monotonic())

    def after(self, run: Run, result: Any) -> None:
        """End the span."""
        del result
        self._end(run, None)

    def error(self, run: Run, error: BaseException) -> None:
        """End the span with the error."""
        self._end(run, error)

    def _end(self, run: Run, error: BaseException | None) -> None:
        if _NOTE not in run.notes:  # a hook before this one has raised
            return
        span, token, about, began = run.notes.pop(_NOTE)
        if error is not None:
            about = {**about, "error.type": type(error).__qualname__}
            span.set_attribute("error.type", type(error).__qualname__)
            if not isinstance(error, Retry):
                span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, plain(commands.message_of(error))))
        self._consumed.add(1, about)
        self._duration.record(time.monotonic() - began, about)
        context.detach(token)
        span.end()


def _attributes(operation: str, task: str, queue: str) -> dict[str, str]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "magicqueue.task": task,
    }
