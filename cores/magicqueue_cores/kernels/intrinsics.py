"""numba's side of `jit`: parts, and the LLVM form of what `jit` describes in Python.

A part is compiled as numba compiles its own helpers, as a subroutine of whatever entry
point needs it: no wrappers, no machine code of its own, optimised once, together with the
entry point. As functions in their own right the parts took three times as long. No
function here checks a bound: callers stay within the memory's regions.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, ARG001, D103, SLF001 - numba calls these; `jit` documents them

import inspect
from functools import partial

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import Flags, compile_internal
from numba.core.typing import signature as make_signature
from numba.extending import intrinsic

from magicqueue_cores.kernels.progress import progress

_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_PAIR = ir.VectorType(_I64, 2)
_RETURNS = {
    int: types.int64,
    bool: types.boolean,
    None: types.none,
    np.uint64: types.uint64,
}

_PARTS = {}


def _argument(kind):
    """The type a part takes for what it is given: integers are words."""
    kind = types.unliteral(kind)
    if isinstance(kind, types.Integer) and kind != types.uint64:
        return types.int64
    return kind


def _leave(library):
    """Stand for a library's own `finalize`."""
    library._finalized = True


def _compiled(context, function, signature, *, inlined):
    """Compile a part, once for each signature, to LLVM's language and no further.

    Its library is never finalised as others are, with what it needs linked in, optimised
    and made machine code: whoever needs the part links it and all that it needs.
    """
    made = _PARTS.get((function, signature))
    if made is None:
        flags = Flags()
        flags.error_model = "numpy"
        flags.forceinline = inlined
        flags.no_compile = True
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        library = context.codegen().create_library(function.__name__)
        library.finalize = partial(_leave, library)
        made = _PARTS[function, signature] = compile_internal(
            context.typing_context,
            context,
            library,
            function,
            signature.args,
            signature.return_type,
            flags,
            locals={},
        )
        progress.done += 1
    return made


def part(function, *, inlined):
    """Make a part of a function that says what it returns."""
    progress.parts += 1
    returns = _RETURNS[function.__annotations__["return"]]

    def typer(_typing, *arguments):
        def code(context, builder, signature, values):
            made = _compiled(context, function, signature, inlined=inlined)
            for library in (made.library, *made.library._linking_libraries):
                context.active_code_library.add_linking_library(library)
            return context.call_internal(builder, made.fndesc, signature, values)

        return make_signature(returns, *map(_argument, arguments)), code

    typer.__name__ = function.__name__
    typer.__doc__ = function.__doc__
    names = ("_typing", *inspect.signature(function).parameters)
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typer.__signature__ = inspect.Signature(
        [inspect.Parameter(name, positional) for name in names]
    )
    return intrinsic(typer)


def _at(builder, pointer, place, pointee):
    return builder.bitcast(builder.gep(pointer, [place]), pointee.as_pointer())


def _view(element, pointee):
    """The memory, an array or (compiled ahead of time) a pointer, as another pointer."""

    def typer(_typing, memory):
        def code(context, builder, signature, arguments):
            kind, data = signature.args[0], arguments[0]
            if isinstance(kind, types.Array):
                data = context.make_array(kind)(context, builder, data).data
            return builder.bitcast(data, pointee.as_pointer())

        return types.CPointer(element)(memory), code

    return typer


@intrinsic
def words_of(typing, memory):
    return _view(types.int64, _I64)(typing, memory)


@intrinsic
def halves_of(typing, memory):
    return _view(types.int32, _I32)(typing, memory)


@intrinsic
def bytes_of(typing, memory):
    return _view(types.uint8, _I8)(typing, memory)


@intrinsic
def load8(_typing, b, at):
    def code(context, builder, signature, arguments):
        return builder.load(_at(builder, *arguments, _I64), align=1, typ=_I64)

    return types.uint64(b, types.int64), code


@intrinsic
def store8(_typing, b, at, value):
    def code(context, builder, signature, arguments):
        pointer, place, number = arguments
        builder.store(number, _at(builder, pointer, place, _I64), align=1)
        return context.get_dummy_value()

    return types.void(b, types.int64, types.uint64), code


@intrinsic
def copy16(_typing, b, to, at):
    def code(context, builder, signature, arguments):
        pointer, target, source = arguments
        value = builder.load(_at(builder, pointer, source, _PAIR), align=1, typ=_PAIR)
        builder.store(value, _at(builder, pointer, target, _PAIR), align=1)
        return context.get_dummy_value()

    return types.void(b, types.int64, types.int64), code


@intrinsic
def lowest_byte(_typing, mask):
    def code(context, builder, signature, arguments):
        count = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(count, ir.Constant(_I64, 3))

    return types.int64(types.uint64), code


@intrinsic
def prefetch(_typing, w, at):
    def code(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        callee = builder.module.declare_intrinsic("llvm.prefetch", [_I8.as_pointer()], kind)
        flags = [ir.Constant(_I32, value) for value in (0, 3, 1)]
        builder.call(callee, [_at(builder, *arguments, _I8), *flags])
        return context.get_dummy_value()

    return types.void(w, types.int64), code


_DO_NOT_WAIT = 0x40
_NO_SIGNAL = 0x4000
"""MSG_DONTWAIT and MSG_NOSIGNAL, as Linux has them."""


def _system(name, result, *kinds):
    """Declare a function of the C library."""

    def declared(builder):
        kind = ir.FunctionType(result, kinds)
        return cgutils.get_or_insert_function(builder.module, kind, name)

    return declared


_recv = _system("recv", _I64, _I32, _I8.as_pointer(), _I64, _I32)
_send = _system("send", _I64, _I32, _I8.as_pointer(), _I64, _I32)
_epoll_wait = _system("epoll_wait", _I32, _I32, _I8.as_pointer(), _I32, _I32)


def _place(context, builder, kind, memory, at):
    """The address of a byte of the memory."""
    if isinstance(kind, types.Array):
        memory = context.make_array(kind)(context, builder, memory).data
    return builder.gep(builder.bitcast(memory, _I8.as_pointer()), [at])


def _transfer(function, flags):
    def code(context, builder, signature, arguments):
        memory, descriptor, at, size = arguments
        place = _place(context, builder, signature.args[0], memory, at)
        flag = ir.Constant(_I32, flags)
        number = builder.trunc(descriptor, _I32)
        return builder.call(function(builder), [number, place, size, flag])

    return code


@intrinsic
def receive_bytes(_typing, memory, descriptor, at, size):
    words = (types.int64,) * 3
    return types.int64(memory, *words), _transfer(_recv, _DO_NOT_WAIT)


@intrinsic
def send_bytes(_typing, memory, descriptor, at, size):
    flags = _DO_NOT_WAIT | _NO_SIGNAL
    return types.int64(memory, *(types.int64,) * 3), _transfer(_send, flags)


@intrinsic
def poll_events(_typing, memory, poller, at, most):
    def code(context, builder, signature, arguments):
        memory, poller, at, most = arguments
        place = _place(context, builder, signature.args[0], memory, at)
        numbers = [builder.trunc(number, _I32) for number in (poller, most)]
        at_once = ir.Constant(_I32, 0)
        count = builder.call(_epoll_wait(builder), [numbers[0], place, numbers[1], at_once])
        return builder.sext(count, _I64)

    return types.int64(memory, *(types.int64,) * 3), code
