"""When a certificate ends, read from its DER by hand: the standard library opens certificates only for a connection that exists."""

import base64
import calendar
import time


def end_of(pem: str) -> float:
    """When the first certificate of a PEM text ends, in seconds since the epoch; 0 when that cannot be read: then TLS judges it."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    try:
        return _not_after(base64.b64decode("".join(pem.partition(begin)[2].partition(end)[0].split())))
    except (ValueError, IndexError):
        return 0.0


def _not_after(der: bytes) -> float:
    """RFC 5280, 4.1: Certificate { tbs { [0] version, serial, signature, issuer, validity { notBefore, notAfter }, ...} ...}."""
    at = _item(der, _item(der, 0)[1])[1]
    tag, _, end = _item(der, at)
    if tag == 0xA0:  # the version, which is optional
        at = end
    for _ in ("serial", "signature", "issuer"):
        at = _item(der, at)[2]
    _, inside, _ = _item(der, at)
    tag, begin, end = _item(der, _item(der, inside)[2])
    return _moment(der[begin:end].decode("ascii"), short_year=tag == 0x17)


def _item(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, and where the content begins and ends."""
    length, begin = der[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + size], "big"), begin + size
    return der[at], begin, begin + length


def _moment(text: str, short_year: bool) -> float:
    year = int(text[:2]) if short_year else int(text[:4])
    rest = text[2:] if short_year else text[4:]
    if short_year:
        year += 2000 if year < 50 else 1900
    month, day, hour, minute, second = (int(rest[at : at + 2]) for at in range(0, 10, 2))
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
