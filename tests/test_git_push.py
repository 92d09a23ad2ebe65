"""Status goes back by commits without a work tree, pushed by compare-and-swap; the source branch is never written to."""

import os
from pathlib import Path

import pytest

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.git.push import AUTHOR, BranchMoved, commit_tree, read_branch
from reconciler.git.source import GitSource, open_source
from tests.git_http import git_server
from tests.git_repos import commit, git, new_repo

pytestmark = pytest.mark.slow  # real repositories, lost races

BRANCH = "status/lab"
WHEN = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    work = new_repo(tmp_path / "work")
    commit(work, {"team.yaml": "a: 1\n"})
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "bare.git"))
    return tmp_path / "bare.git"


@pytest.fixture
def repo(bare: Path, tmp_path: Path) -> GitSource:
    source = open_source(str(bare), "main", tmp_path / "cache")
    source.fetch()
    return source


def push(repo: GitSource, files: dict[str, bytes], base: str | None = None) -> str | None:
    return commit_tree(repo, files, BRANCH, "Status of lab", AUTHOR, WHEN, base=base)


def test_a_branch_that_does_not_exist_begins_without_a_parent(repo: GitSource, bare: Path) -> None:
    made = push(repo, {"README.md": b"# lab\n", "team-a/chat.yaml": b"word: Ready\n"})

    assert made == git(bare, "rev-parse", BRANCH)
    assert git(bare, "rev-list", "--count", BRANCH) == "1"
    assert git(bare, "show", f"{BRANCH}:team-a/chat.yaml") == "word: Ready"
    assert git(bare, "log", "-1", "--format=%an %ae %at %s", BRANCH) == f"reconciler reconciler@localhost {int(WHEN)} Status of lab"


def test_the_next_commit_holds_exactly_what_is_given(repo: GitSource, bare: Path) -> None:
    push(repo, {"a.yaml": b"1", "b.yaml": b"2"})
    push(repo, {"b.yaml": b"3", "c.yaml": b"4"})

    assert git(bare, "ls-tree", "-r", "--name-only", BRANCH).split() == ["b.yaml", "c.yaml"]
    assert git(bare, "rev-list", "--count", BRANCH) == "2"


def test_an_unchanged_tree_makes_no_commit(repo: GitSource, bare: Path) -> None:
    first = push(repo, {"a.yaml": b"1"})

    assert push(repo, {"a.yaml": b"1"}) is None
    assert git(bare, "rev-parse", BRANCH) == first


def test_same_inputs_same_commit(repo: GitSource, bare: Path) -> None:
    first = push(repo, {"a.yaml": b"1", "b.yaml": b"2"})
    git(bare, "update-ref", "-d", f"refs/heads/{BRANCH}")

    assert push(repo, {"b.yaml": b"2", "a.yaml": b"1"}) == first


def test_a_lost_race_is_told_and_merged_and_won(repo: GitSource, bare: Path, tmp_path: Path) -> None:
    push(repo, {"a.yaml": b"1"})
    seen = read_branch(repo, BRANCH)
    other = open_source(str(bare), "main", tmp_path / "other")
    push(other, {"a.yaml": b"1", "theirs.yaml": b"t"})

    with pytest.raises(BranchMoved):
        push(repo, {**seen.files, "ours.yaml": b"o"}, base=seen.commit)
    again = read_branch(repo, BRANCH)
    made = push(repo, {**again.files, "ours.yaml": b"o"}, base=again.commit)

    assert made == git(bare, "rev-parse", BRANCH)
    assert git(bare, "ls-tree", "-r", "--name-only", BRANCH).split() == ["a.yaml", "ours.yaml", "theirs.yaml"]


def test_a_race_between_reading_and_pushing_is_lost_at_the_push(repo: GitSource, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = push(repo, {"a.yaml": b"1"})
    run = repo.git.run

    def overtaken(*words: str, **more: object) -> object:
        if words[0] == "push":
            git(bare, "update-ref", f"refs/heads/{BRANCH}", git(bare, "rev-parse", "main"))
        return run(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(repo.git, "run", overtaken)
    with pytest.raises(BranchMoved):
        push(repo, {"a.yaml": b"2"})
    assert git(bare, "rev-parse", BRANCH) == git(bare, "rev-parse", "main") != first


def test_two_that_begin_a_branch_at_once_do_not_overwrite_each_other(repo: GitSource, bare: Path, tmp_path: Path) -> None:
    absent = read_branch(repo, BRANCH)
    push(open_source(str(bare), "main", tmp_path / "other"), {"theirs.yaml": b"t"})

    with pytest.raises(BranchMoved):
        push(repo, {"ours.yaml": b"o"}, base=absent.commit)


@pytest.mark.parametrize("branch", ["main", "", "HEAD"])
def test_the_source_branch_is_never_written_to(repo: GitSource, bare: Path, branch: str) -> None:
    before = git(bare, "rev-parse", "main^{tree}")

    with pytest.raises(RepoError, match="branch that declarations are read from"):
        commit_tree(repo, {"a": b"1"}, branch, "m", AUTHOR, WHEN)

    assert git(bare, "rev-parse", "main^{tree}") == before


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", ".git/config", "a\nb", 'a"b', "a/../b", ""])
def test_odd_paths_are_refused(repo: GitSource, path: str) -> None:
    with pytest.raises(RepoError, match="cannot be a file"):
        push(repo, {path: b""})


def test_a_hook_that_declines_is_an_error_with_its_words(repo: GitSource, bare: Path) -> None:
    hook = bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(RepoError) as caught:
        push(repo, {"a.yaml": b"1"})

    assert not isinstance(caught.value, BranchMoved)
    assert "protected branch" in caught.value.problem.why


def test_pushing_over_http(bare: Path, tmp_path: Path) -> None:
    git(bare, "config", "http.receivepack", "true")
    with git_server(tmp_path) as server:
        source = open_source(f"{server.url}/bare.git", "main", tmp_path / "cache")
        made = push(source, {f"team-a/e{number}.yaml": b"x" * 200 for number in range(300)})
        server.answer = 503
        with pytest.raises(RepoUnavailable):
            push(source, {"a": b"1"})

    assert made == git(bare, "rev-parse", BRANCH)
