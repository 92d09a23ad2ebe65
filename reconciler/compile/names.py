"""Model names at the gateways: who has which, without case.

An endpoint claims `<workspace>/<endpoint>` and its `model.servedName`. A broken endpoint keeps the names of its live route, which are the
remembered ones. Of several claimants the live holder keeps the name and the newcomers are blocked; without a live holder all are. Who is
blocked here claims its remembered names in turn, so this is repeated until nobody new is blocked.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.compile.findings import Findings
from reconciler.compile.source import Declaration
from reconciler.schema.endpoint import EndpointSpec

# A name becomes a word of a command line, a domain of a gateway's route and a part of lists: no blank, comma, brace, quote or wildcard.
SERVED_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """An endpoint that compiles so far, and what it wants to be called."""

    endpoint: Declaration[EndpointSpec]
    findings: Findings

    @property
    def names(self) -> tuple[str, ...]:
        return model_names(self.endpoint)


def model_names(endpoint: Declaration[EndpointSpec]) -> tuple[str, ...]:
    """`<workspace>/<endpoint>` first, then the served name, if that is another one."""
    own = f"{endpoint.workspace}/{endpoint.name}"
    served = endpoint.spec.model.served_name
    return (own, served) if served and served.lower() != own.lower() else (own,)


def check_served_name(findings: Findings, spec: EndpointSpec) -> None:
    name = spec.model.served_name
    if name and not SERVED_NAME.fullmatch(name):
        why = "model names are letters, digits and . _ : / @ + -, a letter or digit first"
        guess = re.sub(r"[^A-Za-z0-9._:/@+-]+", "-", name).strip("-._:/@+") or "my-model"
        findings.error("E2", "/spec/model/servedName", f"'{name}' is not a valid model name", why, f"try '{guess}'")


def settle_names(claims: Iterable[Claim], broken: Iterable[str], remembered: Mapping[str, str]) -> dict[str, str]:
    """Name in lower case -> owner that has it. Newcomers to a taken name get E60 in their findings."""
    open_claims = {claim.endpoint.id: claim for claim in claims if not claim.findings.broken}
    keeping = set(broken)
    while True:
        claimants = _claimants(open_claims, keeping, remembered)
        beaten = {id_: name for name, ids in sorted(claimants.items()) if len(ids) > 1 for id_ in _losers(name, ids, keeping, remembered)}
        if not beaten:
            return {name: ids[0] for name, ids in sorted(claimants.items())}
        for id_, name in sorted(beaten.items()):
            _refuse(open_claims.pop(id_), name, [other for other in claimants[name] if other != id_], remembered.get(name, ""))
        keeping |= beaten.keys()


def _claimants(open_claims: Mapping[str, Claim], keeping: set[str], remembered: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for id_ in sorted(open_claims):
        for name in open_claims[id_].names:
            found.setdefault(name.lower(), []).append(id_)
    for name, id_ in sorted(remembered.items()):
        if id_ in keeping:
            found.setdefault(name, []).append(id_)
    return found


def _losers(name: str, ids: list[str], keeping: set[str], remembered: Mapping[str, str]) -> list[str]:
    return [id_ for id_ in ids if id_ != remembered.get(name) and id_ not in keeping]


def _refuse(claim: Claim, name: str, others: list[str], holder: str) -> None:
    rivals = ", ".join(sorted(id_.split("/", 1)[1] for id_ in others))
    mine = f"{claim.endpoint.workspace}/{claim.endpoint.name}"
    pointer = "/metadata/name" if name == mine.lower() else "/spec/model/servedName"
    held = f"{holder.split('/', 1)[1]} has it now and keeps it" if holder in others else "none of them has it yet"
    what = f"model name '{name}' is claimed by {mine} and {rivals}"
    claim.findings.error("E60", pointer, what, f"{held}; the gateway could not choose", "rename one")
