"""Starting and stopping a shop from Python."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from irkit.errors import IrkitError
from runner.demo.shop import client, history
from runner.demo.shop.lifeline import environment, python

OPEN_WITHIN = 20.0
"""Seconds for the whole shop to start."""
STOP_WITHIN = 5.0
"""Seconds for the supervisor to end its services before it is killed (and they with it)."""


class Shop:
    """Three real services, frontend -> checkout -> payments, under load, in a folder of their own.

    `home` gets `deploys.jsonl`, `logs/SERVICE.jsonl` and `load.jsonl`; a home that has a history
    goes on where it left off. `ports` (service -> loopback port) stays the same across deploys.
    Everything ends with the `with` block, or with the process that holds it, however it ends.
    Raises AlreadyRunning when another shop runs in `home`.

    Example:
        >>> with Shop(Path("shop"), seed=7) as shop:          # doctest: +SKIP
        ...     shop.deploy("checkout", "1.4.2")
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.seed = home.resolve(), seed
        self.ports: dict[str, int] = {}
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Shop:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the supervisor, the services and the load, and return when all of them answer."""
        self.home.mkdir(parents=True, exist_ok=True)
        arguments = ["--home", str(self.home), "--seed", str(self.seed)]
        arguments += ["--parent", str(os.getpid())]
        with (self.home / "supervisor.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                python("supervisor", *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                cwd=self.home,
                start_new_session=True,  # Ctrl-C is for the owner, who then stops the shop
            )
        try:
            self.ports = self._opened(self._supervisor)["ports"]
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process of the shop; harmless when it is stopped already."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        supervisor.stdin.close()
        try:
            supervisor.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        supervisor.stdout.close()

    def wait(self) -> int:
        """Wait until the supervisor ends (it does so by itself only when it is killed)."""
        return self._supervisor.wait() if self._supervisor else 0

    def deploy(
        self,
        service: str,
        version: str,
        *,
        by: str = "person:ci",
        key: str = "",
        reason: str = "",
    ) -> dict[str, Any]:
        """Bring a version into service and return {"outcome", "entry"}.

        `outcome` is "deployed", "done_before" (this `key` is in the history) or "unchanged" (the
        version runs already). Raises BadInput, Refused or DeployFailed.
        """
        return client.ask(
            self.home, "deploy", service=service, version=version, by=by, key=key, reason=reason
        )

    def history(self) -> list[dict[str, Any]]:
        """All deploys, oldest first, as they stand in `deploys.jsonl`."""
        return history.read(self.home / "deploys.jsonl")

    def _opened(self, supervisor: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert supervisor.stdout is not None
        ready, _, _ = select.select([supervisor.stdout], [], [], OPEN_WITHIN)
        line = supervisor.stdout.readline() if ready else b""
        if not line:
            raise IrkitError(
                "the shop did not start",
                on=str(self.home),
                next=f"see {self.home / 'supervisor.log'}",
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise client.decode_error(answer["error"])
        return answer


def run_foreground(home: Path, seed: int) -> None:
    """Run a shop until Ctrl-C, after printing where it is and how to break it."""
    try:
        with Shop(home, seed) as shop:
            print(_guide(shop), flush=True)
            shop.wait()
    except KeyboardInterrupt:
        return
    raise IrkitError(
        "the shop's supervisor ended",
        on=str(shop.home),
        next=f"see {shop.home / 'supervisor.log'}, then start it again",
    )


def _guide(shop: Shop) -> str:
    deploy = "python -m runner.demo.shop.deploy checkout"
    return "\n".join(
        [
            *(
                f"{service:9} http://127.0.0.1:{port}  (/metrics, /healthz)"
                for service, port in shop.ports.items()
            ),
            f"logs      {shop.home / 'logs'}",
            f"deploys   {shop.home / 'deploys.jsonl'}",
            f"break it  {deploy} 1.4.2 --home {shop.home}",
            f"mend it   {deploy} --previous --home {shop.home}",
            "Ctrl-C ends it.",
        ]
    )
