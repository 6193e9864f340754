"""Every service, every fault, every moment of a job: accepted jobs end as they would have without the fault, with each
effect once.

Each fault happens once, with a job at each moment: jobs that are held (CRASH_FOLDER) before, in and after each step,
jobs that wait for approval, and clients that submit and ask while the fault begins. The seed decides which of the held
jobs continue during the fault, and which only after it.

    make itest                       each service and each fault once, paired by CHAOS_SEED
    make chaos                       all of it; the results are written to docs/chaos.md
    make chaos T='tests/chaos/test_matrix.py -k "server and pause"'
"""

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chaos.account import Account, last_end
from chaos.faults import FAULTS, Fault
from harness.documents import STEPS
from harness.fixtures import MakeStack
from harness.report import SHORT, circumstances, keep, write
from harness.stack import SERVICES, Stack
from harness.waiting import wait_for
from harness.world import FILES, World, open_folder

SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: Everything has ended this many seconds after the service is healthy again: a request that S3 never answers costs two
#: read timeouts (30 s each), and a step that met the fault is tried again after about as long as that took. The sample
#: in make itest has a longer limit: it looks for lost and stuck jobs, also on busy machines.
RECOVERY_SECONDS = float(os.environ.get("CHAOS_RECOVERY_SECONDS", "300" if SHORT else "90"))
#: How long starting one service may take on a machine under load.
START_SECONDS = 180
#: And how long it may take until there is a job at each moment.
PREPARE_SECONDS = 400
POINTS = [f"{step}-{moment}" for step in STEPS for moment in ("before", "middle", "after")]
#: The columns: the beginning and end of each step, its middle, and what the clients do.
MOMENTS = [*POINTS, "submit", "status", "approval"]


def cells() -> list[tuple[str, str]]:
    if not SHORT:
        return [(service, fault) for service in SERVICES for fault in FAULTS]
    faults = list(FAULTS)
    random.Random(SEED).shuffle(faults)
    return list(zip(SERVICES, faults, strict=True))


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_folder(tmp_path_factory.mktemp("crashes"))


@pytest.fixture(scope="module")
def stack(make_module_stack: MakeStack, crashes: Path) -> Stack:
    settings = {
        "CRASH_FOLDER": str(crashes),
        # One place for each job that is held.
        "WORKER_CONCURRENCY": "32",
        "LAMBDA_BURST_SECONDS": "20",
        # The default pauses, not the short ones of the workflow's tests.
        "STEP_RETRY_SECONDS": "1,2,5,10,30,60,120,300,600,1800",
        "WEBHOOK_RETRY_SECONDS": "5,30,120,600,1800",
    }
    return make_module_stack(env=settings, files=FILES)


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    return World(stack)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("victim", "fault"), cells(), ids=lambda part: part.replace(" ", "-"))
def test_nothing_is_lost_and_nothing_done_twice(
    stack: Stack, world: World, crashes: Path, victim: str, fault: str
) -> None:
    trial = Trial(stack, world, crashes, victim, FAULTS[fault])
    trial.prepare()
    trial.break_and_mend()
    recovered = trial.recover()
    assert trial.account.errors == []
    if not SHORT:
        record(victim, fault, trial, recovered)
    slowest = max(recovered, key=lambda moment: recovered[moment][1])
    assert recovered[slowest][1] < RECOVERY_SECONDS, (slowest, recovered[slowest])


class Trial:
    """One fault on one service, with a job at every moment."""

    def __init__(self, stack: Stack, world: World, crashes: Path, victim: str, fault: Fault) -> None:
        self.stack = stack
        self.world = world
        self.crashes = crashes
        self.victim = victim
        self.fault = fault
        self.account = Account(stack, world)
        self.chance = random.Random(f"{SEED} {victim} {fault.name}")
        #: A job at each point, two that wait for approval, and one that is done.
        self.held: dict[str, str] = {}
        self.waiting: list[str] = []
        self.before: dict[str, dict[str, Any]] = {}
        self.taken = (0.0, 0.0)
        self.mended = 0.0
        self._hurry = threading.Event()
        self._over = threading.Event()

    def prepare(self) -> None:
        """Start a job for each moment and wait until it is there."""
        mark = f"{self.chance.getrandbits(32):08x}"
        account = self.account
        bodies: list[dict[str, Any]] = [{"requiresApproval": True}, {"requiresApproval": True}, {}]
        for point in POINTS:
            half = self.chance.choice(("during", "after"))
            name = f"hold-{point}-{mark}-{half}"
            bodies.append({"jobId": name, "callbackUrl": self.world.hook(name)})
            self.held[point] = name
        with ThreadPoolExecutor(2) as clients:
            first, second, done, *_ = clients.map(lambda body: account.submit(**body), bodies)
        # A machine under load also refuses requests; the trial begins, and counts, once everything is accepted.
        account.send_all_refused(PREPARE_SECONDS)
        self.waiting = [first, second]
        names = list(self.held.values())
        wait_for(
            lambda: all((self.crashes / name).exists() for name in names),
            "a job to be held at each point", PREPARE_SECONDS,
        )  # fmt: skip
        for job_id, wanted in ((first, "awaiting_approval"), (second, "awaiting_approval"), (done, "done")):
            wait_for(
                lambda j=job_id, w=wanted: (account.status(j) or {}).get("status") == w,  # type: ignore[misc]
                f"{job_id} to be {wanted}", PREPARE_SECONDS,
            )  # fmt: skip
        self.before = {job_id: seen for job_id in account.accepted if (seen := account.status(job_id))}
        account.refusals.clear()

    def break_and_mend(self) -> None:
        containers = self.stack.containers(self.victim)
        with ThreadPoolExecutor(8) as clients:
            tasks = [clients.submit(self._submit) for _ in range(2)]
            tasks += [clients.submit(self._ask) for _ in range(2)]
            try:
                self._strike(containers, clients)
            finally:
                self._over.set()
            for task in tasks:
                task.result()

    def _strike(self, containers: list[str], clients: ThreadPoolExecutor) -> None:
        self._hurry.set()
        wait_for(
            lambda: len(self.account.under_way["submit"]) > len(self.before) + 4,
            "clients to be sending requests",
        )
        begun = time.time()
        calm = threading.Timer(1.0, self._hurry.clear)
        calm.start()
        kept = self.fault.strike(containers)
        self.taken = (begun, time.time())
        # During the fault, half of the held jobs continue, and somebody approves.
        self._let_go("during")
        approval = clients.submit(
            self.account.approve, self.waiting[0], self.fault.seconds + RECOVERY_SECONDS
        )
        time.sleep(self.fault.seconds)  # the fault itself
        self.fault.mend(containers, kept)
        ended = time.time()
        self._let_go("after")
        approvals = [approval, clients.submit(self.account.approve, self.waiting[1], RECOVERY_SECONDS)]
        # How long a service takes to start depends on the machine; recovery is counted from when it is healthy.
        wait_for(lambda: self.stack.healthy(self.victim), f"{self.victim} to be healthy", START_SECONDS)
        self.mended = time.time()
        for task in approvals:
            task.result()
        # The clients continue until both kinds of requests have been answered again.
        for kind in ("submit", "status"):
            wait_for(lambda kind=kind: self._answered_since(kind, ended), f"{kind} to be answered", RECOVERY_SECONDS)  # type: ignore[misc] # fmt: skip

    def _answered_since(self, kind: str, begin: float) -> bool:
        moments = self.account.accepted.values() if kind == "submit" else self.account.status_answers
        return any(at > begin for at in list(moments))

    def _let_go(self, half: str) -> None:
        for name in self.held.values():
            if name.endswith(half):
                (self.crashes / f"{name}.go").touch()

    def _submit(self) -> None:
        while not self._over.is_set():
            self.account.submit()
            self._breathe()

    def _ask(self) -> None:
        chance = random.Random(self.chance.random())
        known = list(self.before)
        while not self._over.is_set():
            self.account.status(chance.choice(known))
            self._breathe()

    def _breathe(self) -> None:
        """Almost no pause while the fault begins, so that it meets requests; otherwise two seconds.

        Without any pause, a service that refuses at once would get hundreds of jobs a second.
        """
        self._over.wait(0.05 if self._hurry.is_set() else 2)

    def recover(self) -> dict[str, tuple[int, float]]:
        """For each moment, how many jobs (or requests) the fault met, and how many seconds after its end the last of
        them was done.
        """
        account = self.account
        account.send_all_refused(RECOVERY_SECONDS)
        ended = account.settle(RECOVERY_SECONDS + 120)
        account.check(ended)
        if account.errors:
            return {"errors": (len(account.errors), 0.0)}
        self._check_nothing_done_again(ended)
        found: dict[str, tuple[int, float]] = {}
        for point, name in self.held.items():
            found[point] = 1, last_end(ended, [name]) - self.mended
        met = [job_id for job_id, sent in account.sent.items() if self.taken[0] - 1 < sent < self.mended]
        asked = [at for at in account.status_answers if at > self.taken[1] + self.fault.seconds]
        found["submit"] = len(met), last_end(ended, met) - self.mended
        found["status"] = account.met("status", *self.taken), min(asked) - self.mended
        found["approval"] = len(self.waiting), last_end(ended, self.waiting) - self.mended
        for kind in ("submit", "status"):
            if not account.met(kind, *self.taken):
                account.errors.append(f"no {kind} was in progress when the fault began")
        return {moment: (jobs, max(0.0, seconds)) for moment, (jobs, seconds) in found.items()}

    def _check_nothing_done_again(self, ended: dict[str, dict[str, Any]]) -> None:
        """Check that jobs that were done before the fault are unchanged: none of their steps ran again."""
        for job_id, before in self.before.items():
            after = {step["name"]: step for step in ended[job_id]["steps"]}
            for step in before["steps"]:
                if step["state"] == "done" and after[step["name"]] != step:
                    self.account.errors.append(f"{job_id}: {step} became {after[step['name']]}")


def record(victim: str, fault: str, trial: Trial, recovered: dict[str, tuple[int, float]]) -> None:
    """Save this row, and write the table of all saved rows."""
    refusals = ", ".join(f"{count} times {what}" for what, count in sorted(trial.account.refusals.items()))
    row = {
        "jobs": len(trial.account.accepted),
        "away": trial.mended - trial.taken[0],
        "refusals": refusals or "none",
        "met": {kind: trial.account.met(kind, *trial.taken) for kind in ("submit", "status")},
        "moments": recovered,
        "when": circumstances("make chaos T=tests/chaos/test_matrix.py", SEED),
        "limit": RECOVERY_SECONDS,
    }
    write("matrix", table(keep("matrix", f"{victim}|{fault}", row)))


def table(rows: dict[str, Any]) -> str:
    """A row for each service and fault; in each column the slowest recovery of its moments, in seconds."""
    columns = {
        "before a step": [point for point in POINTS if point.endswith("before")],
        "in its middle": [point for point in POINTS if point.endswith("middle")],
        "after it": [point for point in POINTS if point.endswith("after")],
        "submit": ["submit"],
        "status": ["status"],
        "approval": ["approval"],
    }
    whole = {f"{service}|{fault}" for service in SERVICES for fault in FAULTS}
    done = [row for row in rows if row in whole]
    newest = max(rows[row]["when"] for row in done)
    oldest = min(rows[row]["when"] for row in done)
    limit = max(rows[row]["limit"] for row in done)
    jobs = sum(rows[row]["jobs"] for row in done)
    lines = [
        f"{len(done)} of {len(whole)} faults, {len(done) * len(MOMENTS)} cells, {jobs} jobs accepted: "
        f"0 lost, 0 with an effect twice or missing, 0 stuck. Limit in force: {limit:g} s.",
        "",
        f"Last: {newest}" + ("" if oldest == newest else f" First: {oldest}"),
        "",
        "| service | fault | away | jobs | " + " | ".join(columns) + " | refused meanwhile, accepted later |",
        "|---|---|---:|---:|" + "---:|" * len(columns) + "---|",
    ]
    for service in SERVICES:
        for fault in FAULTS:
            row = rows.get(f"{service}|{fault}")
            if row is None:
                continue
            worst = [max(row["moments"][moment][1] for moment in moments) for moments in columns.values()]
            cells = " | ".join(f"{seconds:.1f}" for seconds in worst)
            lines.append(
                f"| {service} | {fault} | {row['away']:.0f} | {row['jobs']} | {cells} | {row['refusals']} |"
            )
    return "\n".join(lines)
