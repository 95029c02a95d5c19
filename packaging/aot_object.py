"""Compile the kernels' entry points for one x86-64 level, into an object file.

A process for each level (`aot.py` starts them), since numba compiles for one processor in
its life: NUMBA_CPU_NAME says which, and NUMBA_CPU_FEATURES must be empty, or the features
of the machine that builds would slip in.

An entry point is compiled on a pointer instead of an array, so that nothing of numba's
own library is used. numba's calling convention (a status, the result by pointer) is
wrapped; all symbols but the wrappers become internal, and LLVM optimises the whole once
more, with nothing of the status left.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm
from numba.core import types
from numba.core.compiler import Flags, compile_extra
from numba.core.registry import cpu_target

from magicqueue_cores.kernels import jit

Entries = list[tuple[str, Any, int]]
_SPEED: Final = 3


def entries() -> Entries:
    """Import the kernels without compiling them; gives name, function and arguments."""
    found: Entries = []

    def collect(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
        found.append((function.__name__, function, signature.count(",")))
        return function

    jit.compile_entry = collect
    from magicqueue_cores.kernels import descriptors, driver, verbs  # noqa: F401, PLC0415 - see above

    return found


def lowered(function: Any, numbers: int) -> tuple[str, str]:
    """Compile by numba; gives the LLVM module and the function's name in it."""
    flags = Flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    made = compile_extra(
        cpu_target.typing_context,
        cpu_target.target_context,
        function,
        (types.CPointer(types.int64), *[types.int64] * numbers),
        types.int64,
        flags,
        {},
    )
    return made.library.get_llvm_str(), made.fndesc.llvm_func_name


def wrapper(symbol: str, callee: str, numbers: int) -> str:
    """Give the LLVM text of a plain C function around numba's."""
    values = "".join(f", i64 %a{n}" for n in range(numbers))
    kinds = ", i64" * numbers
    return f"""
declare i32 @"{callee}"(ptr, ptr, ptr{kinds})

define i64 @{symbol}(ptr %memory{values}) {{
  %result = alloca i64
  %error = alloca ptr
  %status = call i32 @"{callee}"(ptr %result, ptr %error, ptr %memory{values})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""


def joined(found: Entries, suffix: str) -> llvm.ModuleRef:
    """Make one module of all entry points, with only the wrappers to be seen."""
    module: Any = None
    exported = set()
    for name, function, numbers in found:
        text, callee = lowered(function, numbers)
        symbol = f"mq_{name}_{suffix}"
        exported.add(symbol)
        heads = "\n".join(re.findall(r"^target .*$", text, re.MULTILINE))
        for part in (text, heads + wrapper(symbol, callee, numbers)):
            parsed = llvm.parse_assembly(part)
            module = parsed if module is None else module.link_in(parsed) or module
    for symbol in (*module.functions, *module.global_variables):
        if not symbol.is_declaration and symbol.name not in exported:
            symbol.linkage = "internal"
    return module


def emitted(module: llvm.ModuleRef, level: str) -> bytes:
    """Optimise the module and give the object for one level of processors."""
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=level, features="", opt=_SPEED, reloc="pic", codemodel="default"
    )
    options = llvm.create_pipeline_tuning_options(speed_level=_SPEED)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    module.verify()
    data: bytes = machine.emit_object(module)
    return data


def main() -> None:
    """Write the object file, and to standard output how many numbers each entry takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", required=True)
    parser.add_argument("--suffix", required=True)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    if os.environ.get("NUMBA_CPU_FEATURES") or "NUMBA_CPU_NAME" not in os.environ:
        parser.error("set NUMBA_CPU_NAME to the level and NUMBA_CPU_FEATURES to nothing")
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    llvm.initialize_all_asmprinters()
    found = entries()
    asked.output.write_bytes(emitted(joined(found, asked.suffix), asked.level))
    numbers = {name: count for name, _, count in found}
    sys.stdout.write(json.dumps(numbers))


if __name__ == "__main__":
    main()
