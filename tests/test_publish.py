"""The status branch on real, bare Git repositories: what stands there, what never does, and who wins a race."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from reconciler.change import Plan
from reconciler.errors import RepoUnavailable
from reconciler.git.source import GitSource, open_source
from reconciler.publish.push import GitPush
from reconciler.publish.status_branch import StatusBranches
from reconciler.publish.status_files import Files, files_of, targets_of
from reconciler.report.model import EndpointStatus, Report
from reconciler.report.redact import redact
from reconciler.resource import Health
from tests.git_repos import commit, git, new_repo
from tests.report_cases import COMMIT, DIGEST, STATUSES

pytestmark = pytest.mark.slow  # pushes to real repositories, lost races, retries

NOW = 1_795_000_000.0


def report(*statuses: EndpointStatus, branch: str = "status/{target}") -> Report:
    return Report(Plan(COMMIT, (), (), (), DIGEST), statuses, (), (), NOW, branch, COMMIT)


def at(name: str, word: Health, *targets: str, message: str = "") -> EndpointStatus:
    return EndpointStatus(f"Endpoint/{name}", word, word.value, message, 1, 1, targets=targets or ("gpu",), since=NOW, routed=True)


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    warning = info

    def count(self, event: str) -> int:
        return sum(name == event for name, _ in self.events)


class Remote:
    """A bare repository with a source branch, and the means to look into it."""

    def __init__(self, folder: Path) -> None:
        work = new_repo(folder / "work")
        commit(work, {"endpoints.yaml": "a: b\n"}, "source")
        self.path = new_repo(folder / "bare", bare=True)
        git(work, "push", "--quiet", str(self.path), "main")
        self.folder = folder

    def source(self, name: str = "cache") -> GitSource:
        return open_source(str(self.path), "main", self.folder / name)

    def head(self, branch: str) -> str:
        return git(self.path, "rev-parse", branch)

    def file(self, branch: str, path: str) -> str:
        return git(self.path, "show", f"{branch}:{path}")

    def files(self, branch: str) -> list[str]:
        return git(self.path, "ls-tree", "-r", "--name-only", branch).splitlines()

    def commits(self, branch: str) -> int:
        return int(git(self.path, "rev-list", "--count", branch))


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "not reached in time"
        time.sleep(0.02)


def test_one_branch_per_target_and_the_source_branch_stays(remote: Remote) -> None:
    before = remote.head("main")
    log = Log()
    branches = StatusBranches(GitPush(remote.source, lambda: 0.5), lambda: "main", 0.05, log, lambda: 0.5)
    branches.start()
    try:
        branches.offer(report(at("team-a/chat", Health.READY, "gpu", "edge"), at("team-a/embed", Health.STARTING, "gpu")))
        until(lambda: log.count("status_published") == 2)
    finally:
        branches.close()

    assert remote.head("main") == before
    assert remote.files("status/gpu") == ["README.md", "summary.json", "team-a/chat.yaml", "team-a/embed.yaml"]
    assert remote.files("status/edge") == ["README.md", "summary.json", "team-a/chat.yaml"]
    assert yaml.safe_load(remote.file("status/gpu", "team-a/chat.yaml"))["status"] == "Ready"
    assert json.loads(remote.file("status/gpu", "summary.json"))["counts"] == {"Ready": 1, "Starting": 1}
    assert git(remote.path, "rev-list", "--max-parents=0", "status/gpu") != git(remote.path, "rev-list", "--max-parents=0", "main")


def test_only_a_transition_is_a_commit_and_an_endpoint_that_goes_is_removed(remote: Remote) -> None:
    log = Log()
    branches = StatusBranches(GitPush(remote.source, lambda: 0.5), lambda: "main", 0.01, log, lambda: 0.5)
    branches.start()
    try:
        for number in range(3):
            branches.offer(replace(report(at("team-a/chat", Health.READY)), at=NOW + number))
            until(lambda: log.count("status_published") == 1)
        branches.offer(report())
        until(lambda: log.count("status_published") == 2)
    finally:
        branches.close()

    assert remote.commits("status/gpu") == 2
    assert remote.files("status/gpu") == ["README.md", "summary.json"]


def test_somebody_who_pushed_in_between_is_merged_with(remote: Remote) -> None:
    """The other push comes exactly between our read and our push, twice; theirs stays, ours is there, nothing is forced away."""
    other = GitPush(lambda: remote.source("other"), lambda: 0.5)
    other("status/gpu", {"README.md": b"old"}, "first")
    raced = []

    source = remote.source()
    run = source.git.run

    class Between:
        def __getattr__(self, name: str) -> object:
            return getattr(git_command, name)

        def run(self, *words: str, **more: object) -> object:
            if words[0] == "push" and len(raced) < 2:
                raced.append(words)
                theirs = new_repo(remote.folder / f"their{len(raced)}")
                git(theirs, "fetch", "--quiet", str(remote.path), "status/gpu")
                git(theirs, "checkout", "--quiet", "FETCH_HEAD")
                commit(theirs, {f"notes/{len(raced)}.txt": "theirs"}, "theirs")
                git(theirs, "push", "--quiet", str(remote.path), "HEAD:status/gpu")
            return run(*words, **more)  # type: ignore[arg-type]

    git_command = source.git
    source.git = Between()  # type: ignore[assignment]
    ours = GitPush(lambda: source, lambda: 0.0, sleep=lambda seconds: None)

    made = ours("status/gpu", files_of("gpu", report(at("team-a/chat", Health.READY))), "ours")

    assert len(raced) == 2
    assert remote.head("status/gpu") == made
    assert remote.files("status/gpu") == ["README.md", "notes/1.txt", "notes/2.txt", "summary.json", "team-a/chat.yaml"]
    assert remote.commits("status/gpu") == 4


def test_an_unreachable_repository_is_tried_again_and_the_last_status_wins(remote: Remote) -> None:
    log, pushed = Log(), []
    failing = threading.Event()
    failing.set()

    def push(branch: str, files: Files, message: str) -> None:
        if failing.is_set():
            raise RepoUnavailable("Git is away")
        pushed.append((branch, files, message))

    branches = StatusBranches(push, lambda: "main", 0.01, log, lambda: 0.5)
    branches.start()
    try:
        branches.offer(report(at("team-a/chat", Health.STARTING)))
        until(lambda: log.count("status_publish_failed") >= 1)
        branches.offer(report(at("team-a/chat", Health.READY)))
        failing.clear()
        until(lambda: bool(pushed))
    finally:
        branches.close()

    assert b"status: Ready" in pushed[-1][1]["team-a/chat.yaml"]


@pytest.mark.parametrize("template", ["main", "status", "{target}/../main"])
def test_the_source_branch_is_never_pushed_to(remote: Remote, template: str) -> None:
    before, log = remote.head("main"), Log()
    branches = StatusBranches(GitPush(remote.source, lambda: 0.5), lambda: "main", 0.01, log, lambda: 0.5)
    branches.start()
    try:
        branches.offer(report(at("team-a/chat", Health.READY), branch=template))
        until(lambda: bool(log.events))
    finally:
        branches.close()

    assert remote.head("main") == before
    assert log.count("status_published") == 0
    assert git(remote.path, "branch", "--format=%(refname:short)") == "main"


def test_an_offer_never_waits_for_a_push() -> None:
    started, release = threading.Event(), threading.Event()

    def push(branch: str, files: Files, message: str) -> None:
        started.set()
        release.wait(60)

    branches = StatusBranches(push, lambda: "main", 0.0, Log(), lambda: 0.5)
    branches.start()
    try:
        branches.offer(report(at("team-a/chat", Health.STARTING)))
        assert started.wait(60)
        begin = time.monotonic()
        branches.offer(report(at("team-a/chat", Health.READY)))
        assert time.monotonic() - begin < 1.0
    finally:
        release.set()
        branches.close()


def test_a_plan_is_never_published() -> None:
    branches = StatusBranches(lambda *_: None, lambda: "main", 0.0, Log(), lambda: 0.5)
    branches.offer(replace(report(at("team-a/chat", Health.READY)), outcomes=None))

    assert targets_of(report(at("team-a/chat", Health.READY))) == ["gpu"]
    assert not branches._dirty


def test_no_host_no_address_no_path_and_no_secret_is_published() -> None:
    whole = b"".join(files_of("gpu-east", report(*STATUSES)).values()).decode()

    for part in ("node-7", "node-8", "10.0.0.7", "/srv/models", "x.gguf"):
        assert part not in whole
    assert "llama-server ended with code 1" in whole


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot open /srv/models/a b", "cannot open (path) b"),
        ("no answer from http://10.0.0.1:8265/api?x=1 in 3 s", "no answer from (url) in 3 s"),
        ("connect 127.0.0.1:80, [fe80::1:2:3]:80 and head:8265", "connect (address), (address) and (address)"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ..."),
        ("HF_TOKEN=hf_abc password: 'x y'", "HF_TOKEN=... password: ..."),
        ("key rcl_abcdefghjk_" + "A" * 49, "key rcl_abcdefghjk_..."),
        ("gpu-node-1.cluster.local:8000 refused", "(address) refused"),
        ("std::bad_alloc at 12:34:56 in phase 3", "std::bad_alloc at 12:34:56 in phase 3"),
        ("1 of 2 replicas, model/name and team-a/chat", "1 of 2 replicas, model/name and team-a/chat"),
    ],
)
def test_redaction(text: str, left: str) -> None:
    assert redact(text) == left


def test_a_thousand_endpoints_cost_nothing_while_nothing_changes() -> None:
    branches = StatusBranches(lambda *_: None, lambda: "main", 0.0, Log(), lambda: 0.5)
    whole = report(*(at(f"team-a/e{number}", Health.READY) for number in range(1000)))
    branches.offer(whole)

    begin = time.process_time()
    for number in range(10):
        branches.offer(replace(whole, at=NOW + number, statuses=tuple(replace(status) for status in whole.statuses)))

    assert time.process_time() - begin < 10 * 0.05
