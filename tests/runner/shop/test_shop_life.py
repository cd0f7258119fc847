"""Nothing of a shop outlives it, whoever is killed, and what should run is kept running."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from irkit.errors import AlreadyRunning, IrkitError
from runner.demo.shop import Shop

Start = Callable[..., subprocess.Popen[str]]
Running = Callable[..., list[psutil.Process]]
Until = Callable[..., None]
Alive = Callable[[list[psutil.Process]], list[psutil.Process]]
Owned = subprocess.Popen[str]
PARTS = ("shop.supervisor", "service frontend", "service checkout", "service payments", "shop.load")


def all_of_it(running: Running, home: Path) -> list[psutil.Process]:
    """The processes of the shop in `home`, supervisor first."""
    parts = {part: running(part, home) for part in PARTS}
    assert all(parts.values()), parts
    return [process for found in parts.values() for process in found]


@pytest.fixture
def owned(tmp_path: Path, start: Start) -> Owned:
    """A shop run in the foreground by another process, once it is open."""
    process = start("runner.demo.shop", "--home", tmp_path / "shop", "--seed", "3")
    assert process.stdout is not None
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert line, "it ended before it was open"
    return process


def test_stop_ends_every_process(tmp_path: Path, running: Running, still_alive: Alive) -> None:
    with Shop(tmp_path / "shop", seed=7) as shop:
        processes = all_of_it(running, shop.home)
    assert still_alive(processes) == []
    assert not (shop.home / "supervisor.sock").exists()
    shop.stop()


def test_a_killed_owner_takes_everything_with_it(
    owned: Owned, tmp_path: Path, running: Running, until: Until, still_alive: Alive
) -> None:
    processes = all_of_it(running, tmp_path)
    owned.kill()
    until(lambda: not still_alive(processes), within=10)


def test_ctrl_c_ends_it_in_good_order(
    owned: Owned, tmp_path: Path, running: Running, still_alive: Alive
) -> None:
    processes = all_of_it(running, tmp_path)
    owned.send_signal(signal.SIGINT)
    assert owned.wait(10) == 0
    assert still_alive(processes) == []


def test_a_killed_supervisor_takes_everything_with_it(
    owned: Owned, tmp_path: Path, running: Running, until: Until, still_alive: Alive
) -> None:
    processes = all_of_it(running, tmp_path)
    processes[0].kill()
    until(lambda: not still_alive(processes), within=10)
    _, err = owned.communicate(timeout=10)
    assert owned.returncode == IrkitError.exit_code
    assert "the shop's supervisor ended" in err


def test_a_stopped_service_dies_with_its_supervisor(
    shop: Shop, running: Running, until: Until, still_alive: Alive
) -> None:
    supervisor, *others = all_of_it(running, shop.home)
    for process in others:
        process.suspend()
    supervisor.kill()
    until(lambda: not still_alive(others), within=10)


def test_a_killed_service_is_started_again_on_its_port(
    shop: Shop, running: Running, until: Until
) -> None:
    (killed,) = running("service payments 2.0.7", shop.home)
    killed.kill()
    until(lambda: running("service payments 2.0.7", shop.home) not in ([], [killed]))
    url = f"http://127.0.0.1:{shop.ports['payments']}/healthz"
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert json.load(reply)["version"] == "2.0.7"
    assert shop.deploy("payments", "2.0.6")["outcome"] == "deployed"


def test_one_shop_per_folder(shop: Shop) -> None:
    with pytest.raises(AlreadyRunning, match="a shop runs here already"):
        Shop(shop.home, seed=1).start()
    assert shop.deploy("checkout", "1.4.2")["outcome"] == "deployed"


def test_a_broken_history_is_named(tmp_path: Path, running: Running) -> None:
    (tmp_path / "deploys.jsonl").write_text("{")
    with pytest.raises(IrkitError, match=r"deploys\.jsonl line 1"):
        Shop(tmp_path, seed=1).start()
    assert running(tmp_path) == []


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
