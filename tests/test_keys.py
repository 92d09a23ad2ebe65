"""API keys: their form, what Git holds of them, and edits of files that people wrote."""

import pickle
import re
import secrets

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler import keyfile, keys
from reconciler.errors import UsageError

NOW = 1_795_000_000.0
FORM = re.compile(r"^rcl_([a-km-np-z2-9]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$")


def _seeded(seed: int) -> keys.Below:
    import random

    source = random.Random(seed)
    return source.randrange


def _record(seed: int, expires: float | None = None, key_id: str = "") -> keys.CredentialRecord:
    return keys.record(keys.mint(_seeded(seed), key_id), NOW, expires)


@given(st.integers(min_value=0, max_value=2**32))
def test_a_minted_key_has_its_form_and_parses_to_its_id(seed: int) -> None:
    text = keys.mint(_seeded(seed)).reveal()

    assert FORM.match(text)
    assert len(text) == 64
    assert keys.parse(text) == text[4:14]


@given(st.integers(min_value=0, max_value=63), st.sampled_from(keys.BASE62), st.integers(min_value=0, max_value=1000))
def test_any_single_typing_mistake_is_found(position: int, instead: str, seed: int) -> None:
    text = keys.mint(_seeded(seed)).reveal()
    wrong = text[:position] + instead + text[position + 1 :]

    if wrong != text:
        with pytest.raises(UsageError) as caught:
            keys.parse(wrong)
        assert wrong not in str(caught.value)


def test_a_key_cannot_be_printed_by_accident() -> None:
    key = keys.mint(secrets.randbelow)

    for shown in (str(key), repr(key), f"{key}", f"{[key]}"):
        assert key.reveal()[15:] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_what_git_holds_does_not_hold_the_key() -> None:
    key = keys.mint(_seeded(1))
    text = keys.declaration(keys.NewApiKey("team-a", "ci", "ci@example.com", ["chat"], keys.record(key, NOW, 90 * 86400)))

    assert key.reveal() not in text
    assert key.reveal()[15:58] not in text
    spec = yaml.safe_load(text)["spec"]
    assert spec["endpoints"] == ["chat"]
    assert spec["credentials"] == [
        {
            "id": keys.parse(key.reveal()),
            "sha256": keys.hash_of(key),
            "hint": key.reveal()[-4:],
            "createdAt": keys.time_text(NOW),
            "expiresAt": keys.time_text(NOW + 90 * 86400),
        }
    ]


@given(st.text(max_size=40))
def test_any_text_survives_quoting(text: str) -> None:
    if any(0xD800 <= ord(char) <= 0xDFFF or ord(char) > 0xFFFF for char in text):
        return
    assert yaml.safe_load(keys.quoted(text)) == text


@pytest.mark.parametrize(("text", "seconds"), [("90d", 90 * 86400), ("24h", 86400), ("30m", 1800), ("2w", 14 * 86400), ("5s", 5), ("0", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert keys.duration_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1y", "1.5d", "9999999d"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        keys.duration_of(text)


OLD = _record(1)
BLOCK = f"""# keys of team a
apiVersion: reconciler.dev/v1alpha1
kind: Workspace
metadata: {{name: team-a}}   # a comment
---
kind: ApiKey
metadata:
  name: ci        # the pipeline
  workspace: team-a
spec:
  owner: ci@example.com
  credentials:   # do not edit by hand
    - id: {OLD.id}   # first
      sha256: "{OLD.sha256}"
      hint: "{OLD.hint}"
      createdAt: "{OLD.created_at}"

  # what it opens
  endpoints: [chat]
---
kind: ApiKey
metadata: {{name: other, workspace: team-a}}
spec: {{owner: x, credentials: [{keys.flow_item(_record(2))}]}}
# the end
"""
FLOW = f"""kind: ApiKey
metadata: {{name: ci, workspace: team-a}}
spec:
  owner: "ci"   # who
  credentials: [{keys.flow_item(OLD)}]   # hashes
"""
NO_CREDENTIALS = """kind: ApiKey
metadata: {name: ci, workspace: team-a}
spec:
  # who answers for it
  owner: ci
"""
ZERO_INDENT = f"""kind: ApiKey
metadata: {{name: ci, workspace: team-a}}
spec:
  credentials:
  - {keys.flow_item(OLD)}
  owner: ci
"""
FILES = {"block": BLOCK, "flow": FLOW, "zero indent": ZERO_INDENT}


def _comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_rotation_adds_a_key_under_the_same_id_and_ends_the_old_one(text: str) -> None:
    new = _record(7, key_id=OLD.id)

    edited = keyfile.rotate(keyfile.find(text, "team-a", "ci"), new, NOW, keys.GRACE)

    found = keyfile.credentials_of(keyfile.find(edited, "team-a", "ci"))
    assert [item.id for item in found] == [OLD.id, OLD.id]
    assert [item.expires_at for item in found] == [keys.time_text(NOW + keys.GRACE), ""]
    assert _comments(edited) == _comments(text)
    if text is BLOCK:
        left = iter(edited.splitlines())
        assert all(line in left for line in text.splitlines()), "every line that was there is there, in order"


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_after_the_grace_time_the_next_rotation_drops_the_old_key(text: str) -> None:
    second, third = _record(7, key_id=OLD.id), _record(8, key_id=OLD.id)
    edited = keyfile.rotate(keyfile.find(text, "team-a", "ci"), second, NOW, 60)

    edited = keyfile.rotate(keyfile.find(edited, "team-a", "ci"), third, NOW + 61, 60)

    found = keyfile.credentials_of(keyfile.find(edited, "team-a", "ci"))
    assert [item.sha256 for item in found] == [second.sha256, third.sha256]


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_two_good_keys_are_not_made_three(text: str) -> None:
    edited = keyfile.rotate(keyfile.find(text, "team-a", "ci"), _record(7, key_id=OLD.id), NOW, 60)

    with pytest.raises(UsageError, match="a rotation is under way"):
        keyfile.rotate(keyfile.find(edited, "team-a", "ci"), _record(8, key_id=OLD.id), NOW + 1, 60)


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_revoking_removes_the_hash(text: str) -> None:
    edited = keyfile.revoke(keyfile.find(text, "team-a", "ci"))

    assert OLD.sha256 not in edited
    assert keyfile.credentials_of(keyfile.find(edited, "team-a", "ci")) == []


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_revoking_by_hint_leaves_the_other_key(text: str) -> None:
    new = _record(7, key_id=OLD.id)
    edited = keyfile.rotate(keyfile.find(text, "team-a", "ci"), new, NOW, 60)

    edited = keyfile.revoke(keyfile.find(edited, "team-a", "ci"), OLD.hint)

    assert keyfile.credentials_of(keyfile.find(edited, "team-a", "ci")) == [new]


def test_a_key_comes_back_after_it_was_revoked() -> None:
    edited = keyfile.revoke(keyfile.find(BLOCK, "team-a", "ci"))

    edited = keyfile.rotate(keyfile.find(edited, "team-a", "ci"), _record(9), NOW, 60)

    assert keyfile.credentials_of(keyfile.find(edited, "team-a", "ci")) == [_record(9)]


def test_a_key_without_credentials_gets_its_first() -> None:
    edited = keyfile.rotate(keyfile.find(NO_CREDENTIALS, "team-a", "ci"), _record(9), NOW, 60)

    assert keyfile.credentials_of(keyfile.find(edited, "team-a", "ci")) == [_record(9)]
    assert "# who answers for it" in edited


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: ApiKey\nmetadata: {name: ci}\n", "no ApiKey/team-a/ci"),
        (FLOW + "---\n" + FLOW, "stands 2 times"),
        ("kind: ApiKey\nmetadata: {name: ci, workspace: team-a}\nspec: [", "no YAML"),
        ("kind: ApiKey\nmetadata: {name: ci, workspace: team-a}\nspec: {credentials: {a: b}}\n", "not a list"),
        ("kind: ApiKey\nmetadata: {name: ci, workspace: team-a}\nspec: {credentials: [{id: x, sha256: y, more: z}]}\n", "cannot be edited"),
        (
            f"kind: ApiKey\nmetadata: {{name: ci, workspace: team-a}}\nspec: &s\n  credentials: [{keys.flow_item(OLD)}]\n---\nkind: X\n",
            "",
        ),
        (
            f"x: &c [{keys.flow_item(OLD)}]\nkind: ApiKey\nmetadata: {{name: ci, workspace: team-a}}\nspec: {{credentials: *c}}\n",
            "something else",
        ),
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text: str, why: str) -> None:
    if not why:
        assert keyfile.rotate(keyfile.find(text, "team-a", "ci"), _record(9), NOW, 60)
        return
    with pytest.raises(UsageError, match=why):
        keyfile.rotate(keyfile.find(text, "team-a", "ci"), _record(9), NOW, 60)


@given(st.integers(min_value=0, max_value=5), st.booleans(), st.booleans(), st.integers(min_value=0, max_value=4))
def test_any_layout_keeps_everything_else(before: int, flow: bool, comment: bool, indent: int) -> None:
    note = "  # note" if comment else ""
    listed = f"[{keys.flow_item(OLD)}]{note}" if flow else f"{note}\n" + "\n".join(keys.block_item(OLD, " " * (2 + indent)))
    text = (
        "\n" * before + f"kind: ApiKey{note}\nmetadata: {{name: ci}}\nspec:\n  credentials: {listed}\n  owner: a{note}\n---\nkind: Other\n"
    )

    edited = keyfile.rotate(keyfile.find(text, "default", "ci"), _record(9, key_id=OLD.id), NOW, 60)
    back = keyfile.revoke(keyfile.find(edited, "default", "ci"), _record(9, key_id=OLD.id).hint)

    assert _comments(edited) == _comments(text)
    assert list(yaml.safe_load_all(back))[1] == {"kind": "Other"}
    assert keyfile.credentials_of(keyfile.find(back, "default", "ci"))[0].sha256 == OLD.sha256
