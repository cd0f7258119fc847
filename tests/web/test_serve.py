"""`serve` as a process: it says where it is, logs in by its link, and stops when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
import scene

from irkit.errors import IrkitError
from runner.serve import Server

PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import scene
    from runner.serve import Server

    anywhere = scene.CONFIG.replace("server: {", "server: {listen: '127.0.0.1:0', ")
    runner = scene.runner_in(Path(sys.argv[1]), config=anywhere)
    scene.opened(runner)
    server = Server(runner)
    print(server.link("person:ada"), flush=True)
    server.run()
    runner.close()
    print("closed", flush=True)
    """
)


def test_it_stops_when_told_even_with_pages_open(tmp_path: Path) -> None:
    environment = os.environ | scene.environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        link = process.stdout.readline().strip()
        base = link.split("/login")[0]
        with httpx.Client(base_url=base, timeout=20) as client:
            assert client.get(link).status_code == 303
            assert "30 % of checkouts fail" in client.get("/").text
            assert "server" not in client.get("/").headers
            with client.stream("GET", "/incidents/IR-1/stream") as stream:
                lines = stream.iter_lines()
                while not next(lines).startswith("data: "):
                    pass
                process.send_signal(signal.SIGTERM)
                assert process.stdout.readline().strip() == "closed"
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert link.split("once=")[1] not in out + err
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        config = scene.CONFIG.replace("server: {", f"server: {{listen: '{where}', ")
        runner = scene.runner_in(tmp_path, config=config)
        try:
            with pytest.raises(IrkitError, match=f"cannot listen .address already.*: {where}"):
                Server(runner)
        finally:
            runner.close()
