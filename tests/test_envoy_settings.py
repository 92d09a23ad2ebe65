"""What a Gateway declares, as the target takes it."""

import pytest

from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.resource import Json
from reconciler.targets.envoy.settings import GatewaySettings, read_settings

WHOLE: dict[str, Json] = {"directory": "gateway", "run": False, "address": "127.0.0.1", "port": 8080, "maxRequestBytes": 1000}


def spec(**settings: Json) -> TargetSpec:
    return TargetSpec("public", "envoy", WHOLE | settings, source="gateway.yaml:1")


def test_given_values() -> None:
    given = spec(directory="g/public", run=True, address="::", port=443, maxRequestBytes=7, baseUrl="https://x")
    assert read_settings(given) == GatewaySettings("public", "g/public", True, "::", 443, 7, 0)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_setting_that_is_missing_is_not_guessed(name: str) -> None:
    with pytest.raises(TargetRefused):
        read_settings(TargetSpec("public", "envoy", {other: value for other, value in WHOLE.items() if other != name}))


@pytest.mark.parametrize(
    "settings",
    [
        {"directory": "/etc"},
        {"directory": "a/../../b"},
        {"directory": ""},
        {"address": "localhost"},
        {"address": 1},
        {"port": 0},
        {"port": True},
        {"port": "80"},
        {"maxRequestBytes": 0},
        {"maxRequestBytes": 2**32},
        {"workers": -1},
    ],
)
def test_what_no_gateway_can_be_made_of(settings: dict[str, Json]) -> None:
    with pytest.raises(TargetRefused) as caught:
        read_settings(spec(**settings))
    assert caught.value.problem.where == "gateway.yaml:1"
    assert caught.value.problem.todo
