"""A realistic incident: checkout 1.4.2 fails 30 % of requests, is rolled back, recovers."""

from __future__ import annotations

import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from irkit.figures import MIME, Line, LineFigure, Mark, Normal, Span, ms
from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Check, Outcome, Plan, Undo
from irkit.model.alert import Alert
from irkit.model.base import canonical
from irkit.model.event import GENESIS, Event, chain_hash
from irkit.model.finding import Finding, Gap, RuledOut, Suspect
from irkit.model.look import LookRecord, Request
from irkit.model.window import Window
from irkit.postmortem import Past, PostmortemFacts, Seal, facts

DAY = datetime(2026, 3, 1, tzinfo=UTC)
INCIDENT = "IR-2026-0301-1"
EVIL = "<img src=x onerror=alert(1)>"


def at(text: str) -> datetime:
    """A moment of the incident's day: `14:02:07`."""
    hour, minute, second = (int(part) for part in text.split(":"))
    return DAY + timedelta(hours=hour, minutes=minute, seconds=second)


def plan() -> Plan:
    """The rollback."""
    return Plan(
        id="P1", key="k1", incident=INCIDENT, action="rollback", integration="argocd",
        target="checkout", arguments={"to": "previous"},
        change=Change(what="checkout", current="1.4.2", target="1.4.1",
                      diff="- image: checkout:1.4.2\n+ image: checkout:1.4.1"),
        blast=BlastRadius(instances=6, of=6, dependants=("web", "mobile-api"),
                          environment="prod-eu"),
        undo=Undo(how="roll forward to 1.4.2", action="rollback", seconds=45),
        check=Check(service="checkout", signal="error_rate", limit=0.01, unit="ratio"),
        approvers=("demo-oncall",), requester="run:R1", reason="top suspect is this release",
        suspect="checkout 1.4.1 -> 1.4.2", strength=0.86,
        contrary="latency of payments-db rose as well", gaps=("traces were not answered",),
        evidence=("L1", "L3"), made_at=at("14:03:16"), expires_at=at("14:33:16"),
    )  # fmt: skip


def suspects() -> tuple[Suspect, ...]:
    """What the run named: the release, then the database."""
    return (
        Suspect(
            rank=1, service="checkout", strength=0.86, change="1.4.1 -> 1.4.2",
            change_at=at("13:54:40"),
            sentence="checkout 1.4.2 fails payments with a nil currency",
            findings_for=(
                Finding(kind="moved", sentence="errors of POST /pay rise 7 minutes after the "
                        "release", service="checkout", before=0.004, after=0.304, unit="ratio",
                        sigmas=8.1, onset=at("14:01:45"), evidence=("L1",)),
                Finding(kind="log_pattern", sentence="new log pattern: nil currency <*> " + EVIL,
                        before=0, after=412, evidence=("L3",)),
            ),
            findings_against=(
                Finding(kind="moved", sentence="latency of payments-db rose as well",
                        before=0.012, after=0.019, unit="s", sigmas=2.4, evidence=("L2",)),
            ),
        ),
        Suspect(
            rank=2, service="payments-db", strength=0.09,
            sentence="payments-db answers more slowly",
            findings_for=(
                Finding(kind="moved", sentence="p99 of payments-db up", before=0.012, after=0.019,
                        unit="s", sigmas=2.4, evidence=("L2",)),
            ),
            findings_against=(
                Finding(kind="callee", sentence="other callers of payments-db are unaffected",
                        evidence=("L2",)),
            ),
        ),
    )  # fmt: skip


def _alert(name: str, when: datetime, *, firing: bool = True, n: int = 0) -> Alert:
    return Alert(
        source="alertmanager", fingerprint=f"{name}{n:02d}", firing=firing, name=name,
        starts_at=when, service="checkout", signal="error_rate", severity="SEV1",
        summary="30 % of checkout requests fail in prod-eu",
        labels={"service": "checkout", "pod": f"checkout-{n}"},
    )  # fmt: skip


def events() -> list[Event]:
    """The ledger of the incident, chained."""
    gap = Gap(what="traces of checkout", why="tempo answered 503", at=at("14:03:12"),
              cannot_say="which call inside a request fails first")  # fmt: skip
    the_plan = plan()
    items: list[tuple[str, str, ev.Body]] = [
        ("14:03:10", "hook:alertmanager", ev.IncidentOpened(
            title="checkout fails payments in prod-eu", severity="SEV1", service="checkout",
            services=("checkout", "payments-db", "web"), group="checkout", route="checkout",
            runbook="high-error-rate", signal="error_rate", why="route checkout")),
        ("14:03:10", "hook:alertmanager", ev.AlertFired(
            alert=_alert("HighErrorRate", at("14:03:00")), delivery="d0")),
        ("14:03:10", "system", ev.RunStarted(
            run="R1", ordinal=1, attempt=1, purpose="diagnose", runbook="high-error-rate",
            now=at("14:03:10"))),
    ]  # fmt: skip
    for n in range(1, 24):
        second = 10 + n * 52 // 23
        when = f"14:{3 + second // 60:02d}:{second % 60:02d}"
        items.append((when, "hook:alertmanager", ev.AlertFired(
            alert=_alert("PodErrors", at(when), n=n), delivery=f"d{n}")))  # fmt: skip
    items += [
        ("14:03:12", "run:R1", ev.GapFound(run="R1", source="tempo", gap=gap)),
        ("14:03:14", "run:R1", ev.SuspectsNamed(
            run="R1", suspects=suspects(), gaps=(gap,), onset=at("14:01:45"),
            method="robust z-score on 5 s steps, changes within 30 min before the onset",
            ruled_out=(RuledOut(what="traffic", why="request rate is within its p5-p95",
                                evidence=("L4",)),
                       RuledOut(what="host failure", why="all 6 instances are alike",
                                evidence=("L1",))))),
        ("14:03:16", "system", ev.PlanMade(plan=the_plan)),
        ("14:03:17", "system", ev.RunFinished(
            run="R1", attempt=1, status="succeeded", seconds=1.4, looks=4, gaps=1,
            bundle="b" * 64, notebook="c" * 64)),
        ("14:03:18", "system", ev.MessagePosted(channel="#inc-checkout", text="SEV1 opened")),
        ("14:04:50", "person:demo-oncall", ev.Acknowledged(note="looking")),
        ("14:07:02", "person:demo-oncall", ev.ApprovalGiven(
            plan="P1", plan_hash=the_plan.hash, expires_at=at("14:37:02"),
            note="the log line is new in 1.4.2")),
        ("14:07:03", "system", ev.ActionStarted(plan="P1", key="k1")),
        ("14:07:41", "system", ev.ActionApplied(plan="P1", outcome=Outcome(
            status="applied", text="6 of 6 instances run 1.4.1", before="1.4.2", after="1.4.1",
            seconds=38))),
        ("14:08:10", "system", ev.EffectChecked(plan="P1", number=1, value=0.09,
                                                text="error_rate 9 %, limit 1 %")),
        ("14:09:12", "system", ev.EffectVerified(
            plan="P1", verdict="recovered", service="checkout", signal="error_rate",
            before=0.304, after=0.0041, limit=0.01, unit="ratio",
            text="under the limit for 20 s")),
        ("14:09:13", "system", ev.RunStarted(
            run="R2", ordinal=2, attempt=1, purpose="after", runbook="high-error-rate",
            now=at("14:25:00"), because="the act ended")),
        ("14:09:15", "system", ev.RunFinished(
            run="R2", attempt=1, status="succeeded", seconds=1.2, looks=4, gaps=0,
            bundle="d" * 64, notebook="e" * 64)),
        ("14:10:00", "person:demo-oncall", ev.NoteWritten(
            text="Refunds for double charges are handled by payments")),
        ("14:24:30", "hook:alertmanager", ev.AlertResolved(
            alert=_alert("HighErrorRate", at("14:03:00"), firing=False), delivery="d99")),
        ("14:24:31", "system", ev.IncidentResolved(why="all alerts resolved")),
    ]  # fmt: skip
    items.sort(key=lambda item: item[0])
    chained: list[Event] = []
    prev = GENESIS
    for seq, (when, by, body) in enumerate(items, 1):
        moment, key = at(when), f"k{seq}"
        digest = chain_hash(prev, INCIDENT, seq, key, moment, moment, by, canonical(body))
        chained.append(
            Event(
                incident=INCIDENT,
                seq=seq,
                key=key,
                at=moment,
                recorded=moment,
                by=by,
                body=body,
                prev=prev,
                hash=digest,
            )
        )  # type: ignore[arg-type]
        prev = digest
    return chained


def looks() -> list[LookRecord]:
    """The looks of the run, one of them a gap."""
    rows = [
        ("L1", "prom", "range", 'sum by (route)(rate(http_requests_total{code=~"5.."}[5m]))', ""),
        ("L2", "prom", "range", "histogram_quantile(0.99, payments_db)", ""),
        ("L3", "loki", "search", '{service="checkout"} |= "error"', ""),
        ("L4", "prom", "range", "sum(rate(http_requests_total[5m]))", ""),
        ("L5", "tempo", "get", "/api/search", "503 Service Unavailable"),
    ]
    return [
        LookRecord(
            evidence=name, key=f"{n:016x}", nth=1, type="prometheus", at=at("14:03:11"),
            request=Request(source=source, op=op, arguments={"query": query},
                            window=Window(start=at("13:30:00"), end=at("14:25:00"))),
            seconds=0.04, bytes=48_211, sha256=hashlib.sha256(name.encode()).hexdigest(),
            error=error,
        )
        for n, (name, source, op, query, error) in enumerate(rows)
    ]  # fmt: skip


def past() -> list[Past]:
    """Earlier incidents with skewed durations."""
    rng = random.Random(7)
    return [
        Past(id=f"IR-2026-02{n + 1:02d}-1", title="checkout errors" if n % 5 == 0 else "other",
             severity="SEV2", opened_at=DAY - timedelta(days=28 - n),
             mitigate_seconds=math.exp(rng.gauss(6.8, 1.0)), resolve_seconds=3600,
             alike="same service, same log pattern" if n == 5 else "")
        for n in range(18)
    ]  # fmt: skip


def sample_facts() -> PostmortemFacts:
    """The facts of the incident, a minute after it was resolved."""
    told = events()
    return facts(
        told,
        as_of=at("14:26:00"),
        looks=looks(),
        past=past(),
        seal=Seal(head=told[-1].hash, verified=True, signed_by="runner key 7f3a"),
    )


def series(
    good: float, bad: float, seed: int, *, until: str = "14:25:00"
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Times (epoch ms) and values of a signal that is bad from the onset to the rollback."""
    rng = random.Random(seed)
    start, end = ms(at("13:45:00")), ms(at(until))
    x = tuple(start + i * 5000 for i in range(int((end - start) / 5000)))
    wrong = (ms(at("14:01:45")), ms(at("14:08:30")))
    y = tuple((bad if wrong[0] <= t <= wrong[1] else good) * (1 + 0.15 * rng.random()) for t in x)
    return x, y


def error_figure() -> LineFigure:
    """The signal that fired, marked."""
    pay, cart = series(0.004, 0.29, 1), series(0.002, 0.004, 2)
    return LineFigure(
        title="30 % of POST /pay fails from 14:01:45Z; normal again after the rollback",
        unit="ratio", source="prom", evidence="L1",
        query='sum by (route)(rate(http_requests_total{code=~"5.."}[5m]))',
        lines=(Line(name="POST /pay", x=pay[0], y=pay[1]),
               Line(name="GET /cart", x=cart[0], y=cart[1])),
        normal=Normal(low=0.002, high=0.008, label="normal, 24 h before"),
        onset=Span(start=ms(at("14:01:35")), end=ms(at("14:01:55")), label="onset"),
        marks=(Mark(at=ms(at("13:54:40")), kind="deploy", label="1.4.2"),
               Mark(at=ms(at("14:03:10")), kind="alert", label="first alert"),
               Mark(at=ms(at("14:07:41")), kind="act", label="back to 1.4.1")),
    )  # fmt: skip


def plotly_figure() -> dict[str, Any]:
    """A figure as plotly makes it, with dates as text and a foreign label."""
    x, y = series(120, 118, 3)
    dates = [datetime.fromtimestamp(t / 1000, UTC).isoformat() for t in x]
    return {
        "data": [{"type": "scatter", "mode": "lines", "name": f"requests {EVIL}", "x": dates,
                  "y": list(y)}],
        "layout": {"title": {"text": f"Traffic stays within its usual range {EVIL}"}},
    }  # fmt: skip


def sample_notebook() -> Any:
    """The chosen run's notebook, executed: figures, a table, logs, a gap, hostile text."""
    error = error_figure()
    table = (
        "<table><thead><tr><th>pattern</th><th>count</th></tr></thead><tbody><tr><td>nil currency "
        f"for &lt;*&gt; {EVIL}<script>alert(2)</script></td><td>412</td></tr></tbody></table>"
    )
    cells = [
        new_markdown_cell("# High error rate\n\nWhat fails, since when, and what changed."),
        new_code_cell('incident = ""\nservice = "checkout"\nsince = "90m"',
                      metadata={"tags": ["parameters"]}),
        new_code_cell("import irkit\ninc = irkit.incident(incident)\nerrors = "
                      'inc.signal("error_rate")\nerrors.plot(mark=inc.deploys())',
                      execution_count=2, metadata={"papermill": {"duration": 0.8}},
                      outputs=[new_output("display_data", {
                          MIME: _node(error), "text/html": "<img>", "text/plain": repr(error)})]),
        new_code_cell("requests.show()", execution_count=3, outputs=[new_output("display_data", {
            "application/vnd.plotly.v1+json": plotly_figure()})]),
        new_code_cell("inc.logs('level=\"error\"').patterns()", execution_count=4,
                      outputs=[new_output("execute_result", {"text/html": table,
                                                             "text/plain": "patterns"},
                                          execution_count=4)]),
        new_code_cell("for line in inc.logs(): print(line)", execution_count=5,
                      outputs=[new_output("stream", name="stdout", text=(
                          f"\x1b[31m14:02:07 ERROR\x1b[0m nil currency {EVIL}\n" * 3))]),
        new_code_cell("inc.traces()", execution_count=6, outputs=[new_output(
            "error", ename="LookFailed", evalue="tempo did not answer",
            traceback=["\x1b[0;31mLookFailed\x1b[0m: tempo did not answer"])]),
    ]  # fmt: skip
    for n, cell in enumerate(cells):
        cell["id"] = f"cell-{n}"
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def _node(figure: Any) -> Any:
    import msgspec

    return NotebookNode(msgspec.json.decode(msgspec.json.encode(figure)))
