"""The incident's card: severity, title, state, who took it, window, alerts, links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.figures.scale import duration
from irkit.text import clock, one_line

if TYPE_CHECKING:
    from irkit.incident import Incident

MOST_ALERTS = 5
MOST_LINKS = 4
_STATES = {"open": "sev1", "mitigated": "sev2", "resolved": "ok"}
_SEVERITIES = {"SEV1": "sev1", "SEV2": "sev2"}


def sentence(inc: Incident) -> str:
    """The incident in one line of plain text."""
    state = inc.state
    where = inc.service or "no service"
    if state is None:
        return f"No incident: looking at {where}, {inc.window}"
    acked = f"acknowledged by {state.acked_by}" if state.acked_by else "not acknowledged"
    head = f"{state.severity} {state.id}: {one_line(state.title, 160)}"
    return f"{head} ({state.state}, {acked}), {where}, {inc.window}"


def card(inc: Incident) -> str:
    """The incident as HTML for JupyterLab."""
    state = inc.state
    service = inc.catalog.services.get(inc.service)
    rows: list[tuple[str, object]] = []
    if state is None:
        role = "control"
        title = display.heading(f"No incident: looking at {inc.service or 'no service'}")
    else:
        role = _SEVERITIES.get(state.severity, "control")
        title = display.element(
            "div", "font-size:18px;font-weight:600;margin:0 0 4px",
            display.word(f"{state.severity} ", role), state.title, " ",
            display.word(state.state, _STATES.get(state.state, "ink")),
        )  # fmt: skip
        rows.append(("incident", state.id))
        took = f"by {state.acked_by} at {clock(state.acked_at)}" if state.acked_at else "nobody yet"
        rows.append(("acknowledged", took))
        for known in list(state.alerts.values())[:MOST_ALERTS]:
            alert = known.alert
            word = display.word("firing " if alert.firing else "resolved ",
                                "sev1" if alert.firing else "ok")  # fmt: skip
            about = f" on {alert.service}" if alert.service else ""
            what = f"{alert.name}{about}: {one_line(alert.summary, 160)}"
            rows.append(("alert", display.element("span", "", word, what)))
        more = len(state.alerts) - MOST_ALERTS
        if more > 0:
            rows.append(("", f"and {more} more alerts"))
    owner = f", owned by {service.owner}" if service and service.owner else ""
    tier = f", tier {service.tier}" if service else ", not in the catalog" if inc.service else ""
    rows.append(("service", f"{inc.service or 'unknown'}{tier}{owner}"))
    rows.append(("affected", ", ".join(inc.affected) or "unknown"))
    length = duration(inc.window.length.total_seconds())
    rows.append(("window", f"{inc.window} ({length}), now is frozen at its end"))
    links = _links(inc)
    if links:
        rows.append(("links", Markup(" · ").join(links)))
    return display.plate(display.card(role, title, display.pairs(rows)))


def _links(inc: Incident) -> list[Markup]:
    service = inc.catalog.services.get(inc.service)
    found = {"incident page": inc.session.briefing.url} if inc.session.briefing.url else {}
    found |= service.links if service else {}
    return [display.link(name, url) for name, url in list(found.items())[:MOST_LINKS]]
