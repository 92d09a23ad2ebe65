"""Where an object stands and its key in our plans; its URL; and the mark that it carries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.resource import Mark, ResourceKey
from reconciler.targets.kubernetes.address import Address, address_of, key_of, namespace_of, workspace_of
from reconciler.targets.kubernetes.kinds import KINDS, path_of
from reconciler.targets.kubernetes.mark import mark_of, marked, unmarked
from reconciler.targets.kubernetes.settings import KubernetesSettings
from tests.kube_workloads import STORIES

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
PREFIXES = st.sampled_from(["", "llm-", "l", "team-"])
EAST = KubernetesSettings("gpu-east", prefix="llm-")


@pytest.mark.parametrize(
    ("key", "address"),
    [
        (ResourceKey("gpu-east", "Deployment", "team-a", "chat"), Address("Deployment", "llm-team-a", "chat")),
        (ResourceKey("gpu-east", "Namespace", "team-a", "llm-team-a"), Address("Namespace", "", "llm-team-a")),
        (ResourceKey("gpu-east", "Deployment", "=team-a", "chat"), Address("Deployment", "team-a", "chat")),
        (ResourceKey("gpu-east", "Deployment", "=llm-", "chat"), Address("Deployment", "llm-", "chat")),
        (ResourceKey("gpu-east", "Namespace", "=kube-system", "kube-system"), Address("Namespace", "", "kube-system")),
    ],
)
def test_a_key_and_an_address_are_one_identity(key: ResourceKey, address: Address) -> None:
    assert address_of(EAST, key) == address
    assert key_of(EAST, *address) == key


@settings(derandomize=True, max_examples=100)
@given(prefix=PREFIXES, namespace=NAMES, name=NAMES, kind=st.sampled_from(sorted(KINDS)))
def test_every_object_has_a_key_that_leads_back_to_it(prefix: str, namespace: str, name: str, kind: str) -> None:
    east = KubernetesSettings("gpu-east", prefix=prefix)
    address = Address(kind, namespace if KINDS[kind].namespaced else "", name)

    assert address_of(east, key_of(east, *address)) == address


@settings(derandomize=True, max_examples=100)
@given(prefix=PREFIXES, workspace=NAMES)
def test_every_workspace_is_found_again_in_its_namespace(prefix: str, workspace: str) -> None:
    east = KubernetesSettings("gpu-east", prefix=prefix)

    assert workspace_of(east, namespace_of(east, workspace)) == workspace


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("Deployment", "team-a", "chat"), "/apis/apps/v1/namespaces/team-a/deployments/chat"),
        (("Deployment", "team-a"), "/apis/apps/v1/namespaces/team-a/deployments"),
        (("Deployment",), "/apis/apps/v1/deployments"),
        (("Service", "team-a", "chat"), "/api/v1/namespaces/team-a/services/chat"),
        (("Namespace", "", "team-a"), "/api/v1/namespaces/team-a"),
        (("Namespace",), "/api/v1/namespaces"),
        (("LeaderWorkerSet", "a", "b"), "/apis/leaderworkerset.x-k8s.io/v1/namespaces/a/leaderworkersets/b"),
        (("NetworkPolicy", "a", "b"), "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/b"),
    ],
)
def test_where_an_object_is_asked_for(parts: tuple[str, ...], path: str) -> None:
    assert path_of(*parts) == path


def test_a_kind_that_is_not_in_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        path_of("Secret", "team-a", "hf")


MARK = Mark("default", "f" * 40, "Endpoint/team-a/chat", "sha256:" + "0" * 64)


@pytest.mark.parametrize("owner", ["Endpoint/team-a/chat", "Cluster/gpu-east", "Workspace/team-a"])
@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize("repo", ["f" * 40, ""])
def test_a_mark_is_read_as_it_was_written(owner: str, protect: bool, repo: str) -> None:
    mark = Mark("default", repo, owner, MARK.digest, protect)

    metadata = marked({"metadata": {"name": "chat"}}, mark, "applyset-x-v1")["metadata"]

    assert isinstance(metadata, dict)
    assert mark_of(metadata["labels"], metadata["annotations"]) == mark


@pytest.mark.parametrize("name", STORIES)
def test_a_mark_comes_off_without_a_trace(name: str) -> None:
    from reconciler.targets.kubernetes.render import render_workload

    for resource in render_workload(STORIES[name].workload, STORIES[name].target).resources:
        assert unmarked(marked(resource.manifest, MARK, "applyset-x-v1")) == resource.manifest


def test_how_a_mark_is_spelled() -> None:
    """Load-bearing: other tools select by these, and ours find what they own by them."""
    assert marked({"metadata": {"labels": {"mine": "1"}, "annotations": {"too": "2"}}}, MARK, "applyset-x-v1")["metadata"] == {
        "labels": {
            "mine": "1",
            "app.kubernetes.io/managed-by": "reconciler",
            "reconciler.dev/instance": "default",
            "reconciler.dev/owner-kind": "Endpoint",
            "reconciler.dev/owner-workspace": "team-a",
            "reconciler.dev/owner-name": "chat",
            "applyset.kubernetes.io/part-of": "applyset-x-v1",
        },
        "annotations": {
            "too": "2",
            "reconciler.dev/digest": MARK.digest,
            "reconciler.dev/protect": "false",
            "reconciler.dev/repo": "f" * 40,
        },
    }


@pytest.mark.parametrize(
    "missing", ["app.kubernetes.io/managed-by", "reconciler.dev/instance", "reconciler.dev/owner-kind", "reconciler.dev/owner-name"]
)
def test_what_lacks_a_part_of_the_mark_is_not_ours(missing: str) -> None:
    metadata = marked({}, MARK, "")["metadata"]
    assert isinstance(metadata, dict)
    labels = {name: value for name, value in metadata["labels"].items() if name != missing}

    assert mark_of(labels, metadata["annotations"]) is None


def test_what_somebody_else_manages_is_not_ours() -> None:
    assert mark_of({"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "chat"}, {}) is None


def test_a_mark_without_its_annotations_still_says_whose_it_is() -> None:
    metadata = marked({}, MARK, "")["metadata"]
    assert isinstance(metadata, dict)

    assert mark_of(metadata["labels"], {}) == Mark("default", "", MARK.owner, "")
