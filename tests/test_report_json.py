"""The JSON of a report: its schemas are the files in `schemas/`, every hand-made report fits them, no secret is in it."""

import json
from pathlib import Path

import jsonschema
import pytest

from reconciler.report.json_form import error_as_json, plan_as_json, plan_form
from reconciler.report.schemas import json_schemas
from tests.report_cases import BROKEN, CASES

SCHEMAS = Path(__file__).parent.parent / "schemas"


@pytest.mark.parametrize(("name", "text"), json_schemas().items(), ids=list(json_schemas()))
def test_the_schema_files_equal_the_types(name: str, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update", default=False):
        (SCHEMAS / name).write_text(text)

    assert (SCHEMAS / name).read_text() == text


@pytest.mark.parametrize("name", CASES)
def test_every_report_fits_its_schema(name: str) -> None:
    schema = json.loads((SCHEMAS / "plan.json").read_text())

    jsonschema.validate(json.loads(plan_as_json(CASES[name])), schema)


def test_an_error_fits_its_schema() -> None:
    schema = json.loads((SCHEMAS / "error.json").read_text())

    jsonschema.validate(json.loads(error_as_json("RepoError", BROKEN, 1)), schema)


def test_the_exit_code_stands_in_the_json() -> None:
    codes = {name: plan_form(given)["exitCode"] for name, given in CASES.items()}

    assert codes["no-changes"] == 0
    assert codes["everything-that-runs"] == 2
    assert codes["held-by-a-guard"] == 3
    assert codes["invalid"] == 1
    assert codes["address-changes-only"] == 0


def test_a_secret_value_is_not_in_the_json() -> None:
    text = plan_as_json(CASES["everything-that-runs"])

    assert "hf_old" not in text
    assert "hf_new" not in text
    assert '"sensitive": true' in text
