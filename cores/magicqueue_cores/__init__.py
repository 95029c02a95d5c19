"""Interchangeable cores: what holds the jobs and decides what happens to them.

`contract` is the one interface; `make_core` is the only place that names the cores.
"""

import importlib.util
import logging

from magicqueue_cores.contract import Core, CoreOptions, OnReady, RecordSink
from magicqueue_cores.line_contract import WireDefaults

__all__ = ["CORE_NAMES", "array_kernels", "make_core"]

CORE_NAMES = ("auto", "array", "python")

_log = logging.getLogger("magicqueue.cores")


def make_core(
    name: str,
    options: CoreOptions,
    *,
    on_ready: OnReady | None = None,
    record: RecordSink | None = None,
    wire: WireDefaults | None = None,
) -> Core:
    """Make a core by name.

    name: "python"; "array", which raises ImportError with a sentence that says what is
    missing (or MemoryError, ValueError: see `ArrayCore`); or "auto", the fastest that can
    run here: `core.name` says which that is. wire: what a core that executes lines must
    know of the protocol. The first "array" ever compiles its kernels for some seconds.
    """
    if name not in CORE_NAMES:
        raise ValueError(
            f"there is no core {name!r}: choose one of {', '.join(CORE_NAMES)}"
        )
    if name == "array":
        return _array_core(options, on_ready, record, wire)
    if name == "auto":
        try:
            return _array_core(options, on_ready, record, wire, quick=True)
        except (ImportError, MemoryError, ValueError) as error:
            _log.warning("%s; the python core runs instead", error)
    from magicqueue_cores.python_core import PythonCore  # noqa: PLC0415 - only if chosen

    return PythonCore(options, on_ready=on_ready, record=record)


def _array_core(
    options: CoreOptions,
    on_ready: OnReady | None,
    record: RecordSink | None,
    wire: WireDefaults | None,
    *,
    quick: bool = False,
) -> Core:
    """Make the array core; `quick` refuses it where kernels are not compiled."""
    try:
        from magicqueue_cores.kernels import entry  # noqa: PLC0415 - numba may be missing

        if quick:
            entry.require_compiled()
        from magicqueue_cores.array_core import ArrayCore  # noqa: PLC0415 - the same
    except ImportError as error:
        raise ImportError(
            f"the array core cannot run here ({error}): install magicqueue[array], or "
            "choose the python core"
        ) from error
    return ArrayCore(options, on_ready=on_ready, record=record, wire=wire)


def array_kernels() -> str:
    """Say how the array core's kernels run here, without compiling any."""
    from magicqueue_cores.kernels import ahead  # noqa: PLC0415 - only if asked

    built = ahead.extension()
    if built is not None:
        return f"compiled ahead of time for {built.LEVEL}"
    if importlib.util.find_spec("numba") is not None:
        return "compiled by numba for this processor"
    return "not here, it needs magicqueue[array]"
