"""Tasks: functions that are called elsewhere, later, by a worker.

    from magicqueue import Tasks

    tasks = Tasks("emails")

    @tasks.task(retries=5)
    async def welcome(to: str, *, subject: str = "Hello") -> int: ...

    await welcome.push("ada@example.org")      # a job of the queue emails
    await welcome("ada@example.org")           # a call, here and now

`registry` holds a user's tasks, `task` is one of them; `envelope` is what goes over the
wire, `signature` and `conversion` make it of arguments and arguments of it; `producing`
stores it; `running` runs it in a worker, with `dependencies` and `middleware`; `service`
is that worker. Nothing here is imported before somebody asks for `Tasks`.
"""
