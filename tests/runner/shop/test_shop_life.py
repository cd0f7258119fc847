"""Nothing of a shop outlives it, whoever is killed, and what should run is kept running."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from irkit.errors import AlreadyRunning, IrkitError
from runner.demo.shop import Shop

Start = Callable[..., subprocess.Popen[str]]
Until = Callable[..., None]
Alive = Callable[[list[psutil.Process]], list[psutil.Process]]
PARTS = ("shop.supervisor", "service frontend", "service checkout", "service payments", "shop.load")


def words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def family(of: psutil.Process) -> list[psutil.Process]:
    """The five processes of a shop, and versions that are just leaving."""
    processes = of.children(recursive=True)
    commands = [words(process) for process in processes]
    assert all(any(part in command for command in commands) for part in PARTS)
    return processes


@pytest.fixture
def owned(tmp_path: Path, start: Start) -> subprocess.Popen[str]:
    """A shop run in the foreground by another process, once it is open."""
    process = start("runner.demo.shop", "--home", tmp_path / "shop", "--seed", "3")
    assert process.stdout is not None
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert line, "it ended before it was open"
    return process


def test_stop_ends_every_process_and_frees_the_ports(
    tmp_path: Path, until: Until, still_alive: Alive
) -> None:
    with Shop(tmp_path / "shop", seed=7) as shop:
        processes = family(psutil.Process())
        ports = shop.ports
    until(lambda: not still_alive(processes), within=5)
    for port in ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert not (tmp_path / "shop/supervisor.sock").exists()
    shop.stop()


def test_a_killed_owner_takes_everything_with_it(
    owned: subprocess.Popen[str], until: Until, still_alive: Alive
) -> None:
    processes = family(psutil.Process(owned.pid))
    owned.kill()
    until(lambda: not still_alive(processes), within=10)


def test_ctrl_c_ends_it_in_good_order(
    owned: subprocess.Popen[str], until: Until, still_alive: Alive
) -> None:
    processes = family(psutil.Process(owned.pid))
    owned.send_signal(signal.SIGINT)
    assert owned.wait(10) == 0
    assert still_alive(processes) == []


def test_a_killed_supervisor_takes_everything_with_it(
    owned: subprocess.Popen[str], until: Until, still_alive: Alive
) -> None:
    processes = family(psutil.Process(owned.pid))
    (supervisor,) = psutil.Process(owned.pid).children()
    supervisor.kill()
    until(lambda: not still_alive(processes), within=10)
    _, err = owned.communicate(timeout=10)
    assert owned.returncode == IrkitError.exit_code
    assert "the shop's supervisor ended" in err


def test_a_stopped_service_dies_with_its_supervisor(
    shop: Shop, until: Until, still_alive: Alive
) -> None:
    (supervisor,) = psutil.Process().children()
    processes = family(psutil.Process())
    for process in processes[1:]:
        process.suspend()
    supervisor.kill()
    until(lambda: not still_alive(processes[1:]), within=10)


def test_a_killed_service_is_started_again_on_its_port(shop: Shop, until: Until) -> None:
    url = f"http://127.0.0.1:{shop.ports['payments']}/healthz"
    (killed,) = (
        process for process in family(psutil.Process()) if "payments 2.0.7" in words(process)
    )
    killed.kill()
    until(lambda: any("payments 2.0.7" in words(p) for p in psutil.Process().children(True)))
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert json.load(reply)["version"] == "2.0.7"
    assert shop.deploy("payments", "2.0.6")["outcome"] == "deployed"


def test_one_shop_per_folder(shop: Shop) -> None:
    with pytest.raises(AlreadyRunning, match="a shop runs here already"):
        Shop(shop.home, seed=1).start()
    assert shop.deploy("checkout", "1.4.2")["outcome"] == "deployed"


def test_a_broken_history_is_named(tmp_path: Path) -> None:
    (tmp_path / "deploys.jsonl").write_text("{")
    with pytest.raises(IrkitError, match=r"deploys\.jsonl line 1"):
        Shop(tmp_path, seed=1).start()
    assert psutil.Process().children() == []


def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 100) / ("b" * 100)
    with Shop(deep, seed=1) as shop:
        assert shop.deploy("checkout", "1.4.2")["outcome"] == "deployed"


def test_a_home_goes_on_where_it_left_off(tmp_path: Path) -> None:
    with Shop(tmp_path, seed=1) as shop:
        shop.deploy("checkout", "1.4.2")
        before = shop.history()
    with Shop(tmp_path, seed=1) as shop:
        assert shop.history() == before
        assert shop.deploy("checkout", "1.4.2")["outcome"] == "unchanged"
