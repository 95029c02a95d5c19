"""Interchangeable cores: what holds the jobs and decides what happens to them.

`contract` is the one interface; `make_core` is the only place that names the cores.
"""

import importlib.util
import logging

from magicqueue_cores.contract import Core, CoreOptions, OnReady, RecordSink
from magicqueue_cores.dead_letters import OnDeath
from magicqueue_cores.line_contract import BytesSink, WireDefaults

__all__ = ["CORE_NAMES", "array_kernels", "has_array_kernels", "make_core"]

CORE_NAMES = ("auto", "array", "python")

_NEEDS_NUMBA = "it needs numba (pip install 'numba>=0.61')"

_log = logging.getLogger("magicqueue.cores")


def make_core(  # noqa: PLR0913 - what surrounds it comes from outside
    name: str,
    options: CoreOptions,
    *,
    on_ready: OnReady | None = None,
    record: RecordSink | None = None,
    record_bytes: BytesSink | None = None,
    wire: WireDefaults | None = None,
    on_death: OnDeath | None = None,
) -> Core:
    """Make a core by name.

    name: "python"; "array", which raises ImportError with a sentence that says what is
    missing (or MemoryError, ValueError: see `ArrayCore`); or "auto", the fastest that can
    run here: `core.name` says which that is. wire: what a core that executes lines must
    know of the protocol. record_bytes: told in the place of `record`, by a core that can,
    of what lines did. on_death: told of jobs that become dead letters. The first "array"
    ever compiles its kernels: some 20 s of computing (`kernels.progress` says how far).
    """
    if name not in CORE_NAMES:
        raise ValueError(
            f"there is no core {name!r}: choose one of {', '.join(CORE_NAMES)}"
        )
    if name == "array":
        return _array_core(options, on_ready, record, record_bytes, wire, on_death)
    if name == "auto":
        try:
            return _array_core(
                options, on_ready, record, record_bytes, wire, on_death, quick=True
            )
        except (ImportError, MemoryError, ValueError) as error:
            # That numba is not installed is nothing to warn of: "auto" is meant for it.
            missing = isinstance(error.__cause__, ModuleNotFoundError)
            level = logging.DEBUG if missing else logging.WARNING
            _log.log(level, "%s; the python core runs instead", error)
    from magicqueue_cores.python_core import PythonCore  # noqa: PLC0415 - only if chosen

    return PythonCore(options, on_ready=on_ready, record=record, on_death=on_death)


def _array_core(  # noqa: PLR0913 - the same
    options: CoreOptions,
    on_ready: OnReady | None,
    record: RecordSink | None,
    record_bytes: BytesSink | None,
    wire: WireDefaults | None,
    on_death: OnDeath | None,
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
        need = f": {_NEEDS_NUMBA}" if isinstance(error, ModuleNotFoundError) else ""
        raise ImportError(
            f"the array core cannot run here ({error}){need}; the python core can"
        ) from error
    return ArrayCore(
        options,
        on_ready=on_ready,
        record=record,
        record_bytes=record_bytes,
        wire=wire,
        on_death=on_death,
    )


def has_array_kernels() -> bool:
    """Whether the array core's kernels are compiled, or can be, here."""
    from magicqueue_cores.kernels import ahead  # noqa: PLC0415 - only if asked

    return ahead.extension() is not None or importlib.util.find_spec("numba") is not None


def array_kernels() -> str:
    """Say how the array core's kernels run here, without compiling any."""
    from magicqueue_cores.kernels import ahead  # noqa: PLC0415 - only if asked

    built = ahead.extension()
    if built is not None:
        return f"compiled ahead of time for {built.LEVEL}"
    if has_array_kernels():
        return "compiled by numba for this processor"
    return f"not here, {_NEEDS_NUMBA}"
