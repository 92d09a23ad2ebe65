"""A strict check of Envoy's files without running Envoy: its binary carries the descriptors of its own protos.

Finds unknown fields, wrong types and unknown @type, inside Any too. Value rules, references and Lua are for `envoy --mode validate`.
"""

import re
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

# A serialized FileDescriptorProto starts with field 1 (name): tag 0x0a, length, path.
START = re.compile(
    rb"\n([\x05-\x7f])((?:envoy|xds|udpa|google|validate|opencensus|opentelemetry|prometheus|cel|io)[a-zA-Z0-9_/.\-]{3,120}\.proto)"
)
LENGTH_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15})
VARINT_FIELDS = frozenset({10, 11, 14})
LONGEST_FIELD = 2_000_000
Pool = descriptor_pool.DescriptorPool


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise ValueError("varint too long")


def _next_field(data: bytes, at: int) -> tuple[int, int]:
    """Number and end of the field at `at`. Raises ValueError, IndexError for what is no field of such a message."""
    tag, at = _varint(data, at)
    field, wire = tag >> 3, tag & 7
    if field in VARINT_FIELDS and wire == 0:
        return field, _varint(data, at)[1]
    if field not in LENGTH_FIELDS or wire != 2:
        raise ValueError("not a field of a FileDescriptorProto")
    size, at = _varint(data, at)
    if size > LONGEST_FIELD or at + size > len(data):
        raise ValueError("longer than it can be")
    return field, at + size


def _end(data: bytes, start: int) -> int:
    """Walk the fields of one descriptor; stop at the next name, or at what cannot belong to it."""
    at, named = start, False
    while at < len(data):
        try:
            field, end = _next_field(data, at)
        except (ValueError, IndexError):
            break
        if field == 1 and named:
            break
        named, at = named or field == 1, end
    return at


def _descriptors(data: bytes) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for match in START.finditer(data):
        size, name = match[1][0], match[2]
        if not name[:size].endswith(b".proto") or len(name[:size]) != size:
            continue
        proto = descriptor_pb2.FileDescriptorProto()
        try:
            proto.ParseFromString(data[match.start() : _end(data, match.start())])
        except DecodeError:  # these bytes only looked like a descriptor
            continue
        if proto.package or proto.message_type or proto.enum_type:
            found[proto.name] = max(proto, found.get(proto.name, proto), key=lambda each: each.ByteSize())
    return found


def pool_of(binary: Path) -> Pool:
    """Everything that this Envoy knows."""
    found, pool, done = _descriptors(binary.read_bytes()), Pool(), set[str]()

    def add(name: str) -> None:  # what it imports first
        if name not in done:
            done.add(name)
            for needed in found[name].dependency:
                add(needed)
            pool.AddSerializedFile(found[name].SerializeToString())

    for name in found:
        add(name)
    return pool


def check(pool: Pool, document: dict[str, object]) -> None:
    """Raises json_format.ParseError with the path of the first field that does not fit."""
    whole = "static_resources" in document or "admin" in document
    kind = "envoy.config.bootstrap.v3.Bootstrap" if whole else "envoy.service.discovery.v3.DiscoveryResponse"
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(kind))()
    json_format.ParseDict(document, message, ignore_unknown_fields=False, descriptor_pool=pool)
