"""Kernels keep to what compiles ahead of time: this reads their source."""

import ast
from pathlib import Path

import pytest

import magicqueue_cores.kernels

_FOLDER = Path(magicqueue_cores.kernels.__file__).parent
_NOT_KERNELS = {"__init__", "ahead", "cache", "entry", "jit", "intrinsics", "layout"}
_NOT_KERNELS |= {"progress", "sources"}
_MODULES = sorted(p for p in _FOLDER.glob("*.py") if p.stem not in _NOT_KERNELS)
_FORBIDDEN = (
    ast.Raise,
    ast.Try,
    ast.Assert,
    ast.With,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.Lambda,
    ast.Slice,
    ast.JoinedStr,
    ast.Yield,
    ast.Starred,
)
_NUMPY = {"int64", "int32", "uint64"}


def _kernels(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]


def test_there_are_kernels() -> None:
    assert sum(len(_kernels(path)) for path in _MODULES) > 100


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.stem)
def test_every_function_has_one_decorator(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.FunctionDef) or node.name == "_text":
            continue
        (decorator,) = node.decorator_list
        if isinstance(decorator, ast.Call):
            assert isinstance(decorator.func, ast.Name)
            assert decorator.func.id == "kernel"
            (signature,) = decorator.args
            assert isinstance(signature, ast.Constant)
            assert isinstance(signature.value, str)
            arguments = signature.value.split("(")[1].rstrip(")").split(", ")
            assert len(arguments) == len(node.args.args), f"{node.name}: its signature"
            assert arguments[0] == "int64[::1]"
        else:
            assert isinstance(decorator, ast.Name)
            assert decorator.id in {"part", "inlined"}


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.stem)
def test_kernels_raise_and_allocate_nothing(path: Path) -> None:
    for function in _kernels(path):
        assert function.returns is not None, f"{function.name} does not say what it gives"
        for node in ast.walk(function):
            where = f"{path.name}:{getattr(node, 'lineno', 0)} in {function.name}"
            assert not isinstance(node, _FORBIDDEN), f"{where}: {type(node).__name__}"
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np":
                assert node.attr in _NUMPY, f"{where}: np.{node.attr}"
            if isinstance(node, ast.BinOp):
                assert not isinstance(node.op, ast.Div | ast.Pow), f"{where}: a float"


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.stem)
def test_kernels_only_import_kernels(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            inside = node.module.startswith("magicqueue_cores.kernels")
            assert inside or node.module == "typing"
