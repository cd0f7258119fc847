"""What a notebook asks, and what it shows: foreign text stays text, and gaps are visible."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from notebook_world import (
    CATALOG,
    DEPLOY,
    HOSTILE,
    NOW,
    ONSET,
    OPENED,
    MemorySession,
    chain,
    open_incident,
)

import irkit
from irkit.errors import BadInput, BadQuery, LookFailed, NotFound
from irkit.figures.base import MIME
from irkit.model.catalog import Catalog
from irkit.model.window import Window

LIVE_MARKUP = re.compile(r"<(?:img src=x|script|svg|style|iframe)|javascript:alert\(1\)\"", re.I)


def safe(shown: Any) -> str:
    """The HTML, after checking that nothing foreign in it is alive."""
    page = str(shown._repr_html_())
    assert not LIVE_MARKUP.search(page)
    assert 'href="javascript' not in page
    assert page.count("background:#FFFFFF")
    for image in re.findall(r"<img [^>]*>", page):
        assert re.match(r'<img alt="[^"<>]*" src="data:image/svg\+xml;base64,[^"]+" style="', image)
    text = repr(shown)
    assert text.isprintable()
    return page


def test_importing_irkit_loads_nothing_heavy() -> None:
    code = "import irkit, sys; print(*(m for m in sys.argv[1:] if m in sys.modules))"
    heavy = "pandas numpy plotly pyarrow pydantic yaml drain3 httpx markupsafe sqlalchemy dbos"
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy.split()], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_card_of_an_incident() -> None:
    inc = open_incident(MemorySession(events=chain(*OPENED)))
    page = safe(inc)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    for words in ("SEV2", "open", "nobody yet", "firing", "IR-1", "checkout, payments, frontend"):
        assert words in page
    for address in ("https://grafana.example/d/1", "http://127.0.0.1:8400/incidents/IR-1"):
        assert f'href="{address}"' in page
    assert repr(inc).startswith("SEV2 IR-1: High error rate")
    assert inc.affected == ("checkout", "payments", "frontend")


def test_without_an_incident_looking_works_all_the_same() -> None:
    inc = open_incident(MemorySession())
    assert inc.state is None
    assert "No incident" in safe(inc)
    assert inc.affected == ("checkout", "payments", "frontend")
    assert inc.window == Window(start=NOW - timedelta(minutes=60), end=NOW)


def test_the_service_is_the_incidents_unless_another_is_named() -> None:
    session = MemorySession(events=chain(*OPENED))
    assert irkit.incident(session=session).service == "checkout"
    assert irkit.incident("IR-1", session=session, service="payments").service == "payments"


def test_a_wrong_start_says_what_to_do() -> None:
    session = MemorySession(events=chain(*OPENED))
    with pytest.raises(NotFound, match="it is about IR-1"):
        irkit.incident("IR-2", session=session)
    with pytest.raises(NotFound, match="did you mean 'checkout'"):
        irkit.incident(session=MemorySession(), service="chekout")
    with pytest.raises(BadInput, match="the window is empty"):
        irkit.incident(session=session, since="0m")


def test_a_signal_leads_with_its_finding_and_says_where_it_comes_from() -> None:
    inc = open_incident(MemorySession(events=chain(*OPENED)))
    errors = inc.signal("error_rate")
    assert re.match(
        r"error_rate of checkout rose from 0\.\d+ % to 3\d(\.\d+)? % at 14:01:", repr(errors)
    )
    onset = errors.onset()
    assert onset
    assert onset.time is not None
    assert abs(onset.time - ONSET) <= timedelta(seconds=15)
    assert abs(onset.sigmas) > 4
    page = safe(errors)
    assert "L1" in page
    assert "prom" in page
    assert "error_rate{service=&#34;checkout&#34;}" in page
    assert 0.3 <= errors.latest() <= 0.34
    assert errors.at("10m") < 0.01
    assert str(errors.df.index.tz) == "UTC"
    taken = errors.df
    taken.iloc[:, :] = 7.0
    assert errors.latest() < 1
    with pytest.raises(LookFailed, match="has no value"):
        errors.at("2h")


def test_the_figure_is_marked_and_travels_as_json() -> None:
    inc = open_incident(MemorySession(events=chain(*OPENED)))
    figure = inc.signal("error_rate").plot(mark=inc.deploys())
    assert [m.label for m in figure.marks] == ["checkout 1.4.2"]
    assert figure.marks[0].at == DEPLOY.timestamp() * 1000
    assert figure.onset is not None
    assert figure.normal is not None
    assert figure._repr_mimebundle_()[MIME]["figure"] == "line"
    bundle = inc.signal("error_rate")._repr_mimebundle_()
    assert bundle[MIME]["title"] == bundle["text/plain"]


def test_several_series_are_told_apart_by_what_differs() -> None:
    inc = open_incident(MemorySession())
    raw = inc.metrics('error_rate by route {service="$service"}')
    assert raw.df.shape[1] == 2
    page = safe(raw)
    assert "route=/buy" in page
    assert "careful &lt;img" in page
    assert MIME not in raw._repr_mimebundle_()
    assert set(raw.latest().index) == set(raw.df.columns)
    with pytest.raises(NotFound, match="no such series"):
        raw.onset("other")


def test_an_instant_query_is_one_row() -> None:
    session = MemorySession()
    up = open_incident(session).metrics("up", instant=True)
    assert session.requests[0].op == "instant"
    assert up.latest() == 1.0
    assert "&lt;img" in safe(up)
    assert MIME not in up._repr_mimebundle_()


def test_names_in_a_query_are_quoted_and_an_unknown_one_is_refused() -> None:
    session = MemorySession()
    inc = open_incident(session)
    inc.metrics('x{service="$service",route="$route"}', route='a"} or up{a="b\\')
    assert session.requests[0].arguments["query"] == (
        'x{service="checkout",route="a\\"} or up{a=\\"b\\\\"}'
    )
    with pytest.raises(BadQuery, match=r"unknown name \$servce.*did you mean \$service"):
        inc.metrics('x{service="$servce"}')
    assert len(session.requests) == 1


def test_a_single_look_that_fails_raises_and_says_what_next() -> None:
    inc = open_incident(MemorySession(failing=("prom", "logs", "web")))
    for look in (lambda: inc.signal("latency"), inc.logs, inc.health):
        with pytest.raises(LookFailed, match=r"connection refused.*start it"):
            look()
    with pytest.raises(NotFound, match="did you mean 'error_rate'"):
        inc.signal("error_rat")
    with pytest.raises(NotFound, match="no such source"):
        inc.metrics("up", source="other")


def test_a_compound_look_shows_a_gap_for_what_failed() -> None:
    inc = open_incident(MemorySession())
    signals = inc.signals("error_rate", "saturation")
    assert [m.name for m in signals] == ["error_rate of checkout"]
    assert signals["error_rate"].name == "error_rate of checkout"
    assert [g.what for g in signals.gaps] == ["saturation of checkout"]
    page = safe(signals)
    assert "2px dashed" in page
    assert "We cannot say whether saturation moved" in page
    with pytest.raises(NotFound, match="the catalog has no such signal"):
        signals["saturation"]
    assert len(inc.signals()) == 2


def test_of_many_signals_those_that_moved_most_are_drawn() -> None:
    checkout = CATALOG.services["checkout"]
    calm = {f"latency_{i}": replace(checkout.signals["latency"], name=f"latency_{i}",
                                    query="quiet " * i + "{}") for i in range(14)}  # fmt: skip
    many = replace(checkout, signals={**calm, "error_rate": checkout.signals["error_rate"]})
    inc = open_incident(MemorySession(catalog=Catalog(services={"checkout": many})))
    signals = inc.signals()
    assert len(signals) == 15
    panels = signals.plot().panels
    assert len(panels) == 12
    assert any("error_rate of checkout rose" in p.title for p in panels)
    assert "3 signals that moved less or have no values are not drawn" in safe(signals)


def test_everything_down_is_all_gaps_and_no_crash() -> None:
    inc = open_incident(MemorySession(failing=("prom", "logs", "history")))
    signals = inc.signals()
    assert len(signals) == 0
    assert len(signals.gaps) == 2
    assert "nothing to plot" in repr(signals.plot(mark=inc.deploys()))
    safe(signals)
    deploys = inc.deploys()
    assert len(deploys.gaps) == 3
    assert "could not be asked" in repr(deploys)
    assert "2px dashed" in safe(deploys)


def test_logs_keep_bad_lines_and_find_new_patterns() -> None:
    session = MemorySession(events=chain(*OPENED))
    inc = open_incident(session)
    logs = inc.logs('level=~"error|info"')
    asked = session.requests[0].arguments
    assert asked["match"] == 'service="checkout", level=~"error|info"'
    assert logs.bad == 1
    assert "_raw" in logs.df
    assert "not readable" in safe(logs)
    assert logs.patterns().why == "the first alert's start"
    # an onset is not known to the second: what is first seen shortly before it is new too
    assert logs.patterns().rows[0].change == "new"
    assert logs.patterns(onset="1m").rows[0].change == "more"
    assert logs.patterns(onset="1m").why == "the moment given"
    inc.signal("error_rate")
    patterns = inc.logs().patterns()
    assert patterns.rows[0].change == "new"
    assert patterns.rows[0].template.startswith("ValueError: tax rounding")
    assert patterns.rows[0].before == 0
    assert patterns.rows[0].after > 5
    assert patterns.why == "the onset of error_rate of checkout"
    assert "&lt;img src=x" in safe(patterns)
    assert len(patterns.head(1).rows) == 1
    paid = next(r for r in patterns.rows if r.template.startswith("order"))
    assert paid.template == "order <n> paid in <n> ms"
    assert paid.change == "same"
    assert set(logs.where(level="error").df["level"]) == {"error"}
    with pytest.raises(NotFound, match="no such field"):
        logs.where(lvl="error")


def test_lines_that_were_cut_off_do_not_make_patterns_new() -> None:
    inc = open_incident(MemorySession(events=chain(*OPENED)))
    logs = inc.logs(limit=30)
    assert logs.truncated
    assert logs.whole_from > ONSET
    assert "cut short" in repr(logs)
    patterns = logs.patterns()
    assert {r.change for r in patterns.rows} == {"unknown"}
    assert [g.cannot_say for g in patterns.gaps] == ["what was logged before"]
    assert "2px dashed" in safe(patterns)
    assert not inc.logs().patterns().gaps


def test_deploys_are_those_of_all_affected_services_over_a_day() -> None:
    inc = open_incident(MemorySession())
    deploys = inc.deploys()
    assert [d.version for d in deploys] == ["1.4.1", "2.0.1", "1.4.2"]
    assert deploys.window.length == timedelta(hours=24)
    assert [d.version for d in inc.deploys("frontend")] == ["2.0.1"]
    assert "tax rounding &lt;img" in safe(deploys)
    assert list(deploys.df["service"]) == ["checkout", "frontend", "checkout"]


def test_an_ill_service_is_an_answer() -> None:
    health = open_incident(MemorySession()).health()
    assert not health.ok
    assert health.path == "/healthz"
    assert "503" in repr(health)
    safe(health)


def test_what_is_not_in_the_catalog_leaves_gaps() -> None:
    events = chain(*OPENED)
    inc = open_incident(MemorySession(events=events), service="unheard-of")
    assert "not in the catalog" in safe(inc)
    assert inc.signals().gaps[0].why == "the catalog does not have this service"
    assert any("unheard-of" in g.what for g in inc.deploys("unheard-of").gaps)
    with pytest.raises(NotFound, match="no such service in the catalog"):
        inc.signal("error_rate")


def test_saying_and_noting_go_through_the_session() -> None:
    session = MemorySession()
    inc = open_incident(session)
    said = inc.say(f"rolling back {HOSTILE}")
    safe(said)
    inc.note("tax rounding again")
    assert session.said == [f"rolling back {HOSTILE}"]
    assert session.notes[0].text == "tax rounding again"
    assert "catalog" not in repr(said)
    assert CATALOG.services


def test_a_question_about_the_past_is_asked_once_and_a_failed_one_again() -> None:
    session = MemorySession()
    inc = open_incident(session)
    first, again = inc.signal("error_rate"), inc.signal("error_rate")
    assert first.evidence == again.evidence == "L1"
    assert len(session.requests) == 1
    inc.health()
    inc.health()
    assert len(session.requests) == 3
    session.failing = ("prom",)
    for _ in range(2):
        with pytest.raises(LookFailed):
            inc.signal("latency")
    assert len(session.requests) == 5
    session.failing = ()
    assert inc.signal("latency").evidence == "L6"
