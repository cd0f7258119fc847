"""What can run in the shop: its services, their releases, and what each release breaks.

A new fault is a line in a release here, and if it is of a new kind, a function in `faults.py`.
"""

from __future__ import annotations

import difflib

import msgspec

from irkit.errors import BadInput


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a release does wrong.

    `kind` is a name in `runner.demo.shop.faults.FAULTS`; `route` is the route it happens on ("" is
    every route); `share` is the part of that route's requests it hits, from 0 to 1; `error` is
    what the log then says.
    """

    kind: str
    route: str = ""
    share: float = 1.0
    error: str = ""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one service: the commit it was built from, its message, and its faults."""

    service: str
    version: str
    commit: str
    message: str
    faults: tuple[Fault, ...] = ()


SERVICES = ("frontend", "checkout", "payments")
CALLS = {"frontend": "checkout", "checkout": "payments"}
"""Who calls whom: caller -> callee."""

RELEASES = (
    Release(
        service="frontend",
        version="3.8.0",
        commit="c1f4a07d92be",
        message="Load product images only when they scroll into view",
    ),
    Release(
        service="frontend",
        version="3.8.1",
        commit="5be09d3a4471",
        message="Move the basket icon next to the search box",
    ),
    Release(
        service="checkout",
        version="1.4.0",
        commit="81d2f6c3e5a0",
        message="Show the shipping cost in the basket",
    ),
    Release(
        service="checkout",
        version="1.4.1",
        commit="2a7c90e1bf38",
        message="Log the order number with every order",
    ),
    Release(
        service="checkout",
        version="1.4.2",
        commit="9f2c1e7d60b4",
        message="Tax rounding per line item instead of per order",
        # Orders are five of seven requests to checkout (load.py), so 0.42 of the orders are
        # about 30 % of all it is asked.
        faults=(
            Fault(
                kind="raise",
                route="/orders",
                share=0.42,
                error="ValueError: tax rounding: cannot quantize -0.00",
            ),
        ),
    ),
    Release(
        service="payments",
        version="2.0.6",
        commit="e7730b1c8d52",
        message="Send the merchant name with every charge",
    ),
    Release(
        service="payments",
        version="2.0.7",
        commit="04ac5d9e2f17",
        message="Shorten the text on card statements",
    ),
)

FIRST = {"frontend": "3.8.0", "checkout": "1.4.0", "payments": "2.0.6"}
"""What a new shop starts with: service -> version."""

THEN = (("frontend", "3.8.1"), ("checkout", "1.4.1"), ("payments", "2.0.7"))
"""The harmless deploys a new shop makes next, so that every service has a version to go back to."""


def find(service: str, version: str) -> Release:
    """Look up a release; raises BadInput that names what there is.

    Example:
        >>> find("checkout", "1.4.2").commit
        '9f2c1e7d60b4'
    """
    check_service(service)
    for release in RELEASES:
        if (release.service, release.version) == (service, version):
            return release
    known = ", ".join(r.version for r in RELEASES if r.service == service)
    raise BadInput(
        "no such version", on=f"{service} {version[:40]!r}", next=f"{service} has {known}"
    )


def check_service(service: str) -> None:
    """Raise BadInput unless the shop has a service of that name."""
    if service not in SERVICES:
        near = difflib.get_close_matches(service, SERVICES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SERVICES)}"
        raise BadInput("no such service", on=repr(service[:40]), next=hint)
