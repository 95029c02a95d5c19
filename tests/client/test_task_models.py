"""Tasks whose arguments and results are pydantic's, where that is installed."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest

from magicqueue import BadArguments, Tasks
from magicqueue.tasks.envelope import open_envelope

pydantic = pytest.importorskip("pydantic")


def model() -> Any:
    return pydantic.create_model(
        "Order", number=(int, ...), at=(datetime, ...), note=(bytes, b"")
    )


def test_a_model_comes_as_it_was_pushed() -> None:
    order: Any = model()

    async def take(one: Any, many: Any = (), *, maybe: Any = None, n: int = 0) -> None: ...

    take.__annotations__ |= {"one": order, "many": list[order], "maybe": order | None}
    task = Tasks("q").task(take)
    sent = order(number=1, at=datetime(2030, 1, 1, tzinfo=UTC), note=b"abc")
    data = task.data_of((sent, [sent, sent]), {"maybe": None, "n": 3})
    assert msgspec.json.decode(data)["args"][0] == {
        "number": 1,
        "at": "2030-01-01T00:00:00Z",
        "note": "abc",
    }
    args, kwargs = task.signature.read(open_envelope(data))
    assert args == [sent, [sent, sent]]
    assert kwargs == {"maybe": None, "n": 3}


def test_a_model_that_does_not_fit_is_refused() -> None:
    order: Any = model()

    async def take(one: Any) -> None: ...

    take.__annotations__["one"] = order
    task = Tasks("q").task(take)
    envelope = open_envelope(b'{"task":"take","args":[{"number":"x"}]}')
    with pytest.raises(BadArguments, match="one: 2 validation errors for Order"):
        task.signature.read(envelope)


def test_pydantics_own_hints_are_pydantics_to_check() -> None:
    async def take(one: Any) -> None: ...

    take.__annotations__["one"] = Annotated[int, pydantic.Field(gt=3)]
    task = Tasks("q").task(take)
    assert task.data_of((4,), {}) == b'{"task":"take","args":[4]}'
    with pytest.raises(BadArguments, match="greater than 3"):
        task.data_of((2,), {})


def test_a_model_may_stand_in_a_struct_and_in_anything() -> None:
    order: Any = model()
    struct = msgspec.defstruct("Basket", [("orders", list[order])])

    async def take(one: Any, other: Any) -> None: ...

    take.__annotations__["one"] = struct
    task = Tasks("q").task(take)
    sent = order(number=1, at=datetime(2030, 1, 1, tzinfo=UTC))
    data = task.data_of((struct(orders=[sent]), sent), {})
    args, _ = task.signature.read(open_envelope(data))
    assert args[0] == struct(orders=[sent])
    assert args[1]["number"] == 1
