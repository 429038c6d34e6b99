"""Nights that are disturbed as a user's machine disturbs them; each must end as the night that nobody disturbed.

`python -m tests.flows.faults --results FILE [--minutes 20] [--fault NAME ...]` prepares a home once, runs its next
night undisturbed, and then takes one fault after another, at moments that a seed draws: a night that was killed is
started again and killed again, some times. Then the night is run to its end on the same home, and what the home holds
is compared with the undisturbed one: rows, content, models, MLflow's versions. The doctor must find nothing and both
audit chains must hold. One line of JSON a trial is appended to FILE, and seeds that are there already are not taken
again, so that trials add up over calls and machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from flows.reports.audit_verify import verify_audit
from flows.reports.doctor import examine
from flows.runtime.home_secret import sign_in
from flows.runtime.prefect_server import PrefectSettings, prefect_server
from flows.runtime.private_files import make_files_private
from tests import postgres, s3
from tests.flows.conftest import copy_of
from tests.flows.homes import ROOT, arguments, header, move_home, small_settings, state
from tests.flows.test_kill import ready_home

SHIFTED_CLOCK = Path(tempfile.gettempdir()) / f"earmark-shifted-clock-{os.getpid()}.so"


@dataclass(frozen=True)
class World:
    """A prepared home, its next night, how long that takes [s], and what the home holds afterwards."""

    home: Path
    night: str
    seconds: float
    undisturbed: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One fault and how it ended: `same`, or what differs.

    Attributes:
        fault: which one.
        seed: that drew its moments.
        at: each moment at which it came, as a share of an undisturbed night since the command was started; a command
            that had ended by then was not disturbed, and has none.
        ended: `same`, or what differs.
        day: when it was tried (UTC).
    """

    fault: str
    seed: int
    at: list[float]
    ended: str
    day: str


Disturbed = tuple[list[float], list[str], dict[str, str]]
"""When the fault came [s], each time, and the overrides and the environment of the run after it."""

TIMES = 4
"""How often a night is started and killed before it is run to its end."""


def started(command: list[str], home: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command of earmark as the leader of a process group; what it says is kept beside the home."""
    with (home.parent / "said.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", *command, *arguments(home, *overrides)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup would have it ignored
        )


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started, as a power failure does."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def hang_up(process: subprocess.Popen[str]) -> None:
    """End the terminal of a process."""
    os.killpg(process.pid, signal.SIGHUP)


def stopped_at(process: subprocess.Popen[str], seconds: float, stop: Callable[[subprocess.Popen[str]], None]) -> bool:
    """Stop a process after so many seconds, unless it has ended; return whether it was stopped."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return False
    stop(process)
    process.wait(120)
    return True


def stopped_nights(
    world: World, home: Path, dice: random.Random, stops: Sequence[Callable[[subprocess.Popen[str]], None]], *rest: str
) -> list[float]:
    """Start the night and stop it, again and again, until it ends before its moment; return the moments [s]."""
    moments: list[float] = []
    for _ in range(TIMES):
        at = dice.uniform(0.02, 0.8) * world.seconds  # later steps are reached as well: a night goes on where it was
        if not stopped_at(started(["nightly", "--night", world.night], home, *rest), at, dice.choice(stops)):
            break
        moments.append(at)
    return moments


def kill_nightly(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Kill the command alone, as the system does when memory runs out, or with all that it started."""
    return stopped_nights(world, home, dice, [subprocess.Popen.kill, kill_tree]), [], {}


def hang_up_nightly(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Close the terminal in which a night runs."""
    return stopped_nights(world, home, dice, [hang_up]), [], {}


def kill_serve(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Kill `earmark serve` and the night that it runs."""
    moments = []
    for _ in range(TIMES):
        at = dice.uniform(0.05, 0.9) * world.seconds
        process = started(["serve"], home)
        try:
            _start_served(home, world.night, 300)
            moments += [at] if stopped_at(process, at, kill_tree) else []
        finally:
            if process.poll() is None:
                kill_tree(process)
                process.wait(60)
    return moments, [], {}


def merge_beside_serve(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Merge the answers by hand, again and again, while a served night merges them, too."""
    process = started(["serve"], home)
    try:
        _start_served(home, world.night, 300)
        until = time.monotonic() + dice.uniform(0.3, 1.0) * world.seconds
        while time.monotonic() < until:
            for file in sorted((home / "answers").glob("*.jsonl")):
                started(["merge", str(file)], home).wait(300)
    finally:
        kill_tree(process)
        process.wait(60)
    return [], [], {}


def eight_merges(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Merge overlapping files in eight processes at once, each until the home is free for it."""
    lines = [line for file in (home / "answers").glob("*.jsonl") for line in file.read_text().splitlines(True)]
    files = []
    for number in range(8):
        file = home.parent / f"part-{number}.jsonl"
        file.write_text("".join(dice.sample(lines, len(lines) // 2)))
        files.append(file)
    open_: dict[Path, subprocess.Popen[str]] = {file: started(["merge", str(file)], home) for file in files}
    while open_:
        for file, process in list(open_.items()):
            if process.wait(600) == 0:
                del open_[file]
            else:
                open_[file] = started(["merge", str(file)], home)
    return [], [], {}


def clock_back_a_day(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Kill a night, and run it again by a clock that was set back a day."""
    at, overrides, _ = kill_nightly(world, home, dice)
    return at, overrides, _shifted(timedelta(days=-1))


def clock_over_a_change(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Kill a night, and run it again where the machine's clocks change to or from summer time meanwhile."""
    at, overrides, _ = kill_nightly(world, home, dice)
    change = datetime.now(UTC) + timedelta(seconds=dice.uniform(0.1, 0.9) * world.seconds)
    return at, overrides, {"TZ": zone_that_changes(change, forward=dice.random() < 0.5)}


def zone_that_changes(at: datetime, *, forward: bool) -> str:
    """Return a POSIX time zone whose clocks are put forward or back by an hour at a moment of this year (UTC)."""
    day, hour = at.timetuple().tm_yday - 1, at.hour + (0 if forward else 1)  # the end is written in summer time
    changes = f"{day}/{hour}:{at.minute:02}:{at.second:02}"
    return f"WIN0SUM,{changes},{(day + 180) % 360}" if forward else f"WIN0SUM,{(day + 180) % 360},{changes}"


def full_mlflow_store(world: World, home: Path, dice: random.Random) -> Disturbed:
    """Fill the disk that MLflow's store lies on, and make room again."""
    held = home / "mlflow"
    size = sum(file.stat().st_size for file in held.rglob("*") if file.is_file())
    room = dice.randint(40, 4000) * 1024
    aside = home.parent / "mlflow"
    held.rename(aside)
    held.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + room},mode=700", "tmpfs", str(held)], check=True)
    try:
        shutil.copytree(aside, held, dirs_exist_ok=True)
        started(["nightly", "--night", world.night], home).wait(900)
        shutil.rmtree(aside)
        shutil.copytree(held, aside)
    finally:
        subprocess.run(["umount", str(held)], check=True)
    held.rmdir()
    aside.rename(held)
    return [], [], {}


FAULTS: dict[str, Callable[[World, Path, random.Random], Disturbed]] = {
    "kill nightly": kill_nightly,
    "hang up nightly": hang_up_nightly,
    "kill serve": kill_serve,
    "merge beside serve": merge_beside_serve,
    "eight merges": eight_merges,
    "clock back a day": clock_back_a_day,
    "clock over a change": clock_over_a_change,
    "full MLflow store": full_mlflow_store,
}
ON_SERVERS = ("kill nightly on servers", "kill the database server")
WEIGHTS = {"kill nightly": 8, "kill serve": 4, "hang up nightly": 2}
"""How often a fault's turn comes; once for the others."""


def _shifted(by: timedelta) -> dict[str, str]:
    """Return the environment of commands whose time of day is another one, with the library that shifts it built."""
    if not SHIFTED_CLOCK.exists():
        source = Path(__file__).with_name("shifted_clock.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(SHIFTED_CLOCK), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(SHIFTED_CLOCK), "SHIFTED_BY": str(round(by.total_seconds()))}


def _start_served(home: Path, night: str, seconds: float) -> None:
    """Wait for `earmark serve`, and ask it for a night."""
    record = home / "prefect" / "serve.json"
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            url = json.loads(record.read_text())["api_url"]
            client = httpx.Client(timeout=30, headers=header(sign_in(home)))
            found = client.get(f"{url}/deployments/name/nightly/nightly").raise_for_status().json()
            body = {"parameters": {"night": night}, "state": {"type": "SCHEDULED"}}
            client.post(f"{url}/deployments/{found['id']}/create_flow_run", json=body).raise_for_status()
            return
        if time.monotonic() > until:
            raise TimeoutError("earmark serve does not start")
        time.sleep(0.5)


@contextlib.contextmanager
def on_servers(fault: str, world: World, home: Path, dice: random.Random) -> Iterator[Disturbed]:
    """Kill a night of a home on PostgreSQL and S3, or the database server under it, which then starts again."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.started())
        stack.enter_context(s3.reached(stack.enter_context(s3.started())))
        settings = stack.enter_context(server.corpus())
        overrides = move_home(home, {**settings, "content_url": s3.new_bucket()})
        if fault == "kill the database server":
            moments = server_downs(server, world, home, dice, overrides)
        else:
            moments = stopped_nights(world, home, dice, [subprocess.Popen.kill, kill_tree], *overrides)
        yield moments, overrides, {}


def server_downs(
    server: postgres.Server, world: World, home: Path, dice: random.Random, overrides: list[str]
) -> list[float]:
    """Start the night and kill the database server under it, again and again; return the moments [s]."""
    moments: list[float] = []
    for _ in range(TIMES):
        at = dice.uniform(0.02, 1.0) * world.seconds
        process = started(["nightly", "--night", world.night], home, *overrides)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(at)
            break
        with server.down():
            process.wait(900)
        moments.append(at)
    return moments


def prepared(root: Path) -> World:
    """Return a home whose next night does every step, after that night was run on a copy of it."""
    with prefect_server(root / "prefect", PrefectSettings()) as server:
        server.wait_until_ready(300)
        home, night = ready_home(root, server.api_url)
    copy = copy_of(home, root / "undisturbed" / "home")
    begun = time.monotonic()
    process = started(["nightly", "--night", night], copy)
    if process.wait(1800) != 0:
        raise SystemExit(f"the undisturbed night failed: {(copy.parent / 'said.txt').read_text()[-2000:]}")
    return World(home, night, time.monotonic() - begun, plain(small_settings(copy)))


def plain(settings: Any) -> dict[str, Any]:
    """Return what a home holds as JSON holds it."""
    return dict(json.loads(json.dumps(state(settings))))


def ended(world: World, fault: str, home: Path, dice: random.Random) -> tuple[list[float], str]:
    """Return when the fault came [s], each time, and how the home is after the night was run again."""
    with contextlib.ExitStack() as stack:
        try:
            if fault in ON_SERVERS:
                at, overrides, environment = stack.enter_context(on_servers(fault, world, home, dice))
            else:
                at, overrides, environment = FAULTS[fault](world, home, dice)
            return at, outcome(world, home, overrides, environment)
        except subprocess.TimeoutExpired as error:
            return [], f"{error.cmd[3]} did not end in {error.timeout:.0f} s"


def outcome(world: World, home: Path, overrides: list[str], environment: dict[str, str]) -> str:
    """Run the night again and return `same`, or in what the home differs from the undisturbed one."""
    status = started(["nightly", "--night", world.night], home, *overrides, **environment).wait(1800)
    said = (home.parent / "said.txt").read_text()
    if status != 0:
        return f"run again, it ended with status {status}: {said.strip().splitlines()[-1][:200]}"
    if "Traceback" in said or "unforeseen" in said:
        return "a traceback or an unforeseen error was shown"
    settings = small_settings(home, *overrides)
    found = plain(settings)
    differing = sorted(name for name, expected in world.undisturbed.items() if found[name] != expected)
    problems = examine(settings, repair=False).problems
    assert verify_audit(settings).problems == ()
    if differing or problems:
        return f"differs in {', '.join(differing) or 'nothing'}; the doctor finds {len(problems)}: {problems[:2]}"
    return "same"


def tried(world: World, fault: str, seed: int, root: Path) -> Trial:
    """Return one trial on a copy of the prepared home."""
    home = copy_of(world.home, root / "home")
    at, how = ended(world, fault, home, random.Random(f"{fault} {seed}"))
    return Trial(
        fault, seed, [round(moment / world.seconds, 3) for moment in at], how, datetime.now(UTC).date().isoformat()
    )


def turns(faults: list[str]) -> Iterator[str]:
    """Yield faults for ever, each as often as its weight says, evenly mixed."""
    taken: Counter[str] = Counter()
    while True:
        fault = min(faults, key=lambda name: (taken[name] + 1) / WEIGHTS.get(name, 1))
        taken[fault] += 1
        yield fault


def table(results: Path) -> str:
    """Return how often each fault was tried, and how often all was the same in the end."""
    trials = [Trial(**json.loads(line)) for line in results.read_text().splitlines()] if results.exists() else []
    lines = [f"{'fault':<28}{'trials':>8}{'moments':>9}{'same':>8}"]
    for fault in [*FAULTS, *ON_SERVERS]:
        of = [trial for trial in trials if trial.fault == fault]
        moments, same = sum(len(trial.at) for trial in of), sum(trial.ended == "same" for trial in of)
        lines.append(f"{fault:<28}{len(of):>8}{moments:>9}{same:>8}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--fault", choices=[*FAULTS, *ON_SERVERS], nargs="*", default=[*FAULTS, *ON_SERVERS])
    chosen = parser.parse_args()
    until = time.monotonic() + 60 * chosen.minutes
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    lines = chosen.results.read_text().splitlines() if chosen.results.exists() else []
    seeds = Counter(json.loads(line)["fault"] for line in lines)
    if shutil.which("cc") is None and any(fault.startswith("clock") for fault in chosen.fault):
        sys.exit(
            "the clock is shifted by a small C library; install a C compiler, or leave these faults out by --fault"
        )
    failed = 0
    make_files_private()  # as the command line does: the prepared home is made in this process
    with tempfile.TemporaryDirectory(prefix="earmark-faults-") as folder:
        os.environ["XDG_CONFIG_HOME"] = str(Path(folder) / "config")  # keys of these homes are not among the user's
        world = prepared(Path(folder) / "prepared")
        print(f"an undisturbed night takes {world.seconds:.0f} s", flush=True)
        for fault in turns(chosen.fault):
            if time.monotonic() > until:
                break
            seed = seeds[fault]
            seeds[fault] += 1
            trial = tried(world, fault, seed, Path(folder) / f"{fault} {seed}".replace(" ", "-"))
            failed += trial.ended != "same"
            print(f"{fault}, seed {seed}, at {trial.at} of a night: {trial.ended}", flush=True)
            with chosen.results.open("a") as file:
                file.write(json.dumps(asdict(trial)) + "\n")
            if trial.ended == "same":
                shutil.rmtree(Path(folder) / f"{fault} {seed}".replace(" ", "-"), ignore_errors=True)
    SHIFTED_CLOCK.unlink(missing_ok=True)
    print(table(chosen.results))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
