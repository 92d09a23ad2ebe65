"""The state folder on a real disk: locks that name their holder and die with it, records that are whole or an error."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.desired import Guards, Remembered, TargetSpec
from reconciler.errors import Busy, StateError
from reconciler.plan.situation import Spent
from reconciler.report.model import EndpointStatus
from reconciler.resource import DriftMode, Health, Replica, ReplicaState
from reconciler.state.folder import StateFolder
from reconciler.state.record import Acknowledged, Record

FULL = Record(
    repo="7" * 40,
    head="b" * 40,
    remembered=Remembered(
        revision="a" * 40,
        instance="prod",
        guards=Guards(0.1, 0.2, 0.3),
        drift=DriftMode.REPORT,
        status_branch="s/{target}",
        targets={"edge": TargetSpec("edge", "memory", {"port": 8080, "nested": {"a": [1]}}, ("gpu-east",), 12.5, "g.yaml:1")},
        aliases={"qwen": "Endpoint/team-a/a"},
        declared={"a.yaml": ("Endpoint/team-a/a", "Endpoint/team-a/b")},
    ),
    acknowledged=Acknowledged("b" * 40, frozenset({"Delete gpu-east: Workload/team-a/x"})),
    spent=Spent(
        "b" * 40, frozenset({"Endpoint/team-a/x"}), frozenset({"Endpoint/team-a/y"}), frozenset({"ApiKey/team-a/k"}), frozenset({"z"})
    ),
    unfinished=frozenset({"Endpoint/team-a/x"}),
    statuses={
        "Endpoint/team-a/a": EndpointStatus(
            "Endpoint/team-a/a",
            Health.DEGRADED,
            "CrashLoop",
            "ünïcode \n two lines",
            1,
            2,
            (Replica("r", ReplicaState.FAILING, "CrashLoop", "code 1", "node-7"),),
            "http://u",
            "b" * 40,
            12.5,
            True,
            True,
            ("gpu-east", "edge"),
            {"engine": "v1"},
        )
    },
    at=1_700_000_000.25,
)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def test_nothing_is_made_before_something_is_written(state: StateFolder) -> None:
    assert state.load() == Record()
    assert not state.path.exists()


@pytest.mark.parametrize("record", [Record(), FULL], ids=["empty", "full"])
def test_a_record_comes_back_as_it_was(state: StateFolder, record: Record) -> None:
    state.save(record)

    assert StateFolder(state.path).load() == record
    assert StateFolder(state.path).load().at == record.at


def test_a_record_written_by_another_process_is_seen(state: StateFolder) -> None:
    state.save(FULL)
    assert state.load() == FULL
    StateFolder(state.path).save(Record(head="c" * 40))

    assert state.load().head == "c" * 40


def test_only_we_can_read_it(state: StateFolder) -> None:
    state.save(FULL)

    assert state.path.stat().st_mode & 0o777 == 0o700
    assert state.record_path.stat().st_mode & 0o777 == 0o600


def broken(**changes: object) -> str:
    return json.dumps({**json.loads(RECORD), **changes})


RECORD = ""


@pytest.fixture(autouse=True, scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> None:
    global RECORD
    state = StateFolder(tmp_path_factory.mktemp("written"))
    state.save(FULL)
    RECORD = state.record_path.read_text()


DAMAGED = {
    "empty": lambda: "",
    "zeros": lambda: "\0" * 100,
    "cut in half": lambda: RECORD[: len(RECORD) // 2],
    "no text": lambda: b"\xff\xfe\x00".decode("latin-1"),
    "a list": lambda: "[]",
    "null": lambda: "null",
    "a number": lambda: "5",
    "nothing in it": lambda: "{}",
    "a later format": lambda: broken(format=2),
    "a missing part": lambda: json.dumps({k: v for k, v in json.loads(RECORD).items() if k != "spent"}),
    "targets are a mapping": lambda: broken(targets={}),
    "a head that is a number": lambda: broken(head=5),
    "a word that nobody knows": lambda: broken(statuses=[{**json.loads(RECORD)["statuses"][0], "word": "Fine"}]),
    "a guard that nobody knows": lambda: broken(guards={"max_deletes": 1, "max_anything": 1}),
    "deeper than anybody nests": lambda: "[" * 100_000,
    "a number beyond all numbers": lambda: broken(statuses=[{**json.loads(RECORD)["statuses"][0], "ready": float("inf")}]),
    "deletes are one text": lambda: broken(unfinished="Endpoint/team-a/x"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_an_error_never_an_empty_one(state: StateFolder, damage: object) -> None:
    state.make()
    state.record_path.write_text(damage(), encoding="latin-1")  # type: ignore[operator]
    with pytest.raises(StateError) as caught:
        state.load()

    assert caught.value.problem.code == "S4"
    assert caught.value.problem.where == str(state.record_path)
    assert caught.value.problem.todo


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    for attempt in (lambda s: s.save(FULL), lambda s: s.make(), lambda s: s.lock("edge", "apply")):
        with pytest.raises(StateError) as caught:
            attempt(StateFolder(tmp_path / "state"))
        assert caught.value.problem.code == "S1"


def test_a_record_that_is_a_folder_says_so(state: StateFolder) -> None:
    state.record_path.mkdir(parents=True)
    with pytest.raises(StateError) as caught:
        state.load()

    assert caught.value.problem.code == "S1"


# A full disk: RLIMIT_FSIZE stops a write in the middle of a file with the same path of errors as ENOSPC (EFBIG, SIGXFSZ ignored).
def test_a_full_disk_leaves_the_old_record_and_no_rubbish(state: StateFolder) -> None:
    state.save(FULL)
    script = """
    import resource, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from reconciler.errors import StateError
    from reconciler.state.folder import StateFolder
    state = StateFolder(Path(sys.argv[1]))
    record = state.load()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        state.save(replace(record, head="lost"))
    except StateError as error:
        print(error.problem.code, error.problem.todo)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(state.path)], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("S1 free space")
    assert StateFolder(state.path).load() == FULL
    assert sorted(path.name for path in state.path.iterdir()) == ["record.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own needs root")
def test_a_really_full_disk_leaves_the_old_record(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this box does not let us mount a tmpfs")
    try:
        state = StateFolder(disk / "state")
        state.save(FULL)
        with contextlib.suppress(OSError):
            (disk / "ballast").write_bytes(b"x" * 70_000)
        with pytest.raises(StateError) as caught:
            state.save(Record(head="lost"))
        assert caught.value.problem.what.endswith("No space left on device")
        assert StateFolder(state.path).load() == FULL
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_write_leaves_one_of_the_two_records(state: StateFolder, moment: str) -> None:
    state.save(FULL)
    script = """
    import os, signal, sys
    from pathlib import Path
    from reconciler import checkpoint
    from reconciler.state.folder import StateFolder
    from reconciler.state.record import Record
    checkpoint.listen(checkpoint.kill_at(sys.argv[2], lambda: os.kill(os.getpid(), signal.SIGKILL)))
    StateFolder(Path(sys.argv[1])).save(Record(head="new"))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(state.path), f"state: record/{moment}"], check=False)

    assert done.returncode == -signal.SIGKILL
    assert StateFolder(state.path).load().head == ("new" if moment == "after" else FULL.head)


HOLD = """
import sys, time
from pathlib import Path
from reconciler.state.folder import StateFolder
lock = StateFolder(Path(sys.argv[1])).lock("gpu-east", "run")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(state: StateFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of gpu-east until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_lock_names_its_holder_across_processes(state: StateFolder) -> None:
    with holder(state) as process, pytest.raises(Busy) as caught:
        state.lock("gpu-east", "apply")

    assert f"gpu-east is being written by `reconciler run` (pid {process.pid}) since 2" in caught.value.problem.what
    assert "trigger" in caught.value.problem.todo


def test_locks_of_other_targets_are_free(state: StateFolder) -> None:
    with holder(state):
        state.lock("gpu-west", "apply").release()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_is_free_when_its_holder_is_dead(state: StateFolder, end: signal.Signals) -> None:
    with holder(state) as process:
        process.send_signal(end)
        process.wait(10)
        with state.locked("gpu-east", "apply") as lock:
            assert lock.held()


def test_a_released_lock_is_free(state: StateFolder) -> None:
    first = state.lock("gpu-east", "apply")
    with pytest.raises(Busy):
        state.lock("gpu-east", "apply")
    first.release()
    first.release()

    state.lock("gpu-east", "apply").release()
    assert not first.held()


def test_a_lock_whose_file_was_removed_is_lost(state: StateFolder) -> None:
    lock = state.lock("gpu-east", "apply")
    lock.path.unlink()
    assert not lock.held()
    again = state.lock("gpu-east", "apply")

    assert (lock.held(), again.held()) == (False, True)
    lock.release()
    again.release()


def test_a_child_process_does_not_inherit_a_lock(state: StateFolder) -> None:
    """Ray and Envoy outlive us: with our lock in their hands nobody could ever write again."""
    lock = state.lock("gpu-east", "apply")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        state.lock("gpu-east", "apply").release()
    finally:
        child.kill()
        child.wait()


def test_limits_are_as_before() -> None:
    """The full-disk test limits its own process only."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
