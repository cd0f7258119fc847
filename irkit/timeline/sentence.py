"""Each kind of event as one plain sentence."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from irkit.model import event as ev
from irkit.model.event import Event
from irkit.model.units import reading
from irkit.model.window import format_duration
from irkit.text import one_line


def sentence(event: Event) -> str:
    """What the event says, in one line of plain text; unescaped, for any renderer to escape.

    An acknowledgement reads `Acknowledged by oncall: looking`; every kind has such a sentence.
    """
    return one_line(_say(event))


def _say(event: Event) -> str:  # one arm for each kind, nothing else
    body, who = event.body, _who(event.by)
    match body:
        case ev.IncidentOpened():
            return f"Incident opened: {one_line(body.title, 160)} ({body.severity})"
        case ev.AlertFired(alert=a):
            return f"Alert fired: {_alert(a.name, a.service)}{_rest(a.summary)}"
        case ev.AlertResolved(alert=a):
            return f"Alert resolved: {_alert(a.name, a.service)}"
        case ev.SeverityChanged():
            return f"Severity changed from {body.was} to {body.severity}{_rest(body.why)}"
        case ev.Acknowledged():
            return f"Acknowledged by {who}{_rest(body.note)}"
        case ev.RunStarted():
            again = f" again (attempt {body.attempt})" if body.attempt > 1 else ""
            why = {"after": ", to look again after the act", "manual": ", by hand"}
            return f"Run {body.run} started{again}: {body.runbook}{why.get(body.purpose, '')}"
        case ev.RunLive():
            kept = f" after {_count(body.recorded, 'recorded look')}" if body.recorded else ""
            return f"Run {body.run} asks the live sources{kept}"
        case ev.RunFinished():
            cell = f" in cell In [{body.cell}]" if body.cell is not None else ""
            gaps = f", {_count(body.gaps, 'gap')}" if body.gaps else ""
            took = format_duration(timedelta(seconds=body.seconds))
            return (
                f"Run {body.run} {body.status.replace('_', ' ')}{cell} after {took}"
                f" ({_count(body.looks, 'look')}{gaps}){_rest(body.error)}"
            )
        case ev.SuspectsNamed():
            if not body.suspects:
                return "Nothing stands out: no suspect named"
            top = body.suspects[0]
            more = f" (and {len(body.suspects) - 1} more)" if len(body.suspects) > 1 else ""
            return f"Suspect named: {one_line(top.sentence, 200)}{more}"
        case ev.GapFound(gap=gap):
            return f"Gap: {one_line(gap.what, 120)}: {one_line(gap.why, 160)}"
        case ev.PlanMade(plan=plan):
            kind = "Undo planned" if plan.undoes else "Plan made"
            return f"{kind}: {one_line(plan.title, 160)}, asked for by {_who(plan.requester)}"
        case ev.ActRefused():
            return f"Refused: {body.action} of {body.target}, {body.reason}{_rest(body.text)}"
        case ev.ApprovalGiven():
            if body.policy:
                return f"Approved by policy {body.policy}{_rest(body.note)}"
            return f"Approved by {who}{_rest(body.note)}"
        case ev.ApprovalDenied():
            return f"Denied by {who}{_rest(body.note)}"
        case ev.ApprovalExpired():
            return "Nobody decided in time: nothing is applied"
        case ev.ActionStarted():
            return f"Applying: {body.title or body.plan}"
        case ev.ActionApplied(outcome=outcome):
            how = "Was applied already" if outcome.status == "already" else "Applied"
            return f"{how}{_rest(outcome.text)}"
        case ev.ActionFailed(outcome=outcome):
            unknown = outcome.status == "unknown"
            how = "It is unknown whether the act was applied" if unknown else "The act failed"
            return f"{how}{_rest(outcome.text)}"
        case ev.EffectChecked():
            return f"Looked at the effect ({body.number}){_rest(body.text)}"
        case ev.EffectVerified():
            verdict = {
                "recovered": f"{body.service} recovered",
                "not_recovered": f"{body.service} did not recover",
            }.get(body.verdict, f"It is unknown whether {body.service} recovered")
            unit = body.unit
            was, now = reading(body.before, unit), reading(body.after, unit)
            limit = f", limit {reading(body.limit, unit)}" if body.limit is not None else ""
            return f"{verdict}: {body.signal} {was} -> {now}{limit}{_rest(body.text)}"
        case ev.MessagePosted():
            return f"To {body.channel}: {one_line(body.text, 240)}"
        case ev.NoteWritten():
            return f"{who}: {one_line(body.text, 280)}"
        case ev.AttentionNeeded():
            return f"A person must look: {one_line(body.why, 200)}{_rest(body.next)}"
        case ev.EffectFailed():
            return f"{body.effect} failed (attempt {body.attempt}){_rest(body.error)}"
        case ev.IncidentResolved():
            return f"Incident resolved{_rest(body.why)}"
        case ev.PostmortemExported():
            return f"Post-mortem written from run {body.run}, chain head {body.head[:12]}"
        case ev.Corrected():
            change = f"{one_line(body.was, 80)} -> {one_line(body.value, 80)}"
            return f"{who} corrected {body.field} of event {body.of}: {change}{_rest(body.why)}"
        case _:
            assert_never(body)


def _alert(name: str, service: str) -> str:
    on = f" on {one_line(service, 60)}" if service else ""
    return f"{one_line(name, 80)}{on}"


def _rest(text: str) -> str:
    return f": {one_line(text, 200)}" if text.strip() else ""


def _who(principal: str) -> str:
    return one_line(principal.removeprefix("person:"), 90)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
