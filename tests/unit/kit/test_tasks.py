from __future__ import annotations

import asyncio

import pytest

from isthmus.kit.tasks import run_until_cancelled, supervise


async def fail() -> None:
    raise LookupError("nothing here")


async def wait() -> None:
    await asyncio.Event().wait()


async def nested() -> None:
    async with supervise(fail(), wait()):
        await wait()


@pytest.mark.parametrize("job", [fail, nested])
async def test_what_a_job_raises_comes_out_as_it_is(job):
    with pytest.raises(LookupError, match="nothing here"):
        await run_until_cancelled(job(), wait())
