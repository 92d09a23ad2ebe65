"""The daemon: when passes run, who may run it, how it ends. Real Git, real sockets and signals; the targets are in memory."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from structlog.testing import capture_logs

from reconciler.cli.apply import _passes
from reconciler.cli.compiler import Compiler
from reconciler.cli.passes import StateWhile
from reconciler.daemon.bell import Bell, Trigger
from reconciler.daemon.control import DaemonRefused, NoDaemon, ask, holder, last_seen
from reconciler.daemon.loop import Daemon, Work
from reconciler.daemon.timing import Found, Schedule, Timing
from reconciler.daemon.watch import Keeper, Watchers
from reconciler.desired import TargetSpec
from reconciler.errors import Busy, RepoUnavailable, StateError
from reconciler.git.source import open_source
from reconciler.given import Given
from reconciler.places import places
from reconciler.report.status_json import status_as_json
from reconciler.resource import Health
from reconciler.state.folder import StateFolder
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import World
from reconciler.targets.protocol import Context
from tests.git_repos import commit, new_repo

pytestmark = pytest.mark.slow  # daemons as processes of their own, and the time that they take

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "repo"
KINDS = {"ray": "memory", "envoy": "memory"}
FAST = Timing(interval=3600, waiting=0.02, gap=0.01, most=0.05, backoff=0.02, cap=0.1, keep=0.01)


def until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "not reached in time"
        time.sleep(0.01)


class Stage:
    """A config repo, a state folder, a world in memory whose time runs fast, and a daemon in a thread."""

    def __init__(self, folder: Path) -> None:
        self.state, self.world = folder / "state", World()
        self.repo = new_repo(folder / "config")
        shutil.copytree(EXAMPLE, self.repo, dirs_exist_ok=True)
        commit(self.repo, {}, "first")
        self.begin, self.looks, self.fetches = time.monotonic(), 0, 0
        self.fetch_fails: Exception | None = None
        self.read_fails = False
        self.hints: Callable[[], Iterator[None]] = lambda: iter(())

    def now(self) -> float:
        self.world.now = 1_700_000_000.0 + (time.monotonic() - self.begin) * 50
        return self.world.now

    def opener(self, spec: TargetSpec, context: Context) -> MemoryTarget:
        stage = self

        class Ticking(MemoryTarget):
            def read(self, wanted):  # type: ignore[no-untyped-def]
                stage.now()
                if stage.read_fails:
                    raise ZeroDivisionError("a mistake")
                return super().read(wanted)

            def changed(self) -> Iterator[None]:
                return stage.hints()

        return Ticking(spec, context, self.world)

    @contextmanager
    def running(self, timing: Timing = FAST) -> Iterator[Daemon]:
        failed: list[BaseException] = []
        with Daemon.held(self.state, signals=False) as daemon:
            thread = threading.Thread(target=self._run, args=(daemon, timing, failed))
            thread.start()
            try:
                yield daemon
            finally:
                daemon.bell.stop()
                thread.join(60)
                assert not thread.is_alive()
        assert not failed

    @contextmanager
    def ready_made(self) -> Iterator[Given]:
        """Everything for `apply`."""
        state = StateFolder(self.state)
        source = open_source(str(self.repo), "main", self.state / "git-apply")
        source.fetch()
        with places(state, "apply", write=True, now=self.now, opener=self.opener) as opened:
            yield Given(source, state, opened, Compiler(KINDS))
        source.close()

    def _run(self, daemon: Daemon, timing: Timing, failed: list[BaseException]) -> None:
        try:
            state = StateWhile(StateFolder(self.state), daemon.still)
            source = open_source(str(self.repo), "main", self.state / "git")

            def fetch() -> None:
                self.fetches += 1
                if self.fetch_fails:
                    raise self.fetch_fails
                source.fetch()

            def look() -> None:
                self.looks += 1

            with places(state, "run", write=True, now=self.now, opener=self.opener) as opened:
                daemon.run(Work(Given(source, state, opened, Compiler(KINDS)), fetch, look), timing)
            source.close()
        except BaseException as error:
            failed.append(error)

    def trigger(self) -> dict[str, object]:
        return dict(ask(self.state, {"op": "trigger"}, 60))

    def words(self) -> dict[str, Health]:
        return {name: status.word for name, status in StateFolder(self.state).load().statuses.items()}

    def ready(self) -> bool:
        words = self.words()
        return bool(words) and set(words.values()) == {Health.READY}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_from_a_commit_to_ready_without_anybody_asking(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)

        assert len(stage.words()) == 2
        assert stage.looks > 0, "local programs are kept up"


def test_a_trigger_fetches_passes_and_answers_with_the_report(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        chat = stage.repo / "workspaces" / "team-a" / "endpoints" / "chat.yaml"
        chat.write_text(chat.read_text().replace("replicas: 1", "replicas: 2"))
        head = commit(stage.repo, {}, "two")

        answer = stage.trigger()

        assert answer["exitCode"] == 0
        assert answer["plan"]["revision"] == head  # type: ignore[index]
        assert str(answer["text"]).startswith(f"Applied at {head[:7]}: ")
        assert json.loads(json.dumps(answer)) == answer


def test_what_a_guard_holds_is_said_with_the_line_to_copy_and_goes_on_with_it(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        shutil.rmtree(stage.repo / "workspaces" / "team-a" / "endpoints")
        commit(stage.repo, {}, "nothing left")

        held = stage.trigger()

        assert held["exitCode"] == 3
        digest = re.search(r"Reconciler-Ack: (sha256:[0-9a-f]{64})", str(held["text"]))
        assert digest is not None
        assert len(stage.world.stored) == 4, "nothing was touched"

        commit(stage.repo, {}, f"yes\n\nReconciler-Ack: {digest[1]}")
        stage.trigger()
        until(lambda: not stage.world.stored)
        assert str(stage.trigger()["text"]).startswith("No changes at ")


def test_apply_waits_until_nothing_waits_and_reports_all_of_it(stage: Stage) -> None:
    with stage.ready_made() as ready:
        report = _passes(ready, 60.0)

    assert report.exit_code == 0
    assert sorted(type(outcome.change).__name__ for outcome in report.outcomes or ()) == ["Create"] * 4
    assert not report.waiting


def test_what_apply_waits_for_is_a_line_per_change(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    with stage.ready_made() as ready:
        _passes(ready, 60.0)

    lines = capsys.readouterr().err.splitlines()
    assert "public team-a/chat: waits for local: Workload/team-a/chat to be created and to serve" in lines
    assert "public team-a/chat: done" in lines
    assert len(lines) == len(set(lines)), "nothing is said twice"


def test_apply_that_does_not_wait_says_what_waits(stage: Stage) -> None:
    with stage.ready_made() as ready:
        report = _passes(ready, 0.0)

    assert report.exit_code == 2
    assert len(report.outcomes or ()) == 2
    assert report.waiting


def test_apply_beside_a_daemon_says_who_holds_the_targets(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        with stage.ready_made() as ready:
            report = _passes(ready, 0.0)

    assert report.exit_code == 1
    assert {item.target for item in report.plan.unreadable} == {"local", "public"}
    assert "`reconciler run`" in report.plan.unreadable[0].problem.text()


def test_a_trigger_that_finds_nothing_says_so(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)

        assert str(stage.trigger()["text"]).startswith("No changes at ")


def test_an_unchanged_pass_reads_and_compiles_nothing_again(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        stage.trigger()
        writes = stage.world.writes
        begin = time.process_time()
        for _ in range(10):
            stage.trigger()

        assert stage.world.writes == writes
        assert time.process_time() - begin < 10 * 0.2


def test_git_away_is_reported_and_what_is_known_is_kept(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        stage.fetch_fails = RepoUnavailable("the repository does not answer")
        key = next(iter(stage.world.stored))
        stage.world.drop(key)

        answer = stage.trigger()

        assert answer["exitCode"] == 1
        assert "the repository does not answer" in str(answer["text"])
        assert key in stage.world.stored, "drift is healed although Git is away"


def test_a_pass_that_raises_never_ends_the_loop(stage: Stage) -> None:
    with capture_logs() as events, stage.running():
        until(stage.ready)
        stage.read_fails = True
        with pytest.raises(DaemonRefused, match="internal error"):
            stage.trigger()
        stage.read_fails = False

        assert stage.trigger()["exitCode"] == 0
    assert any(event["event"] == "pass_failed" for event in events)
    assert all("Traceback" not in str(event) for event in events)
    assert (stage.state / "crashes").is_dir()


def test_a_hint_is_a_pass_and_a_storm_of_hints_is_not_a_storm_of_passes(stage: Stage) -> None:
    ended, storm = threading.Event(), threading.Event()

    def hints() -> Iterator[None]:
        while not ended.wait(0 if storm.is_set() else 0.01):
            if storm.is_set():
                yield None

    stage.hints = hints
    try:
        with stage.running(replace(FAST, gap=0.05, most=0.5)) as daemon:
            until(stage.ready)
            stage.trigger()
            passes = 0
            before = daemon._last
            key = next(iter(stage.world.stored))
            stage.world.drop(key)
            storm.set()
            until(lambda: key in stage.world.stored)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                if daemon._last is not before:
                    passes, before = passes + 1, daemon._last
                time.sleep(0.001)

            assert passes < 15
    finally:
        ended.set()


def test_a_second_daemon_is_refused_with_who_holds_the_folder(stage: Stage) -> None:
    with stage.running(), pytest.raises(Busy) as refused, Daemon.held(stage.state, signals=False):
        pass

    assert f"pid {os.getpid()}" in str(refused.value)
    assert "since" in str(refused.value)


def test_the_socket_is_ours_alone_and_goes_with_the_daemon(stage: Stage) -> None:
    path = StateFolder(stage.state).socket_path
    with stage.running():
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    with pytest.raises(NoDaemon):
        ask(stage.state, {"op": "trigger"})


def test_a_socket_that_a_killed_daemon_left_is_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.state.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        monkeypatch.chdir(stage.state)
        dead.bind("reconciler.sock")
    with stage.running():
        assert ask(stage.state, {"op": "status"}, 60)["pid"] == os.getpid()


def test_a_socket_on_which_somebody_answers_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.state.mkdir(exist_ok=True)
    monkeypatch.chdir(stage.state)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("reconciler.sock")
        other.listen()
        with pytest.raises(Busy, match="another daemon answers"), Daemon.held(stage.state, signals=False):
            pass
        assert (stage.state / "reconciler.sock").exists()


def test_a_long_path_of_the_state_folder_is_no_obstacle(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.state = tmp_path / ("long" * 30) / ("path" * 20)
    with stage.running():
        assert ask(stage.state, {"op": "status"}, 60)["pid"] == os.getpid()


def test_status_says_who_runs_and_how_old_it_is(stage: Stage) -> None:
    with stage.running():
        until(stage.ready)
        seen = last_seen(stage.state)
        assert seen.daemon is not None
        assert seen.daemon.pid == os.getpid()
        assert len(seen.statuses) == 2

    form = json.loads(status_as_json(seen, seen.statuses, seen.at + 5))
    jsonschema.validate(form, json.loads((ROOT / "schemas" / "status.json").read_text()))
    assert form["ageSeconds"] == 5.0
    after = last_seen(stage.state)
    assert after.daemon is None
    assert after.at > 0
    assert len(after.statuses) == 2


@pytest.mark.parametrize("question", [b"nonsense\n", b"[]\n", b'{"op": "format the disk"}\n', b"\xff\xfe\n", b"\n", b"x" * 100_000 + b"\n"])
def test_a_question_that_is_none_is_answered_and_does_no_harm(stage: Stage, question: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.running():
        monkeypatch.chdir(stage.state)
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect("reconciler.sock")
            line.sendall(question)
            assert b"error" in line.makefile("rb").readline()
        assert ask(stage.state, {"op": "status"}, 60)["pid"] == os.getpid()


def test_a_damaged_record_stops_passes_and_not_the_daemon(stage: Stage) -> None:
    stage.state.mkdir(exist_ok=True)
    (stage.state / "record.json").write_text("{")
    with stage.running(), pytest.raises(DaemonRefused, match="record is damaged"):
        stage.trigger()
    with pytest.raises(StateError):
        last_seen(stage.state)


def test_triggers_that_no_pass_answers_are_answered_at_the_end(stage: Stage) -> None:
    with Daemon.held(stage.state, signals=False):
        caught: list[BaseException] = []

        def call() -> None:
            try:
                stage.trigger()
            except BaseException as error:
                caught.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        until(lambda: bool(threading.enumerate()) and any(thread.name == "caller" for thread in threading.enumerate()))
    caller.join(60)

    assert [type(error) for error in caught] == [DaemonRefused]


RUN = textwrap.dedent("""
    import sys
    from pathlib import Path
    from tests.test_daemon import Stage, FAST
    from reconciler.daemon.log import configure
    from reconciler.daemon.loop import Daemon
    configure(as_json=True)
    folder = Path(sys.argv[1])
    stage = Stage(folder)
    with Daemon.held(stage.state) as daemon:
        failed = []
        stage._run(daemon, FAST, failed)
    sys.exit(1 if failed else 0)
""")


@contextmanager
def process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    with (folder / "log").open("w") as log:
        child = subprocess.Popen([sys.executable, "-c", RUN, str(folder)], cwd=ROOT, stderr=log, text=True)
    try:
        until(lambda: holder(folder / "state") is not None and (folder / "state" / "reconciler.sock").exists())
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_and_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path) as child:
        until(lambda: (tmp_path / "state" / "record.json").exists())
        child.send_signal(number)
        child.wait(timeout=30)

    err = (tmp_path / "log").read_text()
    events = [json.loads(line) for line in err.splitlines()]
    assert child.returncode == 0
    assert [events[0]["event"], events[-1]["event"]] == ["daemon_started", "daemon_stopped"]
    assert "Traceback" not in err
    assert holder(tmp_path / "state") is None
    assert not (tmp_path / "state" / "reconciler.sock").exists()


def test_killed_and_started_again_it_takes_its_place(tmp_path: Path) -> None:
    with process(tmp_path) as child:
        child.kill()
        child.wait()
    assert (tmp_path / "state" / "reconciler.sock").exists(), "a kill cleans nothing up"

    shutil.rmtree(tmp_path / "config")
    with process(tmp_path) as child:
        until(lambda: bool(ask(tmp_path / "state", {"op": "status"}, 60).get("passAt")))
        assert ask(tmp_path / "state", {"op": "status"}, 60)["pid"] == child.pid


def test_sighup_is_a_trigger(tmp_path: Path) -> None:
    with process(tmp_path) as child:
        until(lambda: bool(ask(tmp_path / "state", {"op": "status"}, 60).get("passAt")))
        before = ask(tmp_path / "state", {"op": "status"}, 60)["passAt"]
        until(lambda: _settled(tmp_path / "state"))
        child.send_signal(signal.SIGHUP)
        until(lambda: ask(tmp_path / "state", {"op": "status"}, 60)["passAt"] != before)
        assert child.poll() is None


def _settled(state: Path) -> bool:
    words = {status.word for status in StateFolder(state).load().statuses.values()}
    return words == {Health.READY}


# --- the parts --------------------------------------------------------------------------------------------------------------------------


def test_failures_back_off_and_a_success_forgets_them() -> None:
    schedule = Schedule(Timing(), lambda: 0.5)
    pauses = []
    for _ in range(10):
        schedule.passed(100.0, Found.TROUBLE)
        pauses.append(schedule.pass_at - 100.0)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    schedule.passed(100.0, Found.NOTHING)
    assert schedule.pass_at == 160.0
    schedule.passed(100.0, Found.TROUBLE)
    assert schedule.pass_at == 101.0


def test_what_waits_is_looked_at_soon_whatever_else_fails() -> None:
    schedule = Schedule(Timing(), lambda: 0.5)
    schedule.passed(100.0, Found.WAITING)
    assert schedule.pass_at == 101.0
    for _ in range(20):
        schedule.passed(100.0, Found.TROUBLE_AND_WAITING)
    assert schedule.pass_at == 105.0


def test_fetches_are_jittered_and_back_off() -> None:
    low, high = Schedule(Timing(), lambda: 0.0), Schedule(Timing(), lambda: 1.0)
    low.fetched(0.0, good=True)
    high.fetched(0.0, good=True)
    assert low.fetch_at == pytest.approx(27.0)
    assert high.fetch_at == pytest.approx(33.0)
    for _ in range(20):
        low.fetched(0.0, good=False)
    assert low.fetch_at == pytest.approx(270.0)


def test_hints_that_come_to_nothing_are_heard_less_often() -> None:
    schedule = Schedule(Timing(), lambda: 0.5)
    gaps = []
    for _ in range(6):
        schedule.passed(0.0, Found.NOTHING, hinted=True)
        gaps.append(schedule.hints_at)
    assert gaps == [0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    schedule.passed(0.0, Found.CHANGED, hinted=True)
    assert schedule.hints_at == 0.2


def test_the_bell_gathers_hints_and_puts_triggers_first() -> None:
    bell = Bell(lambda: 0.0)
    for _ in range(1000):
        bell.hint("gpu")
    assert bell.wait(due_at=10.0, hints_at=0.0) is not None
    bell.hint("gpu")
    bell.trigger(Trigger())
    turn = bell.wait(due_at=10.0, hints_at=5.0)

    assert turn is not None
    assert len(turn.triggers) == 1
    bell.stop()
    assert bell.wait(due_at=0.0, hints_at=0.0) is None


def test_a_keeper_that_fails_says_it_once_and_goes_on() -> None:
    looks = []

    def look() -> None:
        looks.append(1)
        raise RepoUnavailable("gone")

    with capture_logs() as events:
        import structlog

        keeper = Keeper(look, 0.001, structlog.get_logger())
        until(lambda: len(looks) > 5)
        keeper.close()

    assert sum(event["event"] == "local_program_failed" for event in events) == 1


def test_hints_that_fail_are_missed_by_nobody() -> None:
    class Broken:
        def changed(self) -> Iterator[None]:
            raise OSError("no watch")

    with capture_logs() as events:
        import structlog

        watchers = Watchers(lambda name: None, structlog.get_logger())
        watchers.follow({"gpu": Broken()})  # type: ignore[dict-item]
        until(lambda: any(event["event"] == "hints_ended" for event in events))


def test_no_secret_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "from reconciler.daemon.log import configure, logger\nconfigure(as_json=True)\n"
        "logger().info('x_happened', text='rcl_abcdefghjk_" + "A" * 49 + "', url='https://u:pw@host/x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    event = json.loads(done.stderr)
    assert event["text"] == "rcl_abcdefghjk_..."
    assert "pw" not in event["url"]


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    code = "from reconciler.daemon import log; log.configure(as_json=True); log.logger().info('x'); print('goes on')"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True, check=False)

    assert done.stdout == "goes on\n"
