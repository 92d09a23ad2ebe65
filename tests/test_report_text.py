"""The texts of a report, golden: `pytest tests/test_report_text.py --update` rewrites them."""

from pathlib import Path

import pytest

from reconciler.report.markdown import status_readme
from reconciler.report.model import Report
from reconciler.report.status_text import endpoint_as_text, statuses_as_text
from reconciler.report.style import is_sensitive
from reconciler.report.text import plan_as_text
from tests.report_cases import CASES, DIGEST, NOW, STATUSES, plan, report

GOLDEN = Path(__file__).parent / "golden" / "report"


def _check(name: str, text: str, update: bool) -> None:
    path = GOLDEN / f"{name}.txt"
    if update:
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update", default=False))


@pytest.mark.parametrize(("name", "given"), CASES.items(), ids=CASES)
def test_a_plan_reads_as_it_did(name: str, given: Report, update: bool) -> None:
    _check(name, plan_as_text(given), update)


def test_the_status_table_shows_failing_endpoints_first(update: bool) -> None:
    text = statuses_as_text(STATUSES, NOW)

    assert text.splitlines()[1].startswith("team-a/embed")
    _check("status-table", text, update)


def test_one_endpoint_shows_its_failing_replica_first(update: bool) -> None:
    _check("status-detail", endpoint_as_text(STATUSES[2], NOW), update)


def test_the_readme_of_a_status_branch(update: bool) -> None:
    _check("status-readme", status_readme("gpu-east", STATUSES[0].revision, STATUSES), update)


@pytest.mark.parametrize("name", CASES)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", plan_as_text(CASES[name], colour=True)) == plan_as_text(CASES[name])


def test_what_a_guard_holds_comes_with_the_line_to_copy() -> None:
    assert f"\n      Reconciler-Ack: {DIGEST}\n" in plan_as_text(CASES["held-by-a-guard"])


def test_an_unreadable_target_is_never_as_declared() -> None:
    text = plan_as_text(CASES["unreadable-and-nothing-else"])

    assert "as declared" not in text
    assert "Unknown: gpu-west" in text


def test_deletes_are_never_cut() -> None:
    from tests.report_cases import ChangeClass, Delete, Effects, app, live

    many = [Delete(live(app(f"team-a/e{n:03}")), Effects(ChangeClass.DELETE)) for n in range(200)]

    text = plan_as_text(report(plan(*many, endpoints=300)))

    assert all(f"team-a/e{n:03}" in text for n in range(200))


def test_foreign_text_sends_no_control_characters() -> None:
    text = plan_as_text(CASES["everything-that-runs"])

    assert "\x1b" not in text
    assert "\\u001b[31m" in text


@pytest.mark.parametrize(
    ("pointer", "sensitive"),
    [
        ("/env/HF_TOKEN", True),
        ("/env/OPENAI_API_KEY", True),
        ("/env/password", True),
        ("/args/max_tokens", False),
        ("/resource_key", False),
        ("/secrets/0/secret_name", False),
        ("/replicas", False),
    ],
)
def test_values_of_fields_that_may_be_secret_are_not_shown(pointer: str, sensitive: bool) -> None:
    assert is_sensitive(pointer) is sensitive


def test_several_passes_are_one_report() -> None:
    from dataclasses import replace

    from reconciler.report.combine import combined
    from tests.report_cases import CREATE, IN_PLACE, REBIND, Outcome

    first = report(plan(CREATE, IN_PLACE), outcomes=(Outcome(IN_PLACE, False, "away"), Outcome(CREATE, True), Outcome(REBIND, True)))
    last = replace(report(plan(), outcomes=(Outcome(IN_PLACE, True),)), at=NOW + 60)

    whole = combined([first, last])

    assert [(outcome.change, outcome.applied) for outcome in whole.outcomes or ()] == [(CREATE, True), (IN_PLACE, True)]
    assert whole.at == NOW + 60
    assert whole.exit_code == 0
    assert plan_as_text(whole).startswith("Applied at 8d1f0c2: 2 changes applied. 8 endpoints unchanged.\n")
