"""The drafts that a machine writes for people to correct, and the words it warns about."""

from __future__ import annotations

import re
from typing import Final

from irkit.figures.scale import duration
from irkit.model.finding import Finding, unopposed
from irkit.model.units import reading
from irkit.postmortem.values import PostmortemFacts

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|~$&!])")
_LEADING: Final = re.compile(r"^([#+\-=]|\d+(?=[.)](?:\s|$)))")
_WORDS: Final = {
    "should have": "say what happened; what should have been is hindsight",
    "failed to": "say what was done instead, and what was seen at the time",
    "human error": "say what made the step easy to get wrong",
    "root cause": "say contributing factors: there is seldom one",
    "obviously": "leave it out; it was not obvious then",
    "outage": "say which share of requests failed, unless it was total",
}


def md(text: str) -> str:
    """Foreign text as inert Markdown, on one line: nothing in it is markup.

    Example:
        >>> md("<b>x</b> | [a](b)")
        '\\\\<b\\\\>x\\\\</b\\\\> \\\\| \\\\[a\\\\](b)'
    """
    one_line = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    inert = _SPECIAL.sub(r"\\\1", one_line).replace("://", ":\\//")
    return _LEADING.sub(lambda m: "\\" + m[1] if not m[1][0].isdigit() else m[1] + "\\", inert)


def summary(facts: PostmortemFacts) -> str:
    """Effect, cause, remedy: three sentences of Markdown, drafted from the facts."""
    when = f"{facts.start:%H:%M:%SZ}"
    until = f" to {facts.end:%H:%M:%SZ}" if facts.end else ", not over yet"
    lasted = f" ({duration(facts.seconds)})" if facts.seconds is not None else ""
    lines = [f"From {when}{until}{lasted}: {md(facts.effect)}."]
    if facts.suspects:
        rated = facts.suspects[0]
        against = strongest_contrary(rated.suspect.findings_against)
        nothing = unopposed(rated.suspect.looks)
        contrary = (
            f" What speaks against it: {md(against)}."
            if against
            else f" {nothing[0].upper()}{nothing[1:]}."
        )
        lines.append(
            f"Contributing factor, *{rated.strength}*: {md(rated.suspect.sentence)}.{contrary}"
        )
    else:
        lines.append("No run named a contributing factor.")
    lines.append(f"{md(facts.ended[:1].upper() + facts.ended[1:])}.")
    return "\n".join(line.replace("..", ".") for line in lines)


def lessons(facts: PostmortemFacts) -> str:
    """A frame for what people learned, with what the ledger can say already filled in."""
    helped = [
        f"- The first run took {duration(r.seconds)} from start to end."
        for r in facts.runs[:1]
        if r.seconds
    ]
    hindered = [
        f"- {md(gap.what)}: {md(gap.why)}. {md(_sentence(gap.cannot_say))}"
        for gap in facts.gaps
        if gap.what in facts.failed_looks
    ]
    hindered += [
        f"- {md(r.action)} {md(r.target)} was refused: {md(r.text)}" for r in facts.refusals[:5]
    ]
    parts = [
        "**Helped**",
        *(helped or ["- not recorded"]),
        "",
        "**Hindered**",
        *(hindered or ["- not recorded"]),
        "",
        "**Luck**",
        "- not recorded",
        "",
        "**Surprises**",
        "- not recorded",
    ]
    return "\n".join(parts)


def actions(facts: PostmortemFacts) -> str:
    """A table of suggested action items: unowned until somebody adopts them."""
    rows = [
        ("Bring back the look at " + gap.what, "detect", "the look succeeds in a run")
        for gap in facts.gaps[:5]
    ]
    ack = next((t.length for t in facts.times if t.name == "acknowledge"), None)
    if ack and ack.total_seconds() > 300:
        rows.append(
            (
                f"Shorten the time to acknowledge ({duration(ack.total_seconds())})",
                "process",
                "half of the pages are acknowledged within 5 minutes",
            )
        )
    rows += [
        (
            f"Give {p.state.plan.action} on {p.state.plan.target} a way back",
            "mitigate",
            "its plan shows an undo",
        )
        for p in facts.responses
        if p.state.plan.undo.cannot
    ]
    top = facts.suspects[0].suspect if facts.suspects else None
    if top and top.change:
        rows.append(
            (
                f"Catch what {top.service} {top.change} changed before it reaches users",
                "prevent",
                "a test or a staged rollout shows the symptom",
            )
        )
    if not rows:
        return "No action item was suggested or written."
    head = (
        "| action | kind | done when | owner | due | state |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "\n".join(
        f"| {md(what)} | {kind} | {md(done)} | suggested, unowned | not set | not tracked |"
        for what, kind, done in rows
    )


def _sentence(text: str) -> str:
    return f"We cannot say {text}." if text else ""


def strongest_contrary(findings: tuple[Finding, ...]) -> str:
    """The contrary finding with the largest move, in its own words; empty if there is none."""
    if not findings:
        return ""
    top = max(findings, key=lambda f: abs(f.sigmas or 0))
    numbers = ""
    if top.before is not None and top.after is not None:
        numbers = f" ({reading(top.before, top.unit)} to {reading(top.after, top.unit)})"
    return top.sentence + numbers


def warnings(text: str) -> tuple[str, ...]:
    """Wording that hides what happened, with what to write instead.

    Example:
        >>> warnings("Obviously a human error.")[0]
        'human error: say what made the step easy to get wrong'
    """
    low = re.sub(r"\s+", " ", text.lower())
    return tuple(f"{word}: {cure}" for word, cure in _WORDS.items() if word in low)
