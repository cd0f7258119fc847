"""Where the asynchronous edge crosses over to the synchronous core, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

P = ParamSpec("P")
T = TypeVar("T")


async def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call into the core from the event loop: in a thread, so that nothing blocks the loop."""
    return await run_in_threadpool(function, *args, **kwargs)


async def stored(future: Future[int]) -> int:
    """Wait, without holding a thread, until a delivery is on the disk.

    Raises:
        IrkitError: it could not be stored.
    """
    return await asyncio.wrap_future(future)
