"""What is owed: one pure function over the incident's state, the policy and the time.

`decide` is level-triggered.  It is asked after every append, on every tick and at start-up; it
names all that the ledger still owes, due now or later.  Doing an effect appends an event, and then
it is owed no longer.  Nothing here does I/O or knows a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from irkit.model.incident import ENDED, IN_FLIGHT, IncidentState, PlanState
from irkit.model.policy import Policy
from runner.decide.effect import Effect

__all__ = ["Effect", "decide"]

OPENED = "opened"


def decide(state: IncidentState, policy: Policy, now: datetime) -> tuple[Effect, ...]:
    """The effects that this incident owes, each with its key and due time.

    Example:
        >>> [e.key for e in decide(just_opened, policy, now)]     # doctest: +SKIP
        ['run:1']
    """
    owed = [*_runs(state, policy, now), *_acts(state, policy, now)]
    owed = [e for e in (_attempt(e, state, policy) for e in owed) if e]
    rest = [*_told(state, policy, now), *_closing(state, policy, now, nothing_owed=not owed)]
    rest = [e for e in (_attempt(e, state, policy) for e in rest) if e]
    if any(e.kind == "resolve" and e.due <= now for e in rest):
        # First the end, then the look back: a run must not make the incident look longer.
        owed = [e for e in owed if e.kind != "run"]
    return (*owed, *rest)


def _attempt(effect: Effect, state: IncidentState, policy: Policy) -> Effect | None:
    """The same effect at its next attempt, later each time; None once it was given up."""
    failure = state.failures.get(effect.base)
    if failure is None:
        return effect
    if failure.attempts >= policy.max_attempts:
        return None
    pause = timedelta(seconds=policy.retry_seconds * 4 ** (failure.attempts - 1))
    return Effect(
        incident=effect.incident,
        base=effect.base,
        kind=effect.kind,
        due=max(effect.due, failure.at + pause),
        attempt=failure.attempts + 1,
        subject=effect.subject,
        number=effect.number,
        why=effect.why,
    )


def _given_up(state: IncidentState, policy: Policy, *bases: str) -> bool:
    """Whether one of these was tried so often that a person was told instead."""
    return any(
        base in state.failures and state.failures[base].attempts >= policy.max_attempts
        for base in bases
    )


def _runs(state: IncidentState, policy: Policy, now: datetime) -> Iterator[Effect]:
    """One run when the incident opens, one after each act that ended; never two at once."""
    running = next((r for r in state.runs if r.status == "running"), None)
    if running and not _given_up(state, policy, f"run:{running.ordinal}"):
        yield Effect(
            incident=state.id, base=f"run:{running.ordinal}", kind="run", due=now,
            number=running.ordinal, subject=running.run, why=running.because,
        )  # fmt: skip
        return
    if len(state.runs) >= policy.max_runs:
        return
    reasons = [OPENED] if not state.resolved_at or state.runs else []
    # An act that is taken back is looked at once that is done, not in between.
    reasons += [
        p.plan.id
        for p in state.plans
        if p.status in ENDED and not p.undone_by and not _to_be_undone(state, p, policy)
    ]
    covered = {r.because for r in state.runs}
    why = next((r for r in reasons if r not in covered), None)
    if why:
        ordinal = len(state.runs) + 1
        yield Effect(
            incident=state.id, base=f"run:{ordinal}", kind="run", due=now, number=ordinal, why=why
        )


def _acts(state: IncidentState, policy: Policy, now: datetime) -> Iterator[Effect]:
    for plan_state in state.plans:
        yield from _act(state, plan_state, policy, now)


def _act(state: IncidentState, known: PlanState, policy: Policy, now: datetime) -> Iterator[Effect]:
    plan = known.plan

    def owe(kind: str, base: str, due: datetime, number: int = 0) -> Effect:
        return Effect(
            incident=state.id, base=base, kind=kind, due=due, subject=plan.id, number=number
        )

    match known.status:
        case "waiting":
            over = now if state.resolved_at else plan.expires_at
            if plan.policy == "auto" and over > now:
                yield owe("approve", f"approve:{plan.id}", now)
            else:
                yield owe("expire", f"expire:{plan.id}", over)
        case "approved":
            ends = state.resolved_at or known.approval_ends_at
            if ends and ends <= now:
                yield owe("expire", f"expire:{plan.id}", ends)
            else:
                yield owe("apply", f"apply:{plan.id}", now)
        case "applying":
            yield owe("apply", f"apply:{plan.id}", now)
        case "applied":
            every = timedelta(seconds=plan.check.every_seconds if plan.check else 0)
            last = known.checked_at or known.applied_at or now
            number = known.checks + 1
            yield owe("verify", f"verify:{plan.id}:{number}", last + every, number)
        case "not_recovered" if _to_be_undone(state, known, policy):
            yield owe("undo", f"undo:{plan.id}", now)


def _to_be_undone(state: IncidentState, known: PlanState, policy: Policy) -> bool:
    """Whether the policy has an act that did not help taken back, and it still can be."""
    wanted = policy.action(known.plan.action).undo == "auto" and not state.resolved_at
    possible = bool(known.plan.undo.action) and not known.plan.undoes
    return wanted and possible and not known.undone_by and not known.undo_refused


def _told(state: IncidentState, policy: Policy, now: datetime) -> Iterator[Effect]:
    """What a person must hear of: runs that failed, acts that did not help, effects given up."""

    def tell(about: str, why: str) -> Iterator[Effect]:
        if about not in state.told:
            yield Effect(
                incident=state.id, base=f"tell:{about}", kind="tell", due=now, subject=about,
                why=why,
            )  # fmt: skip

    for run in state.runs:
        if run.status not in ("running", "succeeded"):
            cell = f" in cell In [{run.cell}]" if run.cell is not None else ""
            yield from tell(run.run, f"run {run.run} {run.status}{cell}: {run.error}")
    for known in state.plans:
        title = known.plan.title
        if known.status == "not_recovered":
            undone = known.undone_by or _to_be_undone(state, known, policy)
            then = "; it is taken back" if undone else ""
            yield from tell(known.plan.id, f"{title} was applied, the signal did not recover{then}")
            if known.undo_refused:
                text = f"{title} did not help and was not undone: {known.undo_refused}"
                yield from tell(f"undo:{known.plan.id}", text)
        elif known.status == "unknown":
            yield from tell(known.plan.id, f"{title} was applied, nobody can tell if it helped")
        elif known.status == "failed":
            unsure = known.outcome is not None and known.outcome.status == "unknown"
            what = "may have been applied" if unsure else "could not be applied"
            text = known.outcome.text if known.outcome else ""
            yield from tell(known.plan.id, f"{title} {what}: {text}")
        elif known.status == "expired" and not state.resolved_at:
            yield from tell(known.plan.id, f"nobody decided on {title} in time, nothing was done")
    for base, failure in state.failures.items():
        # Where telling itself fails there is nobody left to tell: the runner's log has it.
        if failure.attempts >= policy.max_attempts and not base.startswith("tell:"):
            why = f"gave up on {base} after {failure.attempts} tries: {failure.error}"
            yield from tell(base, why)


def _closing(
    state: IncidentState, policy: Policy, now: datetime, *, nothing_owed: bool
) -> Iterator[Effect]:
    """Resolve when all alerts have; export when nothing else will happen."""
    busy = any(
        p.status in IN_FLIGHT
        and not _given_up(state, policy, f"apply:{p.plan.id}", f"verify:{p.plan.id}:{p.checks + 1}")
        for p in state.plans
    )
    busy = busy or any(
        r.status == "running" and not _given_up(state, policy, f"run:{r.ordinal}")
        for r in state.runs
    )
    if not state.resolved_at and state.alerts and not state.firing and not busy:
        if state.runs or nothing_owed:
            quiet_since = max(a.changed_at for a in state.alerts.values())
            due = quiet_since + timedelta(seconds=policy.resolve_after_seconds)
            yield Effect(incident=state.id, base="resolve", kind="resolve", due=due)
    elif state.resolved_at and nothing_owed and state.exported_seq < state.last_seq:
        yield Effect(
            incident=state.id, base=f"export:{state.last_seq}", kind="export", due=now,
            number=state.last_seq,
        )  # fmt: skip
