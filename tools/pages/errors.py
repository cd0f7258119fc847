"""docs/errors.md, from `irkit.errors` and from every refusal in the code."""

from __future__ import annotations

import ast
from pathlib import Path

from irkit import errors
from pages import NOTICE, doc, prose, table
from runner.web.errors import status_of

ROOT = Path(__file__).resolve().parents[2]
# What each fixed word means and what to do.  The page cannot be written while a word that the code
# uses is missing here, or one stands here that no code uses.
REASONS = {
    "already": "The target is already as wanted; there is nothing to do.",
    "blast_radius": "It would touch a larger share of the instances than `max_share` allows.",
    "browser": "A hook was called from a browser; hooks are for machines.",
    "busy": "Too much at once; send it again in a moment.",
    "cooldown": "The last act of this kind on this target was less than `cooldown` ago.",
    "csrf": "The form is not one that this server gave to this browser; open the page again.",
    "decided": "The plan has been decided on already, or this person has decided.",
    "expired": "Nobody decided before the plan's expiry. Propose it again.",
    "failed_before": "An act in this incident did not help; only people decide from here on.",
    "forbidden": "The policy of this action is `forbid`, or it has no rules.",
    "frozen": "`safety.freeze` is on.",
    "host": "The request names a host that is not this server's; set `server.url`.",
    "impossible": "The target cannot do it: another action or argument, or no earlier version.",
    "locked": "Another act is under way on the same target.",
    "no_such_action": "The catalog gives the service no such action.",
    "not_a_person": "Only a person decides.",
    "not_affected": "The target is not among the services that the incident may involve.",
    "not_permitted": "The person is not among the action's `approvers`.",
    "origin": "The request came from another site; open the page itself and decide there.",
    "plan_changed": "What would be done is no longer what was read. Read it again, then decide.",
    "rate": "It was done `max_per_hour` times on this target within the hour.",
    "resolved": "The incident is over.",
    "same_person": "Who asks does not approve.",
    "too_fast": "Too many wrong tokens; wait.",
    "too_large": "The body is larger than is read here.",
    "too_slow": "The body came so slowly that it was given up; send it again.",
    "too_many_words": "The run proposed, said or noted more than a run may.",
    "unauthenticated": "No credential, or one that is nobody's.",
}


def page() -> str:
    """The whole page."""
    known = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.IrkitError)
    ]
    return (
        "\n\n".join(
            [
                NOTICE,
                "# Errors",
                "Every error says what happened, on what, and what to do next. On the command line"
                " it is one line on standard error and an exit code; in a notebook an exception;"
                ' over HTTP a JSON object `{"what", "on", "next", "reason"}`. No secret stands in'
                " any of them.",
                "## Kinds",
                table(
                    ("error", "kind of", "meaning", "exit code", "HTTP"),
                    [
                        (
                            f"`{kind.__name__}`",
                            f"`{kind.__base__.__name__}`",  # type: ignore[union-attr]
                            prose(doc(kind)),
                            str(kind.exit_code),
                            _status(kind),
                        )
                        for kind in known
                    ],
                ),
                "`LookFailed.retryable` says whether asking again may help. A look that fails in a"
                " call for several things becomes a gap, see"
                " [writing-a-runbook.md](writing-a-runbook.md#when-a-look-fails).",
                "## Reasons of a refusal",
                "`Refused.reason` is one of these fixed words. A refused act is an `act.refused`"
                " event with the same word, so it stands in the timeline.",
                table(
                    ("reason", "meaning", "HTTP", "decided in"),
                    [
                        (f"`{word}`", REASONS[word], _status_of_reason(word), ", ".join(files))
                        for word, files in sorted(_used().items())
                    ],
                ),
            ]
        )
        + "\n"
    )


def _status(kind: type[errors.IrkitError]) -> str:
    if kind is errors.Refused:
        return "by its reason"
    return str(status_of(kind("")))


def _status_of_reason(word: str) -> str:
    if word == "host":  # answered by the guard, before there is a page to answer
        return "400"
    return str(status_of(errors.Refused("", reason=word)))


def _used() -> dict[str, list[str]]:
    """Every reason in the code, and the files that decide on it."""
    found: dict[str, set[str]] = {}
    for folder in ("irkit", "runner"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            # The shop is a system to act on, and refuses in words of its own.
            if name.startswith(("irkit/testing/", "runner/demo/")) or name == "irkit/errors.py":
                continue
            for word in _reasons(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(word, set()).add(f"`{name}`")
    if set(found) != set(REASONS):
        odd = ", ".join(sorted(set(found) ^ set(REASONS)))
        raise SystemExit(f"tools/pages/errors.py: reasons and the code differ: {odd}")
    return {word: sorted(files) for word, files in found.items()}


def _reasons(tree: ast.AST) -> list[str]:
    """The reasons of `Refused(...)` and `Refusal(...)`, whichever way they are written."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        for word in node.keywords:
            constant = isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
            if name in ("Refused", "Refusal") and word.arg == "reason" and constant:
                found.append(word.value.value)  # type: ignore[attr-defined]
    return found
