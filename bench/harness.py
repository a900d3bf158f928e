"""How a figure is made: two servers, the same load, in turns, and only CPU time counts.

- A server runs on one core, the load generator on another; with a single core nothing is pinned.
- The primary metric is the server's CPU time per request: user and system time of its whole process
  tree. Wall-clock rates on a shared machine say more about the neighbours.
- Contenders take turns within every round (A B A, A B A, …), so a machine whose speed drifts slows
  all of them. What A's two turns of a round differ by is the control: a ratio closer to 1 than that
  means nothing.
- A first load of each contender warms it up and is thrown away.
- One answer that is not 2xx, or one sampled answer that does not validate, fails the row.
- Loopback only; every loop is bounded in time; only processes started here are ended, by their id.
"""

import json
import os
import pickle
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import Row
from bench.generator import Follow, Job, Load

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
CONNECTIONS = 64
STARTING_SECONDS = 60.0
STOPPING_SECONDS = 15.0
NOISY = 0.10
_TICK = os.sysconf("SC_CLK_TCK")


class RowFailed(Exception):
    """The row means nothing; the message says why."""


class Measured(Row):
    """A row with its spread: `low` and `high` bound the ratio (90 % bootstrap over rounds);
    `control` is the larger of A/A and its inverse, and everything closer to 1 than it is noise."""

    low: float | None
    high: float | None
    control: float | None
    against_name: str


# --- servers ------------------------------------------------------------------------------------


class Server:
    """A process that listens on loopback, on its own core."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.port = 0
        self.facts: Mapping[str, Any] = {}
        self._process = process
        self._log = log

    def cpu_seconds(self) -> float:
        """CPU time of the process and all its descendants, dead children included."""
        return sum(_cpu_seconds(pid) for pid in _tree(self._process.pid))

    def stop(self) -> None:
        """Ask, wait, then end: this process only."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def complaint(self) -> str:
        """The last words of the process, for an error message."""
        return self._log.read_text(errors="replace")[-2000:]

    def alive(self) -> bool:
        return self._process.poll() is None

    def first_line(self) -> Mapping[str, Any]:
        """The JSON object that the process prints when it listens. Raises `RowFailed`."""
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], STARTING_SECONDS)
        line = output.readline() if ready else b""
        if not line:
            raise RowFailed(f"{self.name} did not start: {self.complaint()}")
        facts: Mapping[str, Any] = json.loads(line)
        return facts

    def wait_for_port(self, port: int) -> None:
        """Until somebody listens. Raises `RowFailed`."""
        deadline = time.monotonic() + STARTING_SECONDS
        while self.alive() and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                self.port = port
                return
        raise RowFailed(f"{self.name} did not start: {self.complaint()}")


def start(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Server:
    """Start a server on the servers' core and wait until it listens.

    With `port` the process was told where to listen; without, its first line of output says it.
    Its complaints go to a file in `folder`. Raises `RowFailed`.
    """
    log = folder / f"{name.replace('/', '-')}.log"
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env={**_clean_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if port else subprocess.PIPE,
        stderr=log.open("wb"),
        preexec_fn=_pin_to(_cores()[0]),
    )
    server = Server(name, process, log)
    try:
        if port:
            server.wait_for_port(port)
        else:
            server.facts = server.first_line()
            server.port = int(server.facts["port"])
    except BaseException:
        server.stop()
        raise
    return server


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _clean_environment() -> dict[str, str]:
    """Our environment without settings of the product that a developer may have exported."""
    return {name: each for name, each in os.environ.items() if not name.startswith("YINZHENG_")}


def _cores() -> tuple[int, ...]:
    """(servers' core, generator's core), or () when there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (allowed[0], allowed[0])


def _pin_to(core: int) -> Callable[[], None] | None:
    if len(os.sched_getaffinity(0)) < 2:
        return None
    return lambda: os.sched_setaffinity(0, {core})


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        children = (task / "children").read_text().split()
        found += [each for child in children for each in _tree(int(child))]
    return found


def _cpu_seconds(pid: int) -> float:
    """utime + stime of a process (as its CPU clock counts them: finer than ticks), and cutime +
    cstime of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    dead_children = (int(fields[13]) + int(fields[14])) / _TICK
    return time.clock_gettime((~pid << 3) | 2) + dead_children


# --- load ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Traffic:
    """What one contender is asked, across rounds. With `once` no request is ever sent twice."""

    requests: list[bytes]
    once: bool = False
    follow: Follow | None = None
    position: int = 0

    def job(self, port: int, seconds: float, of_seconds: float, connections: int) -> Job:
        """A turn's load. Requests that are sent once last for `of_seconds` of turns."""
        share = int(len(self.requests) * seconds / of_seconds)
        return Job(
            port=port,
            connections=connections,
            seconds=seconds,
            requests=self.requests,
            first=self.position,
            limit=max(share, 1) if self.once else 0,
            follow=self.follow,
        )

    def went(self, load: Load) -> None:
        self.position = load.next_request
        if self.follow is not None:
            self.requests = load.values


def generate(job: Job) -> Load:
    """Run a job on the generator's core. Raises `RowFailed` for what is not an answer."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        cwd=ROOT,
        env=_clean_environment(),
        input=pickle.dumps(job),
        capture_output=True,
        timeout=job.seconds + 90,
        preexec_fn=_pin_to(_cores()[1]),
    )
    if done.returncode:
        raise RowFailed(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    load: Load = pickle.loads(done.stdout)
    return load


def collect(port: int, requests: list[bytes], count: int) -> list[bytes]:
    """The bodies of `count` answers, all 2xx: what a row needs before it can begin."""
    job = Job(port, min(CONNECTIONS, count), 120, requests, limit=count, sample_every=1)
    load = generate(job)
    _refuse_bad(load)
    return load.samples


def http_request(
    method: str, target: str, port: int, *, headers: Sequence[str] = (), body: str = ""
) -> bytes:
    """A whole HTTP/1.1 request; a body is a form."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
    if body:
        lines.append("Content-Type: application/x-www-form-urlencoded")
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", body]).encode()


# --- comparing ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Contender:
    """A server and what it is asked. `check` raises `ValueError` for a sampled body."""

    name: str
    server: Server
    traffic: Traffic
    check: Callable[[bytes], object] = lambda body: None
    warm_up: float = 1.0  # seconds, thrown away; a just-in-time compiler needs three
    answers: int = 0
    turns: list[float] = field(default_factory=list)  # CPU µs per request
    rates: list[float] = field(default_factory=list)  # requests per second, wall clock

    def take_turn(self, seconds: float, of_seconds: float, connections: int) -> None:
        before = self.server.cpu_seconds()
        load = self.load(seconds, of_seconds, connections)
        spent = self.server.cpu_seconds() - before
        if not load.answers:
            raise RowFailed(f"{self.name} answered nothing")
        self.turns.append(spent / load.answers * 1e6)
        self.rates.append(load.answers / load.seconds)

    def load(self, seconds: float, of_seconds: float, connections: int) -> Load:
        """Send a turn's requests and look at the answers. Raises `RowFailed`."""
        job = self.traffic.job(self.server.port, seconds, of_seconds, connections)
        load = generate(job)
        self.traffic.went(load)
        self.answers += load.answers
        try:
            _refuse_bad(load)
            for body in load.samples:
                self.check(body)
        except (RowFailed, ValueError, KeyError) as problem:
            raise RowFailed(f"{self.name}: {problem}") from None
        return load


@dataclass(frozen=True, slots=True)
class Comparison:
    """CPU µs per request of each contender, and how the others compare with the first."""

    contenders: Sequence[Contender]
    control: float

    def row(self, work: str, owed: str, against: int = 1, *, floor: bool = False) -> Measured:
        """Ours against contender number `against`. How often ours is cheaper; with `floor` ours
        divided by the floor."""
        ours, other = self.contenders[0], self.contenders[against]
        a, b = _rounds(ours.turns), other.turns
        over, under = (a, b) if floor else (b, a)
        low, high = interval(over, under)
        return Measured(
            work=work,
            ours=statistics.median(a),
            against=statistics.median(b),
            ratio=statistics.median(over) / statistics.median(under),
            owed=owed,
            unit="CPU µs/request",
            low=low,
            high=high,
            control=self.control,
            against_name=other.name,
        )


def compare(
    contenders: Sequence[Contender],
    seconds: float,
    *,
    rounds: int = ROUNDS,
    connections: int = CONNECTIONS,
) -> Comparison:
    """Measure each contender for about `seconds`, in turns; the first one twice, half as long.

    Raises `RowFailed` when an answer was not good.
    """
    ours, others = contenders[0], contenders[1:]
    turn = seconds / rounds
    for each in contenders:
        each.warm_up = min(each.warm_up, seconds)
        each.load(each.warm_up, each.warm_up + seconds, connections)
    for _ in range(rounds):
        ours.take_turn(turn / 2, ours.warm_up + seconds, connections)
        for each in others:
            each.take_turn(turn, each.warm_up + seconds, connections)
        ours.take_turn(turn / 2, ours.warm_up + seconds, connections)
    first, second = statistics.median(ours.turns[::2]), statistics.median(ours.turns[1::2])
    return Comparison(contenders, max(first / second, second / first))


def not_measured(work: str, owed: str, why: str) -> Measured:
    """The row of a rival that is not here, or of a comparison that failed."""
    print(f"  {work}: not measured ({why})", file=sys.stderr)
    return Measured(
        work=work, ours=None, against=None, ratio=None, owed=owed, unit="CPU µs/request",
        low=None, high=None, control=None, against_name="",
    )  # fmt: skip


def describe(rows: Sequence[Measured], comparison: Comparison) -> str:
    """What the table has no column for, for stderr: medians and extremes, wall-clock rates, how
    wide each ratio is, and what our server differs from itself."""
    lines = []
    for row in rows:
        if row["ratio"] is not None:
            ratio = f"{row['ratio']:.2f} [{row['low']:.2f}–{row['high']:.2f}]"
            lines.append(f"  {row['work']}: {ratio} against {row['against_name']}")
    for each in comparison.contenders:
        low, high = min(each.turns), max(each.turns)
        lines.append(
            f"      {each.name:14} {statistics.median(each.turns):6.0f} µs ({low:.0f}–{high:.0f}), "
            f"{statistics.median(each.rates):.0f} answers/s, {each.answers} in all"
        )
    noisy = ": too noisy for a verdict" if comparison.control > 1 + NOISY else ""
    return "\n".join([*lines, f"      control {comparison.control:.2f}{noisy}"])


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder for databases and logs of one run, on the same disk as the work tree's data."""
    return tempfile.TemporaryDirectory(prefix="yz-bench-")


def _rounds(turns: Sequence[float]) -> list[float]:
    """Our two half-turns of each round as one figure."""
    return [(a + b) / 2 for a, b in zip(turns[::2], turns[1::2], strict=True)]


def interval(over: Sequence[float], under: Sequence[float]) -> tuple[float, float]:
    """90 % bootstrap interval of the ratio of medians, resampling whole rounds."""
    chance = random.Random(len(over))
    pairs = list(zip(over, under, strict=True))
    ratios = []
    for _ in range(1000):
        drawn = chance.choices(pairs, k=len(pairs))
        ratios.append(
            statistics.median(a for a, _ in drawn) / statistics.median(b for _, b in drawn)
        )
    ratios.sort()
    return ratios[50], ratios[-51]


def _refuse_bad(load: Load) -> None:
    bad = sum(count for status, count in load.statuses.items() if not 200 <= status < 300)
    if bad:
        words = load.first_bad.decode(errors="replace").replace("\r\n", " ⏎ ")[:600]
        raise RowFailed(f"{bad} of {load.answers} answers were not 2xx, the first: {words}")
