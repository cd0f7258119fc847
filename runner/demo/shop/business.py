"""What the three services do with a request, apart from HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from random import Random

import msgspec

from runner.demo.shop.faults import Broken, strike
from runner.demo.shop.releases import Fault


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route: its own median work in milliseconds, what it calls, what a failure is called."""

    method: str
    path: str
    median_ms: float
    calls: tuple[str, str] | None = None
    failure: str
    refused_share: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A status code, a sentence for the log, and the error behind it, if there is one."""

    code: int
    msg: str
    error: str = ""


class CalleeFailed(Exception):
    """The next service did not answer; the text is what the log says."""


ROUTES: dict[str, tuple[Route, ...]] = {
    "frontend": (
        Route(method="GET", path="/", median_ms=5, failure="home page failed"),
        Route(
            method="GET",
            path="/cart",
            median_ms=5,
            calls=("GET", "/shipping"),
            failure="basket page failed",
        ),
        Route(
            method="POST",
            path="/buy",
            median_ms=6,
            calls=("POST", "/orders"),
            failure="purchase failed",
        ),
    ),
    "checkout": (
        Route(method="GET", path="/shipping", median_ms=7, failure="shipping cost failed"),
        Route(
            method="POST",
            path="/orders",
            median_ms=14,
            calls=("POST", "/charges"),
            failure="order failed",
        ),
    ),
    "payments": (
        # Some cards are always declined: a 402 is business as usual, not a fault.
        Route(
            method="POST",
            path="/charges",
            median_ms=28,
            failure="charge failed",
            refused_share=0.015,
        ),
    ),
}
"""Service -> its routes."""


def serve(
    route: Route,
    faults: tuple[Fault, ...],
    random: Random,
    call: Callable[[str, str], int],
) -> Answer:
    """Do the work of one request: own time first, then the faults, then the next service.

    `call(method, path)` asks the next service and returns its status code, or raises CalleeFailed.
    """
    time.sleep(_own_seconds(route.median_ms, random))
    number = random.randrange(100_000, 1_000_000)
    try:
        strike(faults, route.path, random)
        code = call(*route.calls) if route.calls else 200
    except Broken as error:
        return Answer(code=500, msg=f"{route.failure}: no. {number}", error=str(error))
    except CalleeFailed as error:
        return Answer(code=504, msg=f"{route.failure}: no. {number}", error=str(error))
    if code >= 500:
        called = route.calls[1] if route.calls else ""
        return Answer(
            code=502,
            msg=f"{route.failure}: no. {number}",
            error=f"BadGateway: {called} answered {code}",
        )
    if code >= 400 or random.random() < route.refused_share:
        return Answer(code=402, msg=f"card declined: no. {number}")
    return Answer(code=200, msg=f"{route.method} {route.path} no. {number}")


def _own_seconds(median_ms: float, random: Random) -> float:
    """A time with the long tail that real services have: log-normal, and now and then a pause."""
    seconds = random.lognormvariate(math.log(median_ms / 1000), 0.35)
    return seconds + random.uniform(0.03, 0.12) if random.random() < 0.005 else seconds
