"""What became of an endpoint's pods over some time, event by event as the server tells it: a look now and then would miss the worst."""

import json
from dataclasses import dataclass

from reconciler.targets.kubernetes.kinds import path_of
from tests.kubernetes.kube_site import Object, Site


@dataclass
class Counts:
    """Of pods that are not on their way out. seen: their uids."""

    seen: set[str]
    fewest_ready: int
    most: int


def pods_of(site: Site) -> Object:
    """The LIST from which a history begins."""
    found: Object = site.api.request("GET", path_of("Pod", site.namespace))
    return found


def history(site: Site, before: Object) -> Counts:
    """From that LIST until now."""
    for seconds in (1, 5, 20):  # a server that is starved ends a watch before it has sent everything
        now = {pod["metadata"]["uid"] for pod in pods_of(site)["items"] if "deletionTimestamp" not in pod["metadata"]}
        counts, left = replayed(site, before, seconds)
        if left == now:
            return counts
    raise AssertionError(f"pods come and go: {left} after the watch, {now} before it")


def replayed(site: Site, before: Object, seconds: int) -> tuple[Counts, set[str]]:
    """What a watch of so many seconds tells, and the pods that are there at its end."""
    pods = {pod["metadata"]["uid"]: is_ready(pod) for pod in before["items"]}
    found = Counts(set(pods), sum(pods.values()), len(pods))
    version = before["metadata"]["resourceVersion"]
    for line in site.plane.get(f"{path_of('Pod', site.namespace)}?watch=1&resourceVersion={version}&timeoutSeconds={seconds}").splitlines():
        event = json.loads(line)
        assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
        pod = event["object"]
        pods.pop(pod["metadata"]["uid"], None)
        if event["type"] != "DELETED" and "deletionTimestamp" not in pod["metadata"]:
            pods[pod["metadata"]["uid"]] = is_ready(pod)
        found.seen |= set(pods)
        found.fewest_ready = min(found.fewest_ready, sum(pods.values()))
        found.most = max(found.most, len(pods))
    return found, set(pods)


def is_ready(pod: Object) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", ()))
