"""What `magicqueue worker NAME` works on: a handler, Tasks, or all Tasks of a package.

`app:tasks` names an object. `app` alone is a module: all Tasks that it holds, and, of a
package, all that its modules called `tasks` hold, however deep. They are imported, the
package's other modules are not.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from magicqueue.errors import HandlerNotFound
from magicqueue.handlers import load_object
from magicqueue.tasks.registry import Tasks

_NAME = "tasks"


def found_by(name: str) -> Any:
    """Give the object that is named, or the Tasks of a module as a tuple.

    Raises HandlerNotFound that says what is wrong with the name or the module.
    """
    if ":" in name or not name:
        found = load_object(name)
        return (found,) if isinstance(found, Tasks) else found
    module = load_object(f"{name}:__dict__")  # whose errors are told in the same way
    package = import_module(name)
    found_in = {name: module}
    for inner in _task_modules(name, getattr(package, "__path__", ())):
        found_in[inner] = load_object(f"{inner}:__dict__")
    tasks = {
        id(one): one
        for names in found_in.values()
        for one in names.values()
        if isinstance(one, Tasks)
    }
    if not tasks:
        raise HandlerNotFound(
            f"there are no Tasks in {' or '.join(found_in)}: name a handler or Tasks as"
            " module:name"
        )
    return tuple(tasks.values())


def _task_modules(package: str, folders: Any) -> Iterator[str]:
    for folder in folders:
        for module in pkgutil.iter_modules([folder]):
            inner = f"{package}.{module.name}"
            if module.name == _NAME:
                yield inner
            elif module.ispkg:
                yield from _task_modules(inner, [str(Path(folder, module.name))])
