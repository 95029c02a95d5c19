"""Metrics as Prometheus reads them: samples by name and labels."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from http_client import Answer


def read(answer: Answer) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Give the samples by name and labels; each family once, with its type and help."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    families: set[str] = set()
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.name not in families
        families.add(family.name)
        assert family.documentation
        assert family.type in {"gauge", "counter", "histogram"}
        assert family.name.startswith(("magicqueue_", "process_"))
        for sample in family.samples:
            assert sample.name.endswith("_total") is (family.type == "counter")
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(found: Any, name: str, **labels: str) -> float | None:
    value: float | None = found.get((name, tuple(sorted(labels.items()))))
    return value
