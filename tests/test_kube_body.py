"""What is sent as the body of an apply: JSON that the server's YAML reader takes for what it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.targets.kubernetes.body import ESCAPED, encoded

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", b'{"k":"plain"}'),
        ("\U0001f600", '{"k":"\U0001f600"}'.encode()),
        ("\x7f", b'{"k":"\\u007f"}'),
        ("\x85", b'{"k":"\\u0085"}'),
        ("\x9f", b'{"k":"\\u009f"}'),
        ("\xa0", '{"k":"\xa0"}'.encode()),
        ("\ufffd", '{"k":"\ufffd"}'.encode()),
        ("\ufffe", b'{"k":"\\ufffe"}'),
        ("\uffff", b'{"k":"\\uffff"}'),
    ],
)
def test_only_what_yaml_does_not_take_is_escaped(text: str, sent: bytes) -> None:
    assert encoded({"k": text}) == sent


@settings(derandomize=True, max_examples=300)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.lists(st.text(max_size=5))))
def test_it_means_what_was_given(document: dict[str, str | int | list[str]]) -> None:
    sent = encoded(document)

    assert json.loads(sent) == document
    assert not ESCAPED.search(sent)
