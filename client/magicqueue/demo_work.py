"""The demo's work: text statistics of a Python file, one job a file.

`measure` is an ordinary handler. Its result is a job too, in a queue of results: so it
survives the worker that made it, and whoever wants it pulls it. A result comes once or, if
a worker dies between its push and its ack, twice; the reader counts a path once.
"""

import ast
import os
import time
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

from magicqueue.job import Job
from magicqueue.sync_queue import SyncQueue

FILES: Final = "demo.files"
RESULTS: Final = "demo.results"

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def measure(job: Job) -> None:
    """Measure the file that the job names, and push what was found.

    Raises SyntaxError or ValueError for a file that is no Python, and OSError for one that
    is gone: the job fails then, and is tried again.
    """
    waited_s = time.time() - job.created_at.timestamp()
    found = statistics(Path(job.data["path"]))
    _results().push({**job.data, **found, "waited_s": waited_s, "process": os.getpid()})


def statistics(path: Path) -> dict[str, Any]:
    """Count a file's lines, words, functions, classes and names."""
    source = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source, str(path))
    names: Counter[str] = Counter()
    functions = classes = 0
    longest, longest_lines = "", 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names[node.id] += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, _FUNCTIONS):
            functions += 1
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > longest_lines:
                longest, longest_lines = node.name, lines
    return {
        "lines": source.count(b"\n"),
        "words": len(source.split()),
        "bytes": len(source),
        "functions": functions,
        "classes": classes,
        "longest": longest,
        "longest_lines": longest_lines,
        "names": dict(names.most_common(200)),
    }


@cache
def _results() -> SyncQueue:
    return SyncQueue(RESULTS)
