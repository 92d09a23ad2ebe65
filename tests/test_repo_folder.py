"""A folder as it lies there, and a commit graph in memory: the other two sources."""

import os
import socket
from pathlib import Path

import pytest

from reconciler.errors import RepoError
from reconciler.repo.cache import ReadCache
from reconciler.repo.folder import FolderSource
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import read_repo
from reconciler.repo.source import UNCOMMITTED

TEAM = "apiVersion: reconciler.dev/v1alpha1\nkind: Workspace\nmetadata: {name: team-a}\n"


def test_a_folder_is_read_as_it_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/team.yaml").write_text(TEAM)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/x.yaml").write_text("}{")

    snapshot = read_repo(FolderSource(tmp_path), {})

    assert list(snapshot.declarations) == ["Workspace/team-a"]
    assert snapshot.revision.id == UNCOMMITTED
    assert snapshot.revision.root == ""
    assert not snapshot.problems


def test_an_unchanged_folder_gives_the_same_snapshot_and_an_edit_another(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    source, cache = FolderSource(tmp_path), ReadCache()
    first = read_repo(source, {}, cache)
    again = read_repo(source, {}, cache)
    (tmp_path / "team.yaml").write_text(TEAM.replace("team-a", "team-b"))

    assert again is first
    assert list(read_repo(source, {}, cache).declarations) == ["Workspace/team-b"]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.yaml").write_text(TEAM)
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "folder").symlink_to("../outside")
    (repo / "file.yaml").symlink_to(tmp_path / "outside/x.yaml")
    (repo / "loop").symlink_to("loop")

    snapshot = read_repo(FolderSource(repo), {})

    assert not snapshot.declarations
    assert [(problem.where, problem.code) for problem in snapshot.problems] == [
        ("file.yaml:1", "E78"),
        ("folder:1", "E78"),
        ("loop", "W12"),
    ]


def test_a_large_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(50 * 1024**3)

    snapshot = read_repo(FolderSource(tmp_path), {})

    assert "51200.0 MiB" in snapshot.problems[0].what


def test_a_name_that_is_no_text_can_be_said_and_stored(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.yaml", "wb") as file:
        file.write(b"}{")

    snapshot = read_repo(FolderSource(tmp_path), {})

    assert snapshot.problems[0].where.encode() == "\ufffd.yaml:1".encode()


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.yaml"))
        snapshot = read_repo(FolderSource(tmp_path), {})
    assert [(problem.where, problem.code) for problem in snapshot.problems] == [("pipe.yaml", "W12"), ("s.yaml", "W12")]


@pytest.mark.parametrize("name", ["none", "file"])
def test_no_folder_is_an_error_and_no_empty_repo(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepoError) as caught:
        read_repo(FolderSource(tmp_path / name), {})
    assert caught.value.problem.code == "R6"


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(RepoError, match="Permission denied"):
        read_repo(FolderSource(tmp_path), {})


def test_a_folder_has_no_history(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    assert not source.is_ancestor("a", "b")
    assert source.trailers("", "a") == ()


def test_the_commit_graph_in_memory_is_that_of_git() -> None:
    source = MemorySource()
    one = source.commit({"a": "1"}, "one")
    two = source.commit({"a": "2"}, "two\n\nReconciler-Ack: sha256:22")
    three = source.commit({"a": "3"}, "three\n\nSigned-off-by: x\nReconciler-Ack: sha256:33")

    assert source.is_ancestor(one, three)
    assert not source.is_ancestor(three, one)
    assert source.trailers(one, three) == ("sha256:33", "sha256:22")
    assert source.trailers("", three) == source.trailers("unknown", three) == ("sha256:33",)
    assert source.revision().root == one

    source.rewind(two)
    assert source.revision().id == two
    branch = source.commit({"a": "4"}, "four")
    assert not source.is_ancestor(three, branch)
    assert source.is_ancestor(two, branch)
    assert {file.path: source.read(file) for file in source.files(source.revision())} == {"a": b"4"}
