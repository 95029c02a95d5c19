"""What arguments a task takes: checked when it is pushed, converted when it runs.

Hints are looked up at the first call, not when the function is declared: what they name may
be defined below it.
"""

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from keyword import iskeyword
from typing import Any, Final, get_type_hints

from msgspec import MsgspecError, Raw

from magicqueue.failures import Discard
from magicqueue.tasks.conversion import Read, Write, from_json
from magicqueue.tasks.dependencies import Dependency
from magicqueue.tasks.envelope import Envelope

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class BadArguments(Discard, TypeError):
    """Arguments that a task cannot take: pushing them fails, a job with them is dead."""


class Signature:
    """The parameters of one task's function, without those that a worker gives it."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function
        every = list(inspect.signature(function).parameters.values())
        self.dependencies: Final[dict[str, Dependency]] = {
            one.name: one.default for one in every if isinstance(one.default, Dependency)
        }
        """What a worker gives the function, by the parameter's name."""
        self._parameters = [one for one in every if one.name not in self.dependencies]
        self._refuse_places_behind_dependencies(every)
        self._accept = _same_parameters(function.__name__, self._parameters)
        self._reads: dict[str, Read] | None = None
        self._writes: dict[str, Write] = {}
        self._result: tuple[Read, Write | None] | None = None
        self._places: list[str] = []
        self._rest_of_args: str | None = None
        self._rest_of_kwargs: str | None = None

    def prepare(self) -> None:
        """Look the hints up. Raises TypeError for a parameter that JSON cannot give."""
        if self._reads is not None:
            return
        try:
            hints = get_type_hints(self._function, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"the hints of task {self._name} cannot be looked up: {error} at the top of"
                f" {self._function.__module__}"
            ) from None
        reads: dict[str, Read] = {}
        for parameter in self._parameters:
            where = f"{parameter.name} of task {self._name}"
            read, write = from_json(hints.get(parameter.name, Any), where)
            reads[parameter.name] = read
            if write is not None:
                self._writes[parameter.name] = write
            if parameter.kind in _POSITIONAL:
                self._places.append(parameter.name)
            elif parameter.kind is Parameter.VAR_POSITIONAL:
                self._rest_of_args = parameter.name
            elif parameter.kind is Parameter.VAR_KEYWORD:
                self._rest_of_kwargs = parameter.name
        self._result = from_json(
            hints.get("return", Any), f"the result of task {self._name}"
        )
        self._reads = reads

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuse what the function could not be called with: a TypeError."""
        try:
            self._accept(*args, **kwargs)
        except TypeError as error:
            raise BadArguments(f"task {self._name}: {error}") from None

    def written(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Have the arguments written that need their hint for it."""
        self.prepare()
        if not self._writes:
            return args, kwargs
        named = {
            name: self._write(self._parameter_of(name), value)
            for name, value in kwargs.items()
        }
        placed = [
            self._write(self._parameter_at(place), value)
            for place, value in enumerate(args)
        ]
        return tuple(placed), named

    def read(self, envelope: Envelope) -> tuple[list[Any], dict[str, Any]]:
        """Make the arguments of a job's. Raises BadArguments that names the argument."""
        args, kwargs = self.converted(envelope)
        self.check(tuple(args), kwargs)
        return args, kwargs

    def converted(self, envelope: Envelope) -> tuple[list[Any], dict[str, Any]]:
        """Do the same where it is known that the function can be called with them."""
        self.prepare()
        reads = self._reads
        assert reads is not None
        name = ""
        try:
            args: list[Any] = []
            for place, raw in enumerate(envelope.args):
                name = self._parameter_at(place)
                args.append(reads[name](raw))
            kwargs: dict[str, Any] = {}
            for name, raw in envelope.kwargs.items():
                kwargs[name] = reads[self._parameter_of(name)](raw)
        except (ValueError, MsgspecError, KeyError, RecursionError) as error:
            if isinstance(error, KeyError):
                self.check(tuple(envelope.args), envelope.kwargs)
            raise BadArguments(f"task {self._name}: {name}: {error}") from None
        return args, kwargs

    def result(self) -> tuple[Read, Write | None]:
        """Give how the function's result is read, and written if the hint is needed."""
        self.prepare()
        assert self._result is not None
        return self._result

    def _write(self, name: str, value: Any) -> Any:
        write = self._writes.get(name)
        return value if write is None else Raw(write(value))

    def _parameter_at(self, place: int) -> str:
        if place < len(self._places):
            return self._places[place]
        return self._rest_of_args or f"argument {place + 1}"

    def _parameter_of(self, name: str) -> str:
        assert self._reads is not None
        if name not in self._reads and self._rest_of_kwargs is not None:
            return self._rest_of_kwargs
        return name

    def _refuse_places_behind_dependencies(self, every: list[Parameter]) -> None:
        given = ""
        for parameter in every:
            if parameter.name in self.dependencies:
                given = parameter.name
                if parameter.kind is Parameter.POSITIONAL_ONLY:
                    raise TypeError(
                        f"task {self._name}: {given} is given by the worker: it cannot be"
                        " a positional-only parameter"
                    )
            elif given and parameter.kind in {*_POSITIONAL, Parameter.VAR_POSITIONAL}:
                raise TypeError(
                    f"task {self._name}: {parameter.name} stands behind {given}, which the"
                    " worker gives: put what is given last, or behind a `*`"
                )


def _same_parameters(name: str, parameters: list[Parameter]) -> Callable[..., None]:
    """Make a function that takes the same arguments and does nothing.

    Calling it is the quickest way to learn whether arguments fit: Python's own, and a
    tenth of what `Signature.bind` takes.
    """
    name = name if name.isidentifier() and not iskeyword(name) else "task"
    words: list[str] = []
    kinds = [one.kind for one in parameters]
    for index, one in enumerate(parameters):
        text = one.name if one.default is Parameter.empty else f"{one.name}=None"
        if one.kind is Parameter.VAR_POSITIONAL:
            text = f"*{one.name}"
        elif one.kind is Parameter.VAR_KEYWORD:
            text = f"**{one.name}"
        elif one.kind is Parameter.KEYWORD_ONLY and not (
            {Parameter.VAR_POSITIONAL, Parameter.KEYWORD_ONLY} & set(kinds[:index])
        ):
            words.append("*")
        words.append(text)
        if one.kind is Parameter.POSITIONAL_ONLY and kinds[index + 1 : index + 2] != [
            Parameter.POSITIONAL_ONLY
        ]:
            words.append("/")
    # its names are those of parameters, so nothing else can be in it
    scope: dict[str, Any] = {}
    exec(f"def {name}({', '.join(words)}): pass", scope)  # noqa: S102
    accept: Callable[..., None] = scope[name]
    return accept
