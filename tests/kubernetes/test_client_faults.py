"""The client when the way to the API server is broken: what is tried again and what is not, and that no fault makes a list shorter."""

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import KubeUnavailable
from reconciler.targets.kubernetes.api.kubeconfig import read_file
from reconciler.targets.kubernetes.api.pacing import Limits
from reconciler.targets.kubernetes.api.stream import Watch
from tests.kubernetes.client_parts import Waits, apply, client_of, configmap_path, failure, names, until, user_of
from tests.kubernetes.fault_proxy import CloseAfter, Fault, FaultProxy, Hang, Reply, Reset, Seen, Slow, Truncate, always, first
from tools.controlplane import ControlPlane

pytest_plugins = ["tests.kubernetes.client_fixtures"]

ALL = ["m0", "m1", "m2", "m3", "m4"]


def is_patch(seen: Seen) -> bool:
    return seen.method == "PATCH"


def is_delete(seen: Seen) -> bool:
    return seen.method == "DELETE"


def is_later_page(seen: Seen) -> bool:
    return "continue" in seen.query


@pytest.fixture
def filled(direct: KubeClient, place: str) -> str:
    """A namespace with ConfigMaps of these names; with a limit of 2, a LIST of them has three pages."""
    for name in ALL:
        apply(direct, place, name)
    return place


def client_access(plane: ControlPlane, proxy: FaultProxy) -> Access:
    return read_file(proxy.kubeconfig(user_of(plane)))


def listed(client: KubeClient, namespace: str) -> list[str]:
    return names(list(client.list_pages(configmap_path(namespace), "of=client-test", limit=2)))


# A LIST is whole, or an error

BROKEN_PAGES = {
    "503": (Reply(503), failures.TROUBLE),
    "500": (Reply(500), failures.TROUBLE),
    "429": (Reply(429), failures.THROTTLED),
    "reset": (Reset(), failures.NOBODY),
    "reset after": (Reset(after=True), failures.NOBODY),
    "hang": (Hang(), failures.NOBODY),
    "hang in the body": (Hang(after=True), failures.NOBODY),
    "cut off": (Truncate(), failures.TROUBLE),
    "cut off between chunks": (Truncate(chunked=True), failures.TROUBLE),
    "no end": (Truncate(1.0, framed=False), failures.TROUBLE),
    "cut off without an end": (Truncate(framed=False), failures.TROUBLE),
}


@pytest.mark.parametrize(("fault", "code"), BROKEN_PAGES.values(), ids=BROKEN_PAGES)
def test_a_page_that_stays_broken_is_an_error_and_nothing_is_handed_out(
    hasty: KubeClient, proxy: FaultProxy, filled: str, fault: Fault, code: str
) -> None:
    proxy.rule = always(fault, is_later_page)
    pages = hasty.list_pages(configmap_path(filled), "of=client-test", limit=2)

    error = failure(lambda: next(pages), code)

    assert isinstance(error, KubeUnavailable)
    assert not error.unknown, "a read changes nothing"
    assert next(pages, None) is None


@pytest.mark.parametrize(("fault", "code"), BROKEN_PAGES.values(), ids=BROKEN_PAGES)
def test_a_page_that_breaks_once_is_read_again(hasty: KubeClient, proxy: FaultProxy, filled: str, fault: Fault, code: str) -> None:
    proxy.rule = first(1, fault, is_later_page)

    assert listed(hasty, filled) == ALL


def test_a_list_whose_history_is_gone_begins_again_once(through: KubeClient, proxy: FaultProxy, filled: str) -> None:
    """Pages of two moments must not be mixed, and none be handed out twice."""
    proxy.rule = first(1, Reply(410, reason="Expired"), is_later_page)

    assert listed(through, filled) == ALL
    assert ["continue" in seen.query for seen in proxy.seen] == [False, True, False, True, True]


def test_a_list_whose_history_is_gone_again_is_an_error(through: KubeClient, proxy: FaultProxy, filled: str) -> None:
    proxy.rule = always(Reply(410, reason="Expired"), is_later_page)

    failure(lambda: listed(through, filled), failures.EXPIRED)
    assert len(proxy.seen) == 4


def test_a_page_that_is_no_json_is_an_error(through: KubeClient, proxy: FaultProxy, filled: str) -> None:
    proxy.rule = always(Reply(200, body=b'{"kind":"ConfigMapList","metadata":{},"items":[{"meta'), is_later_page)

    failure(lambda: listed(through, filled), failures.NOT_KUBERNETES)


def test_a_web_page_is_no_list(through: KubeClient, proxy: FaultProxy, filled: str) -> None:
    """A proxy that asks for a login says 200."""
    proxy.rule = always(Reply(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"))

    failure(lambda: listed(through, filled), failures.NOT_KUBERNETES)


def test_a_slow_list_is_waited_for(hasty: KubeClient, proxy: FaultProxy, filled: str) -> None:
    """Slow is not silent: it may take longer than the time-out for silence, in all."""
    proxy.rule = first(1, Slow(piece=200, pause=0.1))

    assert listed(hasty, filled) == ALL


def test_a_list_that_is_too_slow_is_an_error(control_plane: ControlPlane, proxy: FaultProxy, filled: str) -> None:
    proxy.rule = always(Slow(piece=1, pause=0.1))
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), limits=Limits(list_budget=1.0))) as client:
        failure(lambda: listed(client, filled), failures.NOBODY)


# What is tried again


def test_nobody_listens(through: KubeClient, proxy: FaultProxy, waits: Waits) -> None:
    with proxy.refusing():
        error = failure(through.version, failures.NOBODY)

    assert "the connection is refused: nothing listens there" in str(error)
    assert waits.asked == [0.1, 0.2, 0.4, 0.8, 1.6], "it doubles; of the jitter, the least"


def test_a_server_that_comes_back_is_found_again(through: KubeClient, proxy: FaultProxy, waits: Waits) -> None:
    through.version()
    with proxy.refusing():
        waits.then = proxy.listen_again
        through.get("/api/v1/namespaces/default")

    assert len(waits.asked) == 1


@pytest.mark.parametrize(
    "fault", [Reset(), Reset(after=True), Hang(), Truncate(), Reply(500), Reply(503), Reply(504), Reply(429)], ids=repr
)
def test_an_apply_is_sent_again(hasty: KubeClient, proxy: FaultProxy, place: str, fault: Fault) -> None:
    """It does the same whether it was done before or not."""
    proxy.rule = first(2, fault, is_patch)

    written = apply(hasty, place, "one", a="1")

    assert json.loads(hasty.get(configmap_path(place, "one")))["metadata"]["resourceVersion"] == written["resourceVersion"]
    assert proxy.count("PATCH") == 3


def test_a_server_in_trouble_is_left_alone_after_six_attempts(through: KubeClient, proxy: FaultProxy, waits: Waits, place: str) -> None:
    proxy.rule = always(Reply(503), is_patch)

    error = failure(lambda: apply(through, place, "one"), failures.TROUBLE)

    assert isinstance(error, KubeUnavailable)
    assert error.unknown, "it may have been done"
    assert (proxy.count("PATCH"), len(waits.asked)) == (6, 5)


def test_the_wait_that_the_server_asks_for_is_kept(through: KubeClient, proxy: FaultProxy, waits: Waits) -> None:
    proxy.rule = first(1, Reply(429, {"Retry-After": "7"}))
    through.version()
    proxy.rule = first(1, Reply(503, {"Retry-After": "3600"}))
    through.get("/api/v1/namespaces/default")

    assert waits.asked == [7.0, 30.0], "as long as it says, but no longer than half a minute"


def test_no_wait_leads_beyond_the_budget(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits) -> None:
    proxy.rule = always(Reply(429, {"Retry-After": "10"}))
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits, Limits(budget=5.0))) as client:
        failure(client.version, failures.THROTTLED)

    assert (waits.asked, len(proxy.seen)) == ([], 1)


def test_a_throttled_client_becomes_narrow_and_wide_again(control_plane: ControlPlane, proxy: FaultProxy, place: str) -> None:
    proxy.rule = first(1, Reply(429))
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)))) as client, ThreadPoolExecutor(16) as pool:
        client.version()
        assert client.width == 8
        list(pool.map(lambda number: apply(client, place, f"m{number % 8}"), range(8 + 9 + 10 + 11 + 12 + 13 + 14 + 15)))
        assert client.width == 16


def test_a_cancelled_client_repeats_nothing(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits) -> None:
    """The lock of the target is lost: what was asked once may come through, a repeat would be a write of somebody who may not."""
    proxy.rule = always(Reply(503))
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits, cancelled=lambda: bool(waits.asked))) as client:
        failure(client.version, failures.TROUBLE)

    assert len(proxy.seen) == 1


def test_connections_that_the_server_has_closed_are_opened_again(through: KubeClient, proxy: FaultProxy, waits: Waits, place: str) -> None:
    proxy.rule = always(CloseAfter())
    for number in range(5):
        apply(through, place, f"m{number}")

    assert waits.asked == []
    assert proxy.count("PATCH") == 5


def test_a_kept_connection_that_breaks_is_opened_again_at_once(through: KubeClient, proxy: FaultProxy, waits: Waits, place: str) -> None:
    apply(through, place, "one")
    proxy.rule = first(1, Reset(), is_patch)

    apply(through, place, "two")

    assert waits.asked == []


def test_a_client_that_is_closed_while_it_waits_ends_at_once(control_plane: ControlPlane, proxy: FaultProxy) -> None:
    proxy.rule = always(Reply(429, {"Retry-After": "30"}))
    client = KubeClient(client_access(control_plane, proxy))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.version)
        until(lambda: client.width < 16, "the client has understood that it is throttled")
        begin = time.monotonic()
        client.close()
        failure(asked.result, failures.THROTTLED)

    assert time.monotonic() - begin < 10


def test_a_client_that_is_closed_while_it_reads_ends_at_once(control_plane: ControlPlane, proxy: FaultProxy) -> None:
    proxy.rule = always(Hang())
    client = KubeClient(client_access(control_plane, proxy))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.version)
        until(lambda: bool(proxy.seen), "the request came")
        begin = time.monotonic()
        client.close()
        failure(asked.result, failures.NOBODY)

    assert time.monotonic() - begin < 10


# What must not be done twice


def test_a_delete_that_was_done_unseen_is_not_repeated(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    """The object is read first: it is gone."""
    metadata = apply(through, place, "one")
    proxy.rule = first(1, Reset(after=True), is_delete)

    assert through.delete(configmap_path(place, "one"), metadata["uid"]).status == 404
    assert proxy.count("DELETE") == 1


def test_a_delete_that_was_not_done_is_repeated_when_the_object_is_seen(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    metadata = apply(through, place, "one")
    proxy.rule = first(1, Reset(), is_delete)

    assert through.delete(configmap_path(place, "one"), metadata["uid"], metadata["resourceVersion"]).status == 200
    assert [seen.method for seen in proxy.seen] == ["PATCH", "DELETE", "GET", "DELETE"]


def test_a_delete_leaves_alone_what_was_made_anew_meanwhile(through: KubeClient, direct: KubeClient, proxy: FaultProxy, place: str) -> None:
    metadata = apply(through, place, "one")

    def made_anew(seen: Seen) -> Fault | None:
        if not is_delete(seen):
            return None
        direct.delete(seen.path, metadata["uid"])
        apply(direct, place, "one", a="new")
        return Reset()

    proxy.rule = made_anew

    assert through.delete(configmap_path(place, "one"), metadata["uid"]).status == 404
    assert proxy.count("DELETE") == 1
    assert direct.find(configmap_path(place, "one")) is not None


def test_a_delete_that_waits_for_a_finalizer_was_done(through: KubeClient, admin: KubeClient, proxy: FaultProxy, place: str) -> None:
    metadata = apply(through, place, "one")
    path = configmap_path(place, "one")
    admin.patch_merge(path, b'{"metadata": {"finalizers": ["example.org/held"]}}')
    proxy.rule = first(1, Reset(after=True), is_delete)
    try:
        assert through.delete(path, metadata["uid"]).status == 202
        assert proxy.count("DELETE") == 1
    finally:
        admin.patch_merge(path, b'{"metadata": {"finalizers": null}}')


def test_a_delete_that_nobody_ever_answers_is_an_error(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    metadata = apply(through, place, "one")
    proxy.rule = always(Reset(), is_delete)

    error = failure(lambda: through.delete(configmap_path(place, "one"), metadata["uid"]), failures.NOBODY)

    assert isinstance(error, KubeUnavailable)
    assert error.unknown
    assert proxy.count("DELETE") == 3


def test_a_delete_that_was_throttled_or_not_sent_was_not_done(through: KubeClient, proxy: FaultProxy, waits: Waits, place: str) -> None:
    metadata = apply(through, place, "one")
    proxy.rule = first(1, Reply(429), is_delete)
    with proxy.refusing():
        waits.then = proxy.listen_again
        assert through.delete(configmap_path(place, "one"), metadata["uid"]).status == 200

    assert [seen.method for seen in proxy.seen] == ["PATCH", "DELETE", "DELETE"]


def test_a_json_patch_that_may_have_been_done_is_left_to_the_caller(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    apply(through, place, "one", a="1")
    path = configmap_path(place, "one")
    proxy.rule = first(1, Reset(after=True), is_patch)

    error = failure(lambda: through.patch_json(path, b'[{"op": "remove", "path": "/data/a"}]'), failures.NOBODY)

    assert isinstance(error, KubeUnavailable)
    assert error.unknown
    assert proxy.count("PATCH") == 2
    assert json.loads(through.get(path)).get("data") is None


# A watch


def events(client: KubeClient, namespace: str, version: str = "", timeout: float = 60.0) -> Watch:
    return client.watch(configmap_path(namespace), version, selector="of=client-test", timeout=timeout)


def test_a_watch_brings_what_happens(through: KubeClient, direct: KubeClient, place: str) -> None:
    version = apply(direct, place, "one")["resourceVersion"]
    with events(through, place, version) as watch:
        uid = apply(direct, place, "two")["uid"]
        direct.delete(configmap_path(place, "two"), uid)
        seen = [json.loads(next(watch)) for _ in range(2)]

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [("ADDED", "two"), ("DELETED", "two")]


def test_a_watch_ends_when_the_server_ends_it(through: KubeClient, place: str) -> None:
    version = apply(through, place, "one")["resourceVersion"]

    found = [json.loads(line)["type"] for line in events(through, place, version, timeout=1.0)]

    assert set(found) <= {"BOOKMARK"}


def test_a_watch_is_closed_by_another_thread(through: KubeClient, place: str) -> None:
    version = apply(through, place, "one")["resourceVersion"]
    watch = events(through, place, version)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: list(watch))
        closing = threading.Timer(0.2, watch.close)
        closing.start()
        assert reading.result(timeout=20) == []
        closing.join()


def test_a_closed_client_ends_its_watches(control_plane: ControlPlane, proxy: FaultProxy, place: str) -> None:
    client = client_of(client_access(control_plane, proxy))
    version = apply(client, place, "one")["resourceVersion"]
    watch = events(client, place, version)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: list(watch))
        client.close()
        assert reading.result(timeout=20) == []


def test_a_watch_that_is_cut_off_is_an_error(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    version = apply(through, place, "one")["resourceVersion"]
    with events(through, place, version) as watch:
        proxy.drop()
        failure(lambda: next(watch), failures.TROUBLE)


def test_a_watch_that_falls_silent_is_an_error(hasty: KubeClient, place: str) -> None:
    """A connection that is dead says nothing, so one that says nothing for long enough is taken for dead."""
    version = apply(hasty, place, "one")["resourceVersion"]
    with events(hasty, place, version) as watch:
        failure(lambda: next(watch), failures.NOBODY)


@pytest.mark.parametrize(
    "answer", [Reply(410, reason="Expired"), Reply(200, body=b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n')]
)
def test_a_watch_without_history_says_so(through: KubeClient, proxy: FaultProxy, place: str, answer: Reply) -> None:
    proxy.rule = always(answer, lambda seen: "watch" in seen.query)

    failure(lambda: next(events(through, place, "1")), failures.EXPIRED)


def test_a_watch_that_is_refused(through: KubeClient) -> None:
    failure(lambda: through.watch("/api/v1/secrets", "1"), failures.NO_RIGHT)


def test_a_watch_where_nobody_listens(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    with proxy.refusing():
        failure(lambda: events(through, place, "1"), failures.NOBODY)
