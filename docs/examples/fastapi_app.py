"""FastAPI: requests push tasks, and the lifespan ends the connections.

uvicorn fastapi_app:app
magicqueue worker fastapi_app:tasks
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from magicqueue import NoResult, NotDone, NotFound, Queue, Tasks

tasks = Tasks("reports", keep_result=3600)


@tasks.task
async def report(month: int) -> str:
    return f"the report of month {month}"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with tasks:  # connects at the first push, and closes here
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/reports/{month}", status_code=202)
async def ask_for(month: int) -> dict[str, int]:
    handle = await report.push(month)
    return {"id": handle.id}


@app.get("/reports/{job_id}")
async def look_at(job_id: int) -> dict[str, str]:
    async with Queue("reports") as queue:
        try:
            return {"report": await queue.result(job_id, timeout=0)}
        except NotDone:
            raise HTTPException(202, "not done yet") from None
        except (NoResult, NotFound) as error:
            raise HTTPException(404, str(error)) from None
