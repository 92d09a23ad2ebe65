"""Rotating and revoking keys in a file that people wrote: only the credentials of one ApiKey change, comments and order stay.

The YAML parser says where in the text each node stands; the edit is made there and nowhere else. Then the new text is parsed again
and compared with what was intended, document by document: an edit that did anything else is refused. Pure: text in, text out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from reconciler.errors import UsageError
from reconciler.keys import CredentialRecord, block_item, flow_item, quoted, time_of, time_text

BY_HAND: Final = "edit the file by hand, or give the key its own file"
Plain = object  # what a YAML document becomes: compared, never looked into


@dataclass(frozen=True, slots=True)
class Found:
    """One ApiKey in a file: the whole text, the mapping node of its spec, and the sequence node of its credentials (None = none yet)."""

    text: str
    document: int
    spec: yaml.MappingNode
    credentials: yaml.SequenceNode | None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace text[start:end]."""

    start: int
    end: int
    text: str


def declares(text: str, workspace: str, name: str) -> bool:
    """Does the file hold this ApiKey already?"""
    return bool(_matching(text, workspace, name))


def find(text: str, workspace: str, name: str) -> Found:
    """The ApiKey in the file. Raises UsageError where it is not, stands twice, or is written in a way that this cannot edit."""
    found = _matching(text, workspace, name)
    if len(found) != 1:
        what = f"ApiKey/{workspace}/{name} stands {len(found)} times in the file" if found else f"no ApiKey/{workspace}/{name} in the file"
        raise UsageError(what, todo="name the file that declares it, its workspace and its name", code="K4")
    document, root = found[0]
    spec = _value(root, "spec")
    if not isinstance(spec, yaml.MappingNode):
        raise _refused("its spec is not a mapping")
    credentials = _value(spec, "credentials")
    if credentials is not None and not isinstance(credentials, yaml.SequenceNode):
        raise _refused("its credentials are not a list")
    return Found(text, document, spec, credentials)


def credentials_of(found: Found) -> list[CredentialRecord]:
    """What stands there now."""
    return [_record(item) for item in found.credentials.value] if found.credentials else []


def rotate(found: Found, new: CredentialRecord, now: float, grace: float) -> str:
    """The text with `new` as a second credential, the old one ending after `grace` seconds, and expired ones removed.

    Raises UsageError while an earlier rotation is under way (two credentials that are both still good).
    """
    current = credentials_of(found)
    good = [index for index, item in enumerate(current) if time_of(item.expires_at) > now]
    if len(good) > 1:
        until = min(current[index].expires_at or "for ever" for index in good)
        raise UsageError(
            f"a rotation is under way: {len(good)} keys are good, one of them until {until}",
            why="a third one would make it unclear which of them is in use",
            todo="wait, or end one of them: reconciler keys revoke --hint ....",
            code="K5",
        )
    ends = {index: min(now + grace, time_of(current[index].expires_at)) for index in good}
    kept = [_ending(current[index], time_text(ends[index])) for index in good]
    return _replaced(found, [*kept, new])


def revoke(found: Found, hint: str = "") -> str:
    """The text without the credential that ends with `hint`, or without any. Raises UsageError where there is none."""
    current = credentials_of(found)
    kept = [item for item in current if hint and item.hint != hint]
    if len(kept) == len(current):
        hints = ", ".join(item.hint for item in current) or "none"
        raise UsageError("there is no such key to revoke", why=f"hints of its keys: {hints}", todo="check --hint", code="K6")
    return _replaced(found, kept)


def _ending(credential: CredentialRecord, expires_at: str) -> CredentialRecord:
    return CredentialRecord(credential.id, credential.sha256, credential.hint, credential.created_at, expires_at)


def _matching(text: str, workspace: str, name: str) -> list[tuple[int, yaml.MappingNode]]:
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise UsageError(
            f"{line}the file is no YAML", why=str(getattr(error, "problem", "")), todo="correct it first", code="K4"
        ) from error
    found = []
    for index, node in enumerate(nodes):
        if isinstance(node, yaml.MappingNode) and _text(_value(node, "kind")) == "ApiKey":
            metadata = _value(node, "metadata")
            if _text(_value(metadata, "name")) == name and (_text(_value(metadata, "workspace")) or "default") == workspace:
                found.append((index, node))
    return found


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if _text(name) == key and isinstance(value, yaml.Node):
                return value
    return None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _record(item: yaml.Node) -> CredentialRecord:
    if not isinstance(item, yaml.MappingNode):
        raise _refused("a credential is not a mapping")
    known = {"id", "sha256", "hint", "createdAt", "expiresAt"}
    texts = {_text(name): _text(value) for name, value in item.value}
    if not set(texts) <= known or not (texts.get("id") and texts.get("sha256")):
        raise _refused("a credential has fields that this cannot keep")
    return CredentialRecord(texts["id"], texts["sha256"], texts.get("hint", ""), texts.get("createdAt", ""), texts.get("expiresAt", ""))


def _refused(why: str) -> UsageError:
    return UsageError("this ApiKey cannot be edited safely", why=why, todo=BY_HAND, code="K4")


def _replaced(found: Found, wanted: Sequence[CredentialRecord]) -> str:
    """The text with exactly these credentials; what stays of them keeps its own lines and comments."""
    text = found.text
    for edit in reversed(sorted(_edits(found, wanted), key=lambda item: item.start)):  # at one place the later edit goes behind
        text = text[: edit.start] + edit.text + text[edit.end :]
    _check(found, text, wanted)
    return text


def _edits(found: Found, wanted: Sequence[CredentialRecord]) -> list[Edit]:
    sequence = found.credentials
    if sequence is None:
        return [_new_field(found, _flow_list(wanted))]
    current = [(_record(node), node) for node in sequence.value]
    keep = {item.sha256: item for item in wanted}
    removed = [node for record, node in current if record.sha256 not in keep]
    added = [item for item in wanted if item.sha256 not in {record.sha256 for record, _ in current}]
    if not (current and wanted) or len(removed) + len(added) > 1:
        return [_whole(found.text, sequence, wanted)]
    edits = [
        _expiry(found.text, node, keep[record.sha256].expires_at) for record, node in current if keep.get(record.sha256, record) != record
    ]
    edits += [_removal(found.text, sequence, node) for node in removed]
    return edits + [_addition(found.text, sequence, item) for item in added]


def _whole(text: str, sequence: yaml.SequenceNode, wanted: Sequence[CredentialRecord]) -> Edit:
    """The whole list in place of what is there, in the style that it had."""
    start, end = sequence.start_mark.index, _end_of(sequence)
    if sequence.flow_style:
        return Edit(start, end, _flow_list(wanted))
    if not wanted:
        return Edit(text.rfind(":", 0, start) + 1, end, " []")
    lines = [line for item in wanted for line in block_item(item, " " * sequence.start_mark.column)]
    return Edit(start, end, "\n".join(lines).lstrip())


def _flow_list(wanted: Sequence[CredentialRecord]) -> str:
    return "[" + ", ".join(flow_item(item) for item in wanted) + "]"


def _new_field(found: Found, items: str) -> Edit:
    if found.spec.flow_style or not found.spec.value:
        raise _refused("it has no credentials, and its spec is written in one line")
    first = found.spec.value[0][0].start_mark
    return Edit(first.index, first.index, f"credentials: {items}\n{' ' * first.column}")


def _end_of(node: yaml.Node) -> int:
    """Index behind the last character of a node: a block node's own end mark stands behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False):
        return int(node.end_mark.index)
    if not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end_of(last[1] if isinstance(last, tuple) else last)


def _expiry(text: str, node: yaml.MappingNode, expires_at: str) -> Edit:
    value = _value(node, "expiresAt")
    if value is not None:
        return Edit(value.start_mark.index, value.end_mark.index, quoted(expires_at))
    end = _end_of(node)
    if node.flow_style:
        return Edit(end - 1, end - 1, f", expiresAt: {quoted(expires_at)}")
    end = _line_end(text, end)
    return Edit(end, end, f"\n{' ' * node.start_mark.column}expiresAt: {quoted(expires_at)}")


def _addition(text: str, sequence: yaml.SequenceNode, new: CredentialRecord) -> Edit:
    end = _end_of(sequence)
    if sequence.flow_style:
        return Edit(end - 1, end - 1, f", {flow_item(new)}")
    end = _line_end(text, end)
    return Edit(end, end, "".join(f"\n{line}" for line in block_item(new, " " * sequence.start_mark.column)))


def _removal(text: str, sequence: yaml.SequenceNode, node: yaml.Node) -> Edit:
    if sequence.flow_style:
        return _flow_removal(sequence, node)
    start = text.rfind("\n", 0, node.start_mark.index) + 1
    return Edit(start, min(_line_end(text, _end_of(node)) + 1, len(text)), "")


def _flow_removal(sequence: yaml.SequenceNode, node: yaml.Node) -> Edit:
    items = list(sequence.value)
    index = items.index(node)
    if index + 1 < len(items):
        return Edit(node.start_mark.index, items[index + 1].start_mark.index, "")
    return Edit(items[index - 1].end_mark.index, node.end_mark.index, "")


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _check(found: Found, text: str, wanted: Sequence[CredentialRecord]) -> None:
    """Parse the new text: this ApiKey has exactly the wanted credentials, and nothing else in the file has changed."""
    before, after = _documents(found.text), _documents(text)
    expected: list[Plain] = [dict(item.fields()) for item in wanted]
    if len(before) == len(after):
        got = _credentials(after[found.document])
        before[found.document] = _without_credentials(before[found.document])
        after[found.document] = _without_credentials(after[found.document])
        if before == after and got == expected:
            return
    raise _refused("the edit would have changed something else in the file")


def _documents(text: str) -> list[Plain]:
    try:
        return list(yaml.load_all(text, Loader=yaml.BaseLoader))  # makes texts only, so that nothing compares equal by accident
    except yaml.YAMLError as error:
        raise _refused("the file would be no YAML afterwards") from error


def _spec(document: Plain) -> dict[str, Plain]:
    spec = document.get("spec") if isinstance(document, dict) else None
    return spec if isinstance(spec, dict) else {}


def _credentials(document: Plain) -> list[Plain]:
    listed = _spec(document).get("credentials")
    items = listed if isinstance(listed, list) else []
    return [{name: text for name, text in item.items() if text} for item in items if isinstance(item, dict)]


def _without_credentials(document: Plain) -> Plain:
    rest = {name: value for name, value in _spec(document).items() if name != "credentials"}
    return {**document, "spec": rest} if isinstance(document, dict) else document
