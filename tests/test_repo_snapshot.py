"""From files to a snapshot: what a broken file may take with it (its own), and what it may not (anything else)."""

from collections.abc import Mapping

import pytest

from reconciler.errors import RepoError, RepoUnavailable, Severity
from reconciler.repo.cache import ReadCache
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import MAX_FILES, read_repo
from reconciler.repo.snapshot import Snapshot
from reconciler.repo.source import File, Revision
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.endpoint import EndpointSpec

HEAD = "apiVersion: reconciler.dev/v1alpha1\n"
NOTHING: Mapping[str, tuple[str, ...]] = {}


def endpoint(name: str, more: str = "") -> str:
    return (
        f"{HEAD}kind: Endpoint\nmetadata: {{name: {name}}}\nspec:\n  cluster: lab\n"
        f"  model: {{registry: local, name: smol}}\n  engine: {{name: llama-cpp}}\n{more}"
    )


def key_of(name: str) -> str:
    return f"Endpoint/default/{name}"


def read(files: Mapping[str, str | bytes], known: Mapping[str, tuple[str, ...]] = NOTHING) -> Snapshot:
    source = MemorySource()
    source.commit(files)
    return read_repo(source, known)


def test_identity_is_kind_workspace_and_name_and_never_the_path() -> None:
    one = read({"a.yaml": endpoint("chat") + "---\n" + endpoint("rank")})
    two = read({"deep/er/x.yml": endpoint("rank"), "y.yaml": endpoint("chat")})

    assert list(one.declarations) == list(two.declarations) == [key_of("chat"), key_of("rank")]
    assert [item.spec for item in one.declarations.values()] == [item.spec for item in two.declarations.values()]


def test_declarations_are_found_by_their_type() -> None:
    snapshot = read(
        {"a.yaml": endpoint("chat"), "c.yaml": HEAD + "kind: Cluster\nmetadata: {name: lab}\nspec: {type: ray, ray: {local: true}}\n"}
    )

    assert [item.name for item in snapshot.of(EndpointSpec)] == ["chat"]
    assert [item.spec.ray.local for item in snapshot.of(ClusterSpec)] == [True]
    assert snapshot.get(EndpointSpec, "Cluster/lab") is None
    assert snapshot.get(ClusterSpec, "Cluster/none") is None
    assert snapshot.of(EndpointSpec)[0].subject == "endpoint default/chat"


def test_a_field_is_found_again_in_its_file() -> None:
    more = "  env:\n    - name: A\n      value: b\n    - {name: C, value: d}\n  resources: {cpu: 1}\n"
    text = endpoint("rank") + "--- # the second\n# a comment\n" + endpoint("chat", more)
    chat = read({"a.yaml": text}).declarations[key_of("chat")]
    lines = text.splitlines()

    assert str(chat.place) == "a.yaml:10"
    for pointer, words in {
        "/kind": "kind: Endpoint",
        "/spec/cluster": "cluster: lab",
        "/spec/model/name": "model: {registry",
        "/spec/env/0/value": "value: b",
        "/spec/env/1/name": "- {name: C",
        "/spec/resources/cpu": "resources: {cpu",
        "/spec/resources/accelerator/type": "resources: {cpu",
        "/spec/replicas": "spec:",
    }.items():
        place = chat.place_of(pointer)
        assert place.path == "a.yaml"
        assert place.line > 9
        assert words in lines[place.line - 1], pointer
    assert lines[chat.place_of("/spec/env/0/value").line - 1][chat.place_of("/spec/env/0/value").column - 1 :] == "value: b"
    assert str(chat.place_of("")) == "a.yaml:10"


def test_a_broken_document_leaves_its_neighbours_in_the_same_file_alone() -> None:
    broken = endpoint("rank").replace("spec:", "spec: [")
    snapshot = read({"a.yaml": endpoint("chat") + "---\n" + broken + "---\n" + endpoint("embed")})

    assert list(snapshot.declarations) == [key_of("chat"), key_of("embed")]
    assert list(snapshot.blocked) == [key_of("rank")]
    assert str(snapshot.declarations[key_of("embed")].place) == "a.yaml:17"


def test_what_a_broken_file_held_is_blocked_and_carried_over() -> None:
    first = read({"a.yaml": endpoint("chat") + "---\n" + endpoint("rank"), "b.yaml": endpoint("embed")})
    second = read({"a.yaml": "}{", "b.yaml": endpoint("embed")}, first.declared)
    third = read({"a.yaml": "}{ still", "b.yaml": endpoint("embed")}, second.declared)

    for snapshot in (second, third):
        assert list(snapshot.blocked) == [key_of("chat"), key_of("rank")]
        assert list(snapshot.declarations) == [key_of("embed")]
        assert not snapshot.unknown
        assert snapshot.declared["a.yaml"] == (key_of("chat"), key_of("rank"))
    assert {problem.owner for problem in second.blocked[key_of("chat")]} == {key_of("chat")}


def test_a_broken_file_that_nobody_knows_holds_every_delete_for_as_long_as_it_is_broken() -> None:
    first = read({"a.yaml": endpoint("chat"), "new.yaml": "}{"})
    second = read({"a.yaml": endpoint("chat"), "new.yaml": "}{"}, first.declared)

    assert first.unknown
    assert second.unknown
    assert "new.yaml" not in second.declared


def test_a_good_document_beside_an_unknown_one_does_not_make_the_file_known() -> None:
    files = {"a.yaml": endpoint("chat") + "---\n}{\n"}
    first = read(files)

    assert first.unknown
    assert read(files, first.declared).unknown


def test_what_moved_away_from_a_file_before_it_broke_is_not_blocked() -> None:
    first = read({"a.yaml": endpoint("chat")})
    second = read({"a.yaml": "}{", "b.yaml": endpoint("chat")}, first.declared)

    assert list(second.declarations) == [key_of("chat")]
    assert not second.blocked
    assert not second.unknown


def test_what_moved_into_a_file_that_is_broken_is_blocked() -> None:
    first = read({"a.yaml": endpoint("chat"), "b.yaml": endpoint("rank"), "c.yaml": endpoint("at")})
    second = read({"b.yaml": "}{\n" + endpoint("chat")}, first.declared)
    third = read({"b.yaml": "}{\n" + endpoint("chat")}, second.declared)

    assert (
        list(second.blocked) == list(third.blocked) == [key_of("chat"), key_of("rank")]
    )  # and not "at", which stands there only inside of words
    assert not second.unknown


def test_a_deleted_file_is_a_delete() -> None:
    first = read({"a.yaml": endpoint("chat"), "b.yaml": endpoint("rank")})
    second = read({"b.yaml": endpoint("rank")}, first.declared)

    assert not second.blocked
    assert not second.unknown
    assert list(second.declarations) == [key_of("rank")]


def test_a_document_that_breaks_off_after_its_metadata_is_known_by_it() -> None:
    snapshot = read({"new.yaml": endpoint("chat", "  env: [\n")})

    assert list(snapshot.blocked) == [key_of("chat")]
    assert not snapshot.unknown
    assert snapshot.problems[0].subject == "endpoint default/chat"


def test_a_document_that_breaks_off_inside_its_metadata_is_not() -> None:
    snapshot = read({"new.yaml": HEAD + "kind: Endpoint\nmetadata:\n  name: chat\n  labels: [\n"})

    assert snapshot.unknown
    assert not snapshot.blocked


def test_a_duplicate_names_both_places_and_blocks_the_identity() -> None:
    snapshot = read({"a.yaml": endpoint("chat"), "b.yaml": endpoint("rank") + "---\n" + endpoint("chat", "  replicas: 3\n")})

    assert list(snapshot.declarations) == [key_of("rank")]
    assert [(problem.where, problem.what) for problem in snapshot.problems] == [
        ("a.yaml:1", "Endpoint default/chat is declared at b.yaml:9 too"),
        ("b.yaml:9", "Endpoint default/chat is declared at a.yaml:1 too"),
    ]
    assert len(snapshot.blocked[key_of("chat")]) == 2


def test_a_duplicate_of_an_invalid_declaration_is_a_duplicate_all_the_same() -> None:
    snapshot = read({"a.yaml": endpoint("chat"), "b.yaml": endpoint("chat", "  replicas: 0\n")})

    assert not snapshot.declarations
    assert {problem.code for problem in snapshot.blocked[key_of("chat")]} == {"E17", "E69"}


def test_a_repo_has_one_settings() -> None:
    settings = HEAD + "kind: Settings\nmetadata: {name: %s}\nspec: {drift: report}\n"
    snapshot = read({"a.yaml": settings % "one", "b.yaml": settings % "two"})

    assert not snapshot.declarations
    assert list(snapshot.blocked) == ["Settings/one", "Settings/two"]
    assert "b.yaml:1" in snapshot.blocked["Settings/one"][0].what


def test_settings_need_neither_name_nor_spec() -> None:
    assert list(read({"s.yaml": HEAD + "kind: Settings\n"}).declarations) == ["Settings/default"]


def test_hidden_folders_and_other_files_are_none_of_our_business() -> None:
    files = {".github/workflows/ci.yaml": "on: push\n", "a/.b/c.yaml": "}{", "README.md": "}{", ".x.yaml": "}{", "values.yaml.bak": "}{"}
    assert read(files).problems == ()


def test_comments_and_empty_documents_declare_nothing() -> None:
    snapshot = read({"a.yaml": "# nothing\n", "b.yaml": "---\n---\n# x\n", "c.yaml": "", "d.yaml": "\ufeff" + endpoint("chat")})
    assert list(snapshot.declarations) == [key_of("chat")]
    assert not snapshot.problems


def test_words_that_other_readers_take_for_booleans_are_names() -> None:
    text = endpoint("no", "  env: [{name: A, value: on}, {name: B, value: 2026-01-01}, {name: C, value: 0123}, {name: D, value: 1_0}]\n")
    spec = read({"a.yaml": text}).of(EndpointSpec)[0].spec
    assert [variable.value for variable in spec.env] == ["on", "2026-01-01", "0123", "1_0"]


def test_an_alias_is_its_value() -> None:
    spec = read(
        {
            "a.yaml": endpoint("chat", "  labels: 1\n").replace(
                "  labels: 1", "  env: [&a {name: A, value: b}]\n  description: &d text\n  restartedAt: *d"
            )
        }
    )
    assert spec.of(EndpointSpec)[0].spec.restarted_at == "text"


def test_a_waiver_turns_a_suspected_secret_into_a_warning() -> None:
    text = endpoint("chat", f"  description: hf_{'a' * 34}\n").replace(
        "{name: chat}", "{name: chat, annotations: {reconciler.dev/allow: 'E21, E70'}}"
    )
    snapshot = read({"a.yaml": text})

    assert list(snapshot.declarations) == [key_of("chat")]
    assert [(problem.code, problem.severity) for problem in snapshot.problems] == [("E70", Severity.WARNING)]


def test_links_inside_are_not_followed_and_links_outside_are_refused() -> None:
    source = MemorySource()
    source.links = {"a/in.yaml", "a/out.yaml", "abs"}
    source.commit({"b/real.yaml": endpoint("chat"), "a/in.yaml": "../b/real.yaml", "a/out.yaml": "../../x.yaml", "abs": "/etc"})
    snapshot = read_repo(source, {})

    assert [(problem.where, problem.code, problem.severity) for problem in snapshot.problems] == [
        ("a/in.yaml", "W12", Severity.WARNING),
        ("a/out.yaml:1", "E78", Severity.ERROR),
        ("abs:1", "E78", Severity.ERROR),
    ]
    assert len(snapshot.unknown) == 2
    assert list(snapshot.declarations) == [key_of("chat")]


def test_a_link_that_is_no_path_is_not_even_read() -> None:
    source = CountingSource()
    source.links = {"x.yaml"}
    source.commit({"x.yaml": "a" * 2**21})

    assert read_repo(source, {}).unknown
    assert source.reads == 0


def test_every_mistake_is_shown_in_one_run_in_the_order_of_the_files() -> None:
    snapshot = read({"b.yaml": endpoint("chat", "  replicas: 0\n  zzz: 1\n  paused: on\n"), "a.yaml": "}{"})
    assert [problem.where for problem in snapshot.problems] == ["a.yaml:1", "b.yaml:8", "b.yaml:9", "b.yaml:10"]


class CountingSource(MemorySource):
    reads = 0

    def read(self, file: File) -> bytes:
        self.reads += 1
        return super().read(file)


def test_an_unchanged_revision_gives_the_very_same_snapshot_without_a_read() -> None:
    source, cache = CountingSource(), ReadCache()
    source.commit({"a.yaml": endpoint("chat")})
    first = read_repo(source, {}, cache)

    assert read_repo(source, first.declared, cache) is first
    assert source.reads == 1


def test_only_changed_files_are_read_again() -> None:
    source, cache = CountingSource(), ReadCache()
    files = {f"{number}.yaml": endpoint(f"e{number}") for number in range(10)}
    source.commit(files)
    first = read_repo(source, {}, cache)
    source.commit(files | {"3.yaml": endpoint("e3", "  replicas: 2\n")})
    second = read_repo(source, {}, cache)

    assert source.reads == 11
    assert second.declarations[key_of("e4")] is first.declarations[key_of("e4")]
    assert second.of(EndpointSpec)[3].spec.replicas == 2


def test_while_something_is_broken_what_was_known_matters() -> None:
    source, cache = MemorySource(), ReadCache()
    source.commit({"a.yaml": "}{"})

    assert read_repo(source, {}, cache).unknown
    assert not read_repo(source, {"a.yaml": (key_of("chat"),)}, cache).unknown


def test_an_error_while_reading_is_an_error_and_no_shorter_set() -> None:
    source, cache = MemorySource(), ReadCache()
    source.commit({"a.yaml": endpoint("chat"), "b.yaml": endpoint("rank")})
    for calls in (1, 2, 3, 4):
        fragile = FragileSource(source, calls)
        with pytest.raises(RepoUnavailable):
            read_repo(fragile, {}, cache)
    assert len(read_repo(source, {}, cache).declarations) == 2


class FragileSource(MemorySource):
    def __init__(self, other: MemorySource, calls: int) -> None:
        super().__init__(other.commits, other.head, blobs=other.blobs)
        self.calls = calls

    def _perhaps_fail(self) -> None:
        self.calls -= 1
        self.fail = int(self.calls == 0)
        super()._perhaps_fail()


def test_a_repo_has_bounds() -> None:
    class Huge(MemorySource):
        def files(self, revision: Revision) -> list[File]:
            return [File(f"{number}.yaml", "x", 1) for number in range(MAX_FILES + 1)]

    source = Huge()
    source.commit({"a.yaml": ""})
    with pytest.raises(RepoError, match="too large"):
        read_repo(source, {})


def test_a_repo_without_commits_is_an_error() -> None:
    with pytest.raises(RepoError) as caught:
        read_repo(MemorySource(), {})
    assert caught.value.problem.code == "R5"
