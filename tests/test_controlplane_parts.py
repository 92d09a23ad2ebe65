"""The parts of the test control plane that need no control plane: the build and its cache, the end of processes, the audit log, the rights.

Where Go stands at the boundary, a script of that name stands on PATH, so that a build can be held half way.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tools.controlplane import access, processes, programs
from tools.controlplane.audit import AuditLog
from tools.controlplane.processes import Processes, ProcessFailed
from tools.controlplane.programs import NotAvailable

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

ROOT = Path(__file__).resolve().parent.parent
GO = """\
#!/bin/sh
if [ "$1" = env ]; then echo '{"GOVERSION": "THIS", "GOOS": "linux", "GOARCH": "amd64"}'; exit; fi
while [ "$1" != -o ]; do shift; done
printf half > "$2"
while [ -e "${0%/go}/hold" ]; do sleep 0.02; done
printf whole > "$2"
"""


def wait(met: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


# The build


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Put a Go of this version on PATH, and nothing else but the shell's own; builds wait while `hold` stands in the answered folder."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("KUBEBUILDER_ASSETS", "USE_EXISTING_CLUSTER", "TEST_ASSET_ETCD", "TEST_ASSET_KUBE_APISERVER"):
        monkeypatch.delenv(name, raising=False)

    def put(version: str) -> Path:
        (place / "go").write_text(GO.replace("THIS", version))
        (place / "go").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
        return place

    yield put
    (place / "hold").unlink(missing_ok=True)  # a killed builder's `go` still waits for it


def builder(*names: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "import sys; from tools.controlplane import build; print(build(sys.argv[1:]))", *names]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def halves(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "reconciler").glob("controlplane-*/.etcd-*/etcd"))


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_could_be_taken_for_a_program(go: Callable[[str], Path], tmp_path: Path) -> None:
    hold = go("go1.26.8") / "hold"
    hold.touch()
    first = builder("etcd")
    wait(lambda: halves(tmp_path))
    first.kill()
    first.communicate()
    assert not list((tmp_path / "cache" / "reconciler").glob("controlplane-*/etcd"))

    hold.unlink()
    second = builder("etcd")
    out, errors = second.communicate(timeout=60)

    assert (Path(out.strip()) / "etcd").read_text() == "whole", errors
    assert [path.name for path in Path(out.strip()).iterdir()] == ["etcd"]


@pytest.mark.slow
def test_builders_wait_for_each_other_and_build_once(go: Callable[[str], Path], tmp_path: Path) -> None:
    hold = go("go1.26.8") / "hold"
    hold.touch()
    first = builder("etcd")
    wait(lambda: halves(tmp_path))
    second = builder("etcd")
    assert second.stderr is not None
    news = second.stderr.readline()
    hold.unlink()
    said = [one.communicate(timeout=60) for one in (first, second)]

    assert news == "controlplane: another process is building it; waiting\n"
    assert [errors.count("building etcd (1 of 1): done in") for _, errors in said] == [1, 0]
    assert said[0][0] == said[1][0]


def test_what_is_there_is_not_built_again(go: Callable[[str], Path]) -> None:
    place = go("go1.26.8")
    folder = programs.build(["etcd", "kwok"])
    (place / "hold").touch()  # a build would hang now

    assert programs.build(["kwok"]) == folder == programs.folder()


def test_a_build_that_fails_says_so_with_its_last_words(go: Callable[[str], Path]) -> None:
    script = go("go1.26.8") / "go"
    script.write_text(script.read_text().replace("printf half", "echo no space left on device; exit 1; printf half"))

    with pytest.raises(NotAvailable, match=r"(?s)building etcd \(1 of 1\) failed; the end of .*etcd\.log:\n  no space left on device"):
        programs.build(["etcd"])
    assert not (programs.folder() / "etcd").exists()


@pytest.mark.parametrize(("version", "why"), [("go1.25.12", "go1.25.12 is too old"), ("go1.9", "go1.9 is too old")])
def test_an_old_go_is_refused(go: Callable[[str], Path], version: str, why: str) -> None:
    go(version)

    with pytest.raises(NotAvailable, match=why):
        programs.folder()


@pytest.mark.parametrize("version", ["go1.26.0", "go1.27rc1", "go2.0"])
def test_a_newer_go_is_taken_and_has_a_place_of_its_own(go: Callable[[str], Path], version: str) -> None:
    go("go1.26.8")
    usual = programs.folder()
    go(version)

    assert programs.folder().parent == usual.parent
    assert programs.folder() != usual


GIVEN = ("go1.26.8", "linux", "amd64")


def test_the_cache_key_changes_with_everything_that_decides_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("kube", "kwok"):
        (tmp_path / module).mkdir()
        for name in ("go.mod", "go.sum"):
            (tmp_path / module / name).write_bytes((programs.MODULES / module / name).read_bytes())
    usual = programs.key(GIVEN)
    monkeypatch.setattr(programs, "MODULES", tmp_path)
    assert programs.key(GIVEN) == usual

    others = [programs.key((*GIVEN[:2], "arm64"))]
    for file in sorted(tmp_path.glob("k*/go.*")):
        text = file.read_text()
        file.write_text(text + "\n")
        others.append(programs.key(GIVEN))
        file.write_text(text)
    monkeypatch.setitem(programs.SETTINGS, "GOFLAGS", "-mod=readonly")
    others.append(programs.key(GIVEN))

    assert len({usual, *others}) == 7


def test_programs_are_stamped_with_the_version_that_is_pinned() -> None:
    flags = programs.PROGRAMS["kube-apiserver"].link_flags

    assert f"-X k8s.io/component-base/version.gitVersion={programs.required('kube', 'k8s.io/kubernetes')}" in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=36" in flags


# What is missing


def outcome(path: str, **more: str) -> str:
    """What pytest says of the tests on a control plane, on a machine with this PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBEBUILDER_", "TEST_ASSET_", "USE_EXISTING_"))}
    kept.pop("CI", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kubernetes/test_controlplane.py", "-k", "custom_kind"]
    done = subprocess.run(command, cwd=ROOT, env=kept | {"PATH": path} | more, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.slow
def test_without_go_the_tests_are_skipped_in_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    said = outcome(str(tmp_path))

    lines = [line for line in said.splitlines() if "no test control plane" in line]
    assert len(lines) == 1, said
    assert "no `go` on PATH; install Go >= 1.26 (https://go.dev/dl)" in lines[0]
    assert "KUBEBUILDER_ASSETS" in lines[0]
    assert "skipped" in said.splitlines()[-1]


@pytest.mark.slow
def test_in_ci_a_missing_control_plane_fails(tmp_path: Path) -> None:
    said = outcome(str(tmp_path), CI="true")

    assert "no `go` on PATH; install Go >= 1.26" in said
    assert "skipped" not in said.splitlines()[-1]
    assert "error" in said.splitlines()[-1]


@pytest.mark.slow
def test_a_command_says_what_is_missing_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.controlplane", "path"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "controlplane: no `go` on PATH\n")


# The end of processes

SLEEP = ["sleep", "600"]
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Processes]:
    kept = Processes(tmp_path)
    yield kept
    kept.stop()


@pytest.mark.slow
def test_stop_ends_everything_also_what_does_not_listen(running: Processes) -> None:
    pids = [running.run("sleep", SLEEP), running.run("stubborn", STUBBORN), running.guard]

    running.stop()

    assert not any(processes.runs(pid) for pid in pids)
    running.stop()


def test_a_name_that_is_started_again_runs_once(running: Processes) -> None:
    first = running.run("sleep", SLEEP)
    second = running.again("sleep")

    assert (processes.runs(first), processes.runs(second)) == (False, True)


def test_a_process_that_ended_is_reported_with_its_last_words(running: Processes) -> None:
    running.run("sleep", SLEEP)
    running.run("loser", ["sh", "-c", "echo address already in use >&2; exit 1"])
    wait(lambda: not running.alive("loser"))

    with pytest.raises(ProcessFailed, match=r"(?s)loser ended .*\n  address already in use"):
        running.check()


def test_a_program_that_is_not_there_ends_the_rest(running: Processes) -> None:
    pid = running.run("sleep", SLEEP)

    with pytest.raises(ProcessFailed, match="No such file"):
        running.run("nothing", ["/nowhere/nothing"])
    assert not processes.runs(pid)


def test_what_was_killed_is_gone_when_kill_returns(running: Processes) -> None:
    pid = running.run("sleep", SLEEP)

    running.kill("sleep")

    assert not processes.runs(pid)


def test_one_folder_has_one_guard(running: Processes) -> None:
    with pytest.raises(ProcessFailed, match=f"a control plane runs in {running.folder} already"):
        Processes(running.folder)


STARTER = """
import os, sys, time
from pathlib import Path
from tools.controlplane.processes import Processes
kept = Processes(Path(sys.argv[1]))
print(kept.run("sleep", ["sleep", "600"]), kept.guard, flush=True)
if sys.argv[2] == "keep":
    kept.keep()
if sys.argv[2] == "fork" and os.fork() == 0:  # a child that holds the pipe to the guard open
    os.setsid()
    time.sleep(600)
if sys.argv[2] != "keep":
    time.sleep(600)
"""


def starter(folder: Path, how: str) -> tuple["subprocess.Popen[str]", int, int]:
    command = [sys.executable, "-c", STARTER, str(folder), how]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    pid, guard = map(int, child.stdout.readline().split())
    return child, pid, guard


@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "fork"])
def test_nothing_outlives_a_starter_that_is_killed(tmp_path: Path, how: str) -> None:
    child, pid, guard = starter(tmp_path, how)
    forked = [int(name) for name in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split() if int(name) != guard]

    child.kill()
    child.wait()
    try:
        wait(lambda: not processes.runs(pid) and not processes.runs(guard))
    finally:
        for other in forked:
            os.kill(other, signal.SIGKILL)
        assert child.stdout is not None
        child.stdout.close()


def test_nothing_outlives_a_guard_that_is_killed(running: Processes) -> None:
    pid = running.run("stubborn", STUBBORN)

    os.kill(running.guard, signal.SIGKILL)

    wait(lambda: not processes.runs(pid))


@pytest.mark.slow
def test_what_is_kept_outlives_its_starter_until_it_is_stopped(tmp_path: Path) -> None:
    child, pid, guard = starter(tmp_path, "keep")
    child.communicate(timeout=20)
    assert processes.runs(pid)

    assert processes.stop(tmp_path) is True
    assert (processes.runs(pid), processes.runs(guard)) == (False, False)
    assert processes.stop(tmp_path) is False
    assert processes.stop(tmp_path / "nowhere") is False


# The audit log


def line(verb: str, stage: str = "ResponseComplete", **more: object) -> str:
    event = {"verb": verb, "stage": stage, "requestURI": "/x", "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z"}
    return json.dumps(event | more) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.log")


def test_a_log_that_is_not_there_yet_is_empty(log: AuditLog) -> None:
    assert log.mark() == 0
    assert list(log.since(0)) == []


def test_a_half_written_line_is_left_for_the_next_reading(log: AuditLog) -> None:
    whole, half = line("get"), line("list")
    log.path.write_text(whole + half[:20])
    mark = log.mark()
    assert [entry.verb for entry in log.since()] == ["get"]
    assert list(log.since(mark)) == []

    log.path.write_text(whole + half)
    assert [entry.verb for entry in log.since(mark)] == ["list"]


def test_a_request_counts_once_and_a_watch_when_it_begins(log: AuditLog) -> None:
    refused = line("watch", responseStatus={"code": 403})
    log.path.write_text(line("get", "ResponseStarted") + line("get") + line("watch", "ResponseStarted") + line("watch") + refused)

    assert [(entry.verb, entry.code) for entry in log.since()] == [("get", 0), ("watch", 0), ("watch", 403)]


def test_a_question_that_is_put_as_an_object_is_no_write(log: AuditLog) -> None:
    log.path.write_text(line("create", objectRef={"apiGroup": "authorization.k8s.io", "resource": "selfsubjectaccessreviews"}))

    assert [entry.write for entry in log.since()] == [False]


def test_a_dry_run_is_no_write(log: AuditLog) -> None:
    uri = "/apis/apps/v1/namespaces/team-a/deployments/chat?dryRun=All&fieldManager=reconciler"
    subject = {"apiGroup": "apps", "resource": "deployments", "namespace": "team-a", "name": "chat"}
    event = {"objectRef": subject, "responseStatus": {"code": 200}, "userAgent": "reconciler/0.1"}
    log.path.write_text(line("patch", requestURI=uri, **event) + line("patch", **event) + line("list"))

    entries = list(log.since())

    assert [(entry.dry_run, entry.write) for entry in entries] == [(True, False), (False, True), (False, False)]
    assert (entries[0].group, entries[0].resource, entries[0].namespace, entries[0].name) == ("apps", "deployments", "team-a", "chat")
    assert (entries[0].code, entries[0].agent) == (200, "reconciler/0.1")


def test_an_entry_that_does_not_come_is_not_waited_for_for_ever(log: AuditLog) -> None:
    log.path.write_text(line("get"))

    assert log.wait(lambda entry: entry.verb == "get").uri == "/x"
    with pytest.raises(TimeoutError, match="there are 1 others"):
        log.wait(lambda entry: entry.verb == "patch", seconds=0.05)


def test_a_log_that_cannot_be_read_proves_nothing() -> None:
    for question in (lambda log: log.mark(), lambda log: list(log.since()), lambda log: log.wait(bool)):
        with pytest.raises(NotAvailable, match="existing cluster"):
            question(AuditLog(None))


# The rights


def rules() -> list[dict[str, list[str]]]:
    return [rule for manifest in access.rights() for rule in manifest.get("rules", [])]


def test_the_rights_are_no_more_than_what_is_written_out() -> None:
    resources = {resource for rule in rules() for resource in rule["resources"]}

    assert not any("*" in part for rule in rules() for part in (*rule["apiGroups"], *rule["resources"], *rule["verbs"]))
    assert "secrets" not in resources
    assert not any(resource.startswith("pods/") for resource in resources - {"pods/status"})
    assert not {"escalate", "bind", "impersonate", "update", "deletecollection"} & {verb for rule in rules()[:-1] for verb in rule["verbs"]}
    assert [rule["verbs"] for rule in rules() if rule["resources"] == ["namespaces"]] == [["get", "list", "create", "patch"]]


def test_a_rule_is_for_one_purpose_which_stands_above_it() -> None:
    lines = access.RBAC.read_text().splitlines()
    above = [lines[number - 1].strip() for number, text in enumerate(lines) if text.startswith("  - apiGroups:")]

    assert len(above) == len(rules())
    assert all(text.startswith("# ") for text in above)
    assert all(len(rule["resources"]) == len(rule["apiGroups"]) == 1 for rule in rules())


def test_the_test_user_gets_the_same_roles_as_the_service_account() -> None:
    manifests = access.rights()
    ours = list(access.bindings(manifests))

    assert [one["roleRef"] for one in ours] == [one["roleRef"] for one in manifests if one["kind"].endswith("Binding")]
    assert all([subject["kind"] for subject in one["subjects"]] == ["User"] for one in ours)
    assert yaml.safe_load_all(yaml.safe_dump_all(ours))
