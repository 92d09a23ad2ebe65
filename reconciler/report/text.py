"""A pass as text for people, in the manner of Terraform.

Order: verdict, problems, unreadable targets, what a person must decide, deletes and replaces, the other changes, what waits, drift, notes,
digest.
After an apply the table says what became of each change. Same report, same bytes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from reconciler.change import Change, ChangeClass, Create, Delete, FieldChange, Held, Operation, Outcome, Plan, Reason, Replace, Update
from reconciler.errors import Problem, Severity
from reconciler.report.model import Report
from reconciler.report.style import clean, first_lines, indent, is_sensitive, paint, plural, table, value_text
from reconciler.report.words import (
    CLASSES,
    CUTS,
    QUIET,
    REASONS,
    Look,
    class_of,
    direction_of,
    is_drift,
    look_of,
    short_digest,
    short_revision,
    source_of,
    subject_of,
)

Some = TypeVar("Some", bound=Change)
ROWS: Final = 50  # changes of one section, deletes and replaces not counted
FIELDS: Final = 12  # field differences of one change
ACK: Final = "Reconciler-Ack: "


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, and what is indented below it."""

    look: Look
    cells: tuple[str, str, str, str]  # target, subject, word, text
    below: tuple[str, ...] = ()


def plan_as_text(report: Report, colour: bool = False) -> str:
    """The whole report. `colour`: only on a terminal and without NO_COLOR; the caller knows."""
    plan = report.plan
    sections = (
        verdict(report, colour),
        problems_as_text(report.problems, plan.endpoints, colour),
        _unreadable(plan, colour),
        _failed(report.outcomes or (), colour),
        *(_held(plan, reason, title, colour) for reason, title in REASONS if reason not in QUIET),
        _changes(report, colour),
        *(_held(plan, reason, title, colour) for reason, title in REASONS if reason in QUIET),
        _drift(plan, colour),
        _notes(report),
        _digest(report),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _digest(report: Report) -> str:
    """In full, so that a person can acknowledge the plan before anything holds it; not twice."""
    plan = report.plan
    told = any(held.reason is Reason.GUARD for held in plan.held)
    return "" if told or report.outcomes is not None or not plan.operations else f"Digest of this plan: {plan.digest}"


def verdict(report: Report, colour: bool = False) -> str:
    """The first line: what would happen, or what has happened, and what is held."""
    plan = report.plan
    at = short_revision(plan.revision)
    if not (plan.operations or report.outcomes):
        return _nothing(report, at, colour)
    if report.outcomes is None:
        head = f"Plan {short_digest(plan.digest)} at {at}: {_counts(plan.operations)}."
    else:
        head = f"Applied at {at}: {_outcome_counts(report.outcomes)}."
    return paint(head, "bold", colour) + f"{_held_counts(plan)} {_unchanged(report)}".rstrip()


def _nothing(report: Report, at: str, colour: bool) -> str:
    plan = report.plan
    wrong = [problem for problem in report.problems if problem.severity is Severity.ERROR]
    whole = f"{plural(plan.endpoints, 'endpoint')} on {plural(plan.targets, 'target')}"
    if not (plan.held or plan.unreadable or wrong):
        are = "is" if plan.endpoints == 1 else "are"
        return paint(f"No changes at {at}: {whole} {are} as declared.", "green", colour)
    left = [f"{len(plan.unreadable)} unreadable" if plan.unreadable else "", plural(len(wrong), "problem") if wrong else ""]
    said = ", ".join(part for part in left if part)
    head = f"No changes at {at} in what could be read" + (f" ({said})" if said else "") + "."
    return paint(head, "bold", colour) + _held_counts(plan)


def _counts(operations: Iterable[Operation]) -> str:
    counted = Counter(class_of(operation) for operation in operations)
    return ", ".join(f"{counted[kind]} {kind.value}" for kind in ChangeClass if counted[kind])


def _outcome_counts(outcomes: Sequence[Outcome]) -> str:
    failed = sum(not outcome.applied for outcome in outcomes)
    parts = [f"{plural(len(outcomes) - failed, 'change')} applied", f"{failed} failed" if failed else ""]
    return ", ".join(part for part in parts if part) if outcomes else "nothing to do now"


def _held_counts(plan: Plan) -> str:
    counted = Counter(held.reason for held in plan.held)
    parts = [f"{counted[reason]} {reason.value}" for reason, _ in REASONS if counted[reason]]
    return f" Held: {', '.join(parts)}." if parts else " Held: none." if plan.operations else ""


def _unchanged(report: Report) -> str:
    plan = report.plan
    touched = {operation.owner for operation in plan.operations} | {held.subject for held in plan.held}
    touched |= {outcome.change.owner for outcome in report.outcomes or ()}
    left = plan.endpoints - sum(owner.startswith("Endpoint/") for owner in touched)
    return f"{plural(left, 'endpoint')} unchanged." if left > 0 else ""


def problems_as_text(problems: Sequence[Problem], endpoints: int = 0, colour: bool = False) -> str:
    """`3 problems in 2 files; the other 40 endpoints go on`, then each one in its three lines. Errors first, then warnings."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    warnings = [problem for problem in problems if problem.severity is not Severity.ERROR]
    parts = []
    if errors:
        parts.append(paint(_problem_head(errors, endpoints), "red bold", colour))
        parts += [indent(clean(problem.text()), 2) for problem in errors]
    if warnings:
        parts.append(paint(plural(len(warnings), "warning"), "yellow", colour))
        parts += first_lines([indent(clean(problem.text()), 2) for problem in warnings], ROWS, "warnings")
    return "\n".join(parts)


def _problem_head(errors: Sequence[Problem], endpoints: int) -> str:
    files = {problem.where.rsplit(":", 1)[0] for problem in errors if problem.where}
    blocked = {problem.owner for problem in errors if problem.owner and problem.owner.startswith("Endpoint/")}
    others = endpoints - len(blocked)
    head = plural(len(errors), "problem") + (f" in {plural(len(files), 'file')}" if files else "")
    if others <= 0:
        return head
    return head + (f"; the other {plural(others, 'endpoint')} {'goes' if others == 1 else 'go'} on")


def _unreadable(plan: Plan, colour: bool) -> str:
    lines = []
    for item in plan.unreadable:
        lines.append(paint(f"Unknown: {clean(item.target)} cannot be read; nothing of it is changed or deleted", "red bold", colour))
        lines.append(indent(clean(item.problem.text()), 2))
    return "\n".join(lines)


def _failed(outcomes: Sequence[Outcome], colour: bool) -> str:
    failed = [outcome for outcome in outcomes if not outcome.applied]
    if not failed:
        return ""
    lines = [paint("Failed", "red bold", colour)]
    for outcome in failed:
        row = _row(outcome.change, outcome.message)
        below = (clean(outcome.problem.text()),) if outcome.problem else ()
        lines += _rows([Row(Look("x", "red", "-"), row.cells, below)], colour)
    return "\n".join(lines)


def _held(plan: Plan, reason: Reason, title: str, colour: bool) -> str:
    items = [held for held in plan.held if held.reason is reason]
    if not items:
        return ""
    lines = [paint(f"{title.capitalize()}: {len(items)}", "bold", colour)]
    if reason is Reason.GUARD:
        lines += [f"  {clean(trip.rule)}: {clean(trip.text)}" for trip in plan.trips]
    shown = items if reason is Reason.GUARD else items[:ROWS]
    lines += _rows(_held_rows(shown, bool(plan.trips)), colour)
    lines += _subjects([held for held in shown if held.change is None], colour)
    lines += [f"... and {len(items) - len(shown)} more"] if len(items) > len(shown) else []
    lines += _acknowledge(plan, reason)
    return "\n".join(lines)


def _subjects(items: Sequence[Held], colour: bool) -> list[str]:
    """What is held without its change being known: a declaration that does not validate, a target that cannot be read."""
    lines = table([(clean(held.subject.removeprefix("Endpoint/")), clean(held.text)) for held in items])
    return [f"{paint('?  ', look_of(held.reason).colour, colour)} {line}" for held, line in zip(items, lines, strict=True)]


def _acknowledge(plan: Plan, reason: Reason) -> list[str]:
    if reason is not Reason.GUARD:
        return []
    return ["      to let exactly this plan go on, commit with the trailer", f"      {ACK}{plan.digest}"]


def _held_rows(items: Sequence[Held], said_above: bool) -> list[Row]:
    why = {id(held.change): held for held in items if held.change is not None}
    groups = _groups([held.change for held in items if held.change is not None])
    return [_with(_held_row(head, why[id(head)], said_above), others) for head, *others in groups]


def _held_row(change: Operation, held: Held, said_above: bool) -> Row:
    """A guard's own sentence stands above its changes, so that each says what it would do; any other says why it is held."""
    row = _row(change, "" if held.reason is Reason.GUARD and said_above else held.text)
    return Row(look_of(held.reason), row.cells, row.below)


def _changes(report: Report, colour: bool) -> str:
    """Deletes and replaces first; the rest in the plan's order and cut when there are very many."""
    done: Sequence[Change] = report.plan.changes
    if report.outcomes is not None:
        done = [outcome.change for outcome in report.outcomes if outcome.applied]
    first = _gathered([change for change in done if class_of(change) in CUTS])
    rest = _gathered([change for change in done if class_of(change) not in CUTS])
    lines = _rows([*first, *rest[:ROWS]], colour)
    if len(rest) > ROWS:
        lines.append(f"... and {len(rest) - ROWS} more changes")
    title = paint("Changes" if report.outcomes is None else "Applied", "bold", colour)
    return "\n".join([title, *lines]) if lines else ""


def _gathered(changes: Sequence[Change]) -> list[Row]:
    """Rows of changes: what comes or goes with a workload of one declaration stands below it in one line."""
    groups = _groups(changes)
    several = Counter((group[0].key.target, group[0].owner) for group in groups)
    rows = []
    for head, *others in groups:
        quiet = head.owner.startswith("Endpoint/") and isinstance(head, Create | Delete) and not _told(head)
        named = quiet or (several[head.key.target, head.owner] > 1 and isinstance(head, Update | Replace))
        rows.append(_with(_row(head, of=named), others))
    return rows


def _groups(changes: Sequence[Some]) -> list[list[Some]]:
    """What is created or deleted of one declaration at one target, together; first the one whose sentence says what that does."""
    groups: dict[tuple[object, ...], list[Some]] = {}
    for change in changes:
        alone = change.key if isinstance(change, Update | Replace) else None
        groups.setdefault((change.key.target, change.owner, type(change), class_of(change), alone), []).append(change)
    return [sorted(group, key=lambda change: not _told(change)) for group in groups.values()]


def _told(change: Change) -> str:
    return change.effects.text if isinstance(change, Operation) else change.text


def _with(row: Row, others: Sequence[Change]) -> Row:
    if not others:
        return row
    counted = Counter(change.key.kind for change in others)
    names = ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in sorted(counted.items()))
    return Row(row.look, row.cells, (*row.below, f"with {names}"))


def _row(change: Change, said: str = "", *, of: bool = False) -> Row:
    """One change; `said` replaces the effects' sentence (why it is held, why it failed); `of`: name the kind of resource too."""
    kind = class_of(change)
    text = said or _effect(change)
    subject = subject_of(change.owner, change.key) + (f" {change.key.kind}" if of else "")
    cells = (change.key.target, subject, kind.value, text)
    fields = _fields(change.fields) if isinstance(change, Update | Replace) else []
    return Row(CLASSES[kind], (clean(cells[0]), clean(cells[1]), cells[2], clean(text)), tuple(fields))


def _effect(change: Change) -> str:
    if not isinstance(change, Operation):
        return change.text
    effects = change.effects
    parts = [effects.text or (f"{plural(effects.restarts, 'replica')} restart" if effects.restarts else "")]
    parts.append("service stops meanwhile" if effects.downtime else "")
    text = "; ".join(part for part in parts if part)
    where = f"({source_of(change)})" if isinstance(change, Create) and source_of(change) else ""
    return f"{text}  {where}".strip()


def _fields(fields: Sequence[FieldChange]) -> list[str]:
    rows = [(clean(field.path), "(secret changed)" if is_sensitive(field.path) else _difference(field)) for field in fields]
    return first_lines(table(rows), FIELDS, "fields")


def _difference(field: FieldChange) -> str:
    by = f"  (live by {clean(field.by)})" if field.by else ""
    return f"{value_text(field.old)} -> {value_text(field.new)}{by}"


def _rows(rows: Sequence[Row], colour: bool) -> list[str]:
    symbols = [row.look.symbol.ljust(3) for row in rows]
    bodies = table([row.cells for row in rows])
    lines = []
    for row, symbol, body in zip(rows, symbols, bodies, strict=True):
        lines.append(f"{paint(symbol, row.look.colour, colour)} {body}".rstrip())
        lines += [indent(text, 6) for text in row.below]
    return lines


def _drift(plan: Plan, colour: bool) -> str:
    """What differs on a target without a new declaration, apart from what was declared, with its direction."""
    healed = {operation.key for operation in plan.changes}
    found = {operation.key: operation for operation in plan.operations if is_drift(plan, operation)}
    keys = sorted({*found, *plan.drifted})
    if not keys:
        return ""
    rows = []
    for key in keys:
        operation = found.get(key)
        then = "is put back" if key in healed else "is left as it is"
        owner = operation.owner if operation else ""
        rows.append((clean(key.target), clean(subject_of(owner, key)), f"{direction_of(operation)}; {then}"))
    lines = [f"!   {line}" for line in table(rows)]
    return "\n".join([paint(f"Drift: {len(keys)}", "bold", colour), *first_lines(lines, ROWS, "")])


def _notes(report: Report) -> str:
    plan = report.plan
    lines = []
    if plan.acknowledged:
        lines.append(f"Acknowledged at this revision: {plural(len(plan.acknowledged), 'operation')}.")
    if plan.rebinds and report.outcomes is None:
        lines.append(f"Address changes, which need no review: {len(plan.rebinds)}")
        texts = [
            f"  {clean(rebind.key.target)}  {clean(subject_of(rebind.owner, rebind.key))}  {clean(rebind.text)}" for rebind in plan.rebinds
        ]
        lines += first_lines(texts, ROWS, "")
    lines += first_lines([f"Note: {clean(note)}" for note in report.notes], ROWS, "notes")
    if report.outcomes is not None and report.waiting:
        lines.append(
            "What waits is looked at again in the next pass: by `reconciler run` on its own, by `apply --wait` until nothing waits."
        )
    return "\n".join(lines)
