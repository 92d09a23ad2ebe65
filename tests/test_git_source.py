"""A real repository, fetched and read; and every way in which it can be unreadable, told apart."""

import base64
import os
import shutil
import socket
from pathlib import Path

import pytest

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.git.command import Answer, Git, redact, sealed
from reconciler.git.failures import failure_of
from reconciler.git.remote import TOKEN, remote_of
from reconciler.git.source import GitSource, open_source
from reconciler.repo.cache import ReadCache
from reconciler.repo.read import read_repo
from reconciler.repo.source import Mode
from tests.git_http import git_server
from tests.git_repos import commit, git, new_repo

pytestmark = pytest.mark.slow  # real repositories and servers, time limits that pass

WORKSPACE = "apiVersion: reconciler.dev/v1alpha1\nkind: Workspace\nmetadata: {name: team-a}\n"


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    repo = new_repo(tmp_path / "work")
    commit(repo, {"team.yaml": WORKSPACE, "docs/notes.txt": "n"}, "first")
    return repo


def fetched(where: str | Path, cache: Path, branch: str = "main", seconds: float = 30.0) -> GitSource:
    source = open_source(str(where), branch, cache, seconds=seconds)
    source.fetch()
    return source


def refused(where: str | Path, cache: Path, branch: str = "main", seconds: float = 30.0) -> RepoError:
    with pytest.raises(RepoError) as caught:
        fetched(where, cache, branch, seconds)
    return caught.value


def test_a_work_tree_a_bare_repo_and_a_file_url_read_alike(work: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(bare))

    for where in (work, bare, f"file://{bare}"):
        source = fetched(where, tmp_path / "cache")
        snapshot = read_repo(source, {})
        source.close()

        assert list(snapshot.declarations) == ["Workspace/team-a"]
        assert snapshot.revision.id == git(work, "rev-parse", "HEAD")
        assert snapshot.revision.label == f"main@{snapshot.revision.id[:10]}"


def test_what_is_not_committed_is_not_read(work: Path, tmp_path: Path) -> None:
    (work / "team.yaml").write_text("broken: [")

    source = fetched(work, tmp_path / "cache")

    assert not read_repo(source, {}).problems
    source.close()


def test_the_root_stays_and_ancestry_is_known(work: Path, tmp_path: Path) -> None:
    first = git(work, "rev-parse", "HEAD")
    second = commit(work, {"a.txt": "a"})
    source = fetched(work, tmp_path / "cache")

    assert source.revision().root == first
    assert source.is_ancestor(first, second)
    assert source.is_ancestor(first, first)
    assert not source.is_ancestor(second, first)
    assert not source.is_ancestor("0" * 40, second)
    assert not source.is_ancestor("", second)


def test_a_rewound_branch_is_followed_and_its_old_head_still_known(work: Path, tmp_path: Path) -> None:
    first = git(work, "rev-parse", "HEAD")
    second = commit(work, {"a.txt": "a"})
    source = fetched(work, tmp_path / "cache")
    git(work, "reset", "--quiet", "--hard", first)

    source.fetch()

    assert source.revision().id == first
    assert not source.is_ancestor(second, first)


def test_acknowledgements_are_trailers_after_the_applied_commit(work: Path, tmp_path: Path) -> None:
    first = git(work, "rev-parse", "HEAD")
    one = commit(work, {"a.txt": "a"}, "one\n\nReconciler-Ack: sha256:1111")
    commit(work, {"a.txt": "b"}, "two, which says Reconciler-Ack: sha256:9999 in its text\n\nmore text")
    three = commit(work, {"a.txt": "c"}, "three\n\nReviewed-by: b\nreconciler-ack: sha256:3333")
    source = fetched(work, tmp_path / "cache")

    assert set(source.trailers(first, three)) == {"sha256:1111", "sha256:3333"}
    assert source.trailers(one, three) == ("sha256:3333",)
    assert source.trailers("", three) == ("sha256:3333",)
    assert source.trailers("0" * 40, three) == ("sha256:3333",)
    assert source.trailers(three, three) == ()


def test_links_and_submodules_are_told_by_their_mode(work: Path, tmp_path: Path) -> None:
    (work / "inside.yaml").symlink_to("team.yaml")
    (work / "outside.yaml").symlink_to("../../etc/passwd")
    head = commit(work, {})
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(work, "commit", "--quiet", "-m", "submodule")
    source = fetched(work, tmp_path / "cache")

    modes = {file.path: file.mode for file in source.files(source.revision())}
    snapshot = read_repo(source, {})
    source.close()

    assert modes["inside.yaml"] is Mode.SYMLINK
    assert modes["sub"] is Mode.OTHER
    assert [(problem.where, problem.code) for problem in snapshot.problems] == [
        ("inside.yaml", "W12"),
        ("outside.yaml:1", "E78"),
        ("sub", "W12"),
    ]
    assert snapshot.unknown


def test_an_outage_keeps_the_last_commit(work: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    head = fetched(work, cache).revision()
    work.rename(tmp_path / "gone")
    with git_server(tmp_path) as server:
        url = server.url
    again = open_source(str(url), "main", cache, seconds=5)

    with pytest.raises(RepoUnavailable):
        again.fetch()
    with pytest.raises(RepoUnavailable) as never:
        again.revision()
    assert "never fetched" in str(never.value)

    (tmp_path / "gone").rename(work)
    source = open_source(str(work), "main", cache)
    shutil.move(work / ".git", tmp_path / "hidden")
    with pytest.raises(RepoError) as caught:
        source.fetch()
    assert caught.value.problem.code == "R6"
    assert source.revision() == head


def test_a_server_that_fails_is_unavailable_and_then_back(work: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    with git_server(tmp_path) as server:
        source = fetched(f"{server.url}/bare.git", tmp_path / "cache")
        head = source.revision()
        server.answer = 502
        with pytest.raises(RepoUnavailable) as caught:
            source.fetch()
        assert source.revision() == head
        server.answer = 0
        source.fetch()

    assert caught.value.problem.code == "R2"
    assert "502" in caught.value.problem.why


def test_a_token_opens_the_repo_and_is_seen_nowhere(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    token = "verysecrettoken"
    header = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    with git_server(tmp_path) as server:
        server.wanted = f"Basic {header}"
        url = f"{server.url}/bare.git"
        without = refused(url, tmp_path / "one")
        monkeypatch.setenv(TOKEN, "wrong-token-of-mine")
        wrong = refused(url, tmp_path / "two")
        monkeypatch.setenv(TOKEN, token)
        source = fetched(url, tmp_path / "three")

    assert without.problem.code == wrong.problem.code == "R3"
    assert "wrong-token-of-mine" not in str(wrong)
    assert TOKEN in wrong.problem.todo
    assert source.revision().id == git(work, "rev-parse", "HEAD")
    assert not [path for path in (tmp_path / "three").rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert token not in repr(source.remote)
    assert header not in repr(source.remote)


def test_credentials_in_a_url_are_used_and_never_shown(work: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    with git_server(tmp_path) as server:
        server.wanted = "Basic " + base64.b64encode(b"me:p4ss word").decode()
        place = server.url.removeprefix("http://")
        source = fetched(f"http://me:p4ss%20word@{place}/bare.git", tmp_path / "cache")
        wrong = refused(f"http://me:0ther@{place}/bare.git", tmp_path / "other")

    assert source.revision().id
    assert "0ther" not in str(wrong)
    assert "p4ss" not in source.remote.url


def test_a_token_is_not_sent_in_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(TOKEN, "abc")
    error = refused("http://git.example.com/repo.git", tmp_path)
    assert error.problem.code == "R3"
    assert "https" in error.problem.todo


def test_a_missing_branch_names_the_nearest(work: Path, tmp_path: Path) -> None:
    git(work, "branch", "release-1")
    error = refused(work, tmp_path / "cache", "realease-1")
    assert error.problem.code == "R4"
    assert "main, release-1" in error.problem.why
    assert error.problem.todo == "did you mean release-1?"


def test_no_branch_means_the_one_of_head(work: Path, tmp_path: Path) -> None:
    git(work, "branch", "-m", "main", "trunk")

    assert fetched(work, tmp_path / "cache", "").revision().label.startswith("trunk@")
    assert open_source(str(work), "", tmp_path / "cache").revision().label.startswith("trunk@")


@pytest.mark.parametrize("branch", ["main", ""])
def test_a_repo_without_commits_is_an_error_and_no_empty_set(branch: str, tmp_path: Path) -> None:
    error = refused(new_repo(tmp_path / "empty"), tmp_path / "cache", branch)
    assert error.problem.code == "R5"


@pytest.mark.parametrize("name", ["", "--upload-pack=touch x", "ext::sh -c touch", "nowhere/at/all", "gopher://x/y", "http://[::1/x"])
def test_what_is_no_repository_is_not_asked(name: str, tmp_path: Path) -> None:
    assert refused(name, tmp_path / "cache").problem.code == "R6"


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "x.lock"])
def test_what_is_no_branch_is_not_asked(branch: str, tmp_path: Path) -> None:
    assert refused(tmp_path, tmp_path / "cache", branch).problem.code == "R4"


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert refused(tmp_path / "plain", tmp_path / "cache").problem.code == "R6"


def test_a_missing_repo_behind_a_url(tmp_path: Path) -> None:
    with git_server(tmp_path) as server:
        assert refused(f"{server.url}/none.git", tmp_path / "cache").problem.code == "R6"


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
    error = refused(f"http://127.0.0.1:{port}/repo.git", tmp_path / "cache")
    assert isinstance(error, RepoUnavailable)
    assert error.problem.code == "R2"


def test_a_server_that_never_answers_ends_at_the_time_limit(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/repo.git", tmp_path / "cache", seconds=0.2)
    assert isinstance(error, RepoUnavailable)
    assert "timed out after 1 s" in error.problem.why


def test_a_shallow_clone_is_refused_with_the_cure(work: Path, tmp_path: Path) -> None:
    commit(work, {"a.txt": "a"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{work}", str(tmp_path / "shallow"))
    error = refused(tmp_path / "shallow", tmp_path / "cache")
    assert error.problem.code == "R9"
    assert "fetch-depth: 0" in error.problem.todo
    with pytest.raises(RepoUnavailable):
        open_source(str(tmp_path / "shallow"), "main", tmp_path / "cache").revision()


def test_a_repo_that_became_shallow_leaves_the_last_commit(work: Path, tmp_path: Path) -> None:
    where = tmp_path / "served"
    git(tmp_path, "clone", "--quiet", str(work), str(where))
    source = fetched(where, tmp_path / "cache")
    before = source.revision()
    commit(work, {"a.txt": "a"})
    commit(work, {"a.txt": "b"})
    shutil.rmtree(where)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{work}", str(where))

    with pytest.raises(RepoError) as caught:
        source.fetch()

    assert caught.value.problem.code == "R9"
    assert source.revision() == before


def test_a_repo_with_a_missing_object_is_refused_and_the_last_commit_stays(work: Path, tmp_path: Path) -> None:
    source = fetched(work, tmp_path / "cache")
    before = source.revision()
    commit(work, {"team.yaml": WORKSPACE + "spec: {displayName: A}\n"})
    blob = git(work, "rev-parse", "HEAD:team.yaml")
    (work / ".git/objects" / blob[:2] / blob[2:]).unlink()

    with pytest.raises(RepoUnavailable) as caught:
        source.fetch()

    assert caught.value.problem.code == "R7"
    assert source.revision() == before


def test_a_damaged_cache_is_an_error_and_no_shorter_set(work: Path, tmp_path: Path) -> None:
    source = fetched(work, tmp_path / "cache")
    blob = git(work, "rev-parse", "HEAD:team.yaml")
    for pack in source.folder.rglob("*.pack"):
        pack.chmod(0o600)
        pack.unlink()
    (source.folder / "objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)

    with pytest.raises(RepoError) as caught:
        read_repo(source, {})

    assert caught.value.problem.code in ("R1", "R7")


@pytest.mark.parametrize(
    ("said", "code", "later"),
    [
        ("fatal: write error: No space left on device", "R12", True),
        ("error: unable to create temporary file: Permission denied", "R12", True),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "R3", False),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "R2", True),
        ("ssh: connect to host h port 22: Connection timed out", "R2", True),
        ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", "R7", True),
        ("fatal: detected dubious ownership in repository at '/srv/x'", "R8", False),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", "R6", False),
        ("fatal: something that nobody has seen", "R1", False),
    ],
)
def test_what_git_says_is_told_apart(said: str, code: str, later: bool) -> None:
    error = failure_of(Answer(128, b"", said), "https://h/x")
    assert error.problem.code == code
    assert isinstance(error, RepoUnavailable) is later
    assert error.problem.todo
    assert "https://h/x" in error.problem.what


def test_a_lock_file_that_a_kill_left_behind_is_no_obstacle(work: Path, tmp_path: Path) -> None:
    source = fetched(work, tmp_path / "cache")
    (source.folder / "refs/heads/main.lock").write_text("")
    head = commit(work, {"a.txt": "a"})

    source.fetch()

    assert source.revision().id == head


def test_a_repos_hooks_and_settings_run_nothing(work: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    for hook in ("post-checkout", "post-update", "reference-transaction", "pre-push"):
        shutil.copy(script, work / ".git/hooks" / hook)
    for setting in ("core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook", "filter.x.smudge", "core.askPass"):
        git(work, "config", setting, str(script))
    (work / ".gitattributes").write_text("* filter=x\n")
    git(work, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "-m", "x")
    trap.unlink(missing_ok=True)

    source = fetched(work, tmp_path / "cache")
    read_repo(source, {})
    source.close()

    assert not trap.exists()


def test_the_environment_is_sealed_and_keeps_what_the_user_set() -> None:
    given = {
        "GIT_DIR": "/x",
        "GIT_TRACE": "1",
        "SSH_ASKPASS": "x",
        "HTTPS_PROXY": "p",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "a.b",
        "GIT_CONFIG_VALUE_0": "c",
    }
    environment = sealed(given, [("http.x", "y")])

    assert not {"GIT_DIR", "GIT_TRACE", "SSH_ASKPASS"} & set(environment)
    assert environment["HTTPS_PROXY"] == "p"
    assert environment["GIT_CONFIG_KEY_0"] == "a.b"
    last = int(environment["GIT_CONFIG_COUNT"]) - 1
    assert environment[f"GIT_CONFIG_KEY_{last}"] == "http.x"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert "BatchMode=yes" in environment["GIT_SSH_COMMAND"]


def test_messages_hold_no_credentials() -> None:
    assert redact("fatal: https://me:pw@host/x and tok", ("tok",)) == "fatal: https://***@host/x and ***"


def test_one_cache_per_url_whatever_its_credentials() -> None:
    one, other = remote_of("https://a:b@example.com/x.git", {}), remote_of("https://example.com/x.git", {})
    assert one.slug == other.slug
    assert remote_of("git@example.com:team/x.git", {TOKEN: "t"}).config == ()
    assert remote_of("ssh://git@example.com/x.git", {}).url == "ssh://git@example.com/x.git"


def test_a_cache_that_cannot_be_made_says_so(work: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(work, tmp_path / "file").problem.code == "R12"


def test_a_missing_git_program_says_so(tmp_path: Path) -> None:
    runner = Git(tmp_path)
    runner.environment["PATH"] = ""
    with pytest.raises(RepoError, match="git was not found"):
        runner.run("version")


def test_an_unchanged_revision_gives_the_very_same_snapshot(work: Path, tmp_path: Path) -> None:
    source, cache = fetched(work, tmp_path / "cache"), ReadCache()
    first = read_repo(source, {}, cache)
    source.fetch()

    assert read_repo(source, {}, cache) is first
    source.close()
