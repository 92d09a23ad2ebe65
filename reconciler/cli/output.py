"""Where text goes: the report to stdout, the rest to stderr. The only place that writes to either."""

import os
import sys
from typing import TextIO

from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.report.model import Report


def prepare_streams() -> None:
    """What a terminal cannot show is written as an escape, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def emit(text: str, stream: TextIO | None = None) -> None:
    """Write and flush. A reader that went away (`| head`) is no error; it does not change the exit code either.

    Raises UsageError where nothing can be written (a full disk): from then on nothing more is tried there.
    """
    out = stream or sys.stdout
    try:
        out.write(text)
        out.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if isinstance(error, BrokenPipeError) or out is sys.stderr:
            return
        why = "what was to be done is done; only the report is lost"
        what, todo = f"the report cannot be printed: {error.strerror or error}", "make room where the output goes, and ask again"
        raise UsageError(what, why=why, todo=todo, code="U7") from error


def note(text: str) -> None:
    """A line for the person beside the command, on stderr."""
    emit(f"{text}\n", sys.stderr)


def colour_wanted(no_color: bool, stream: TextIO | None = None) -> bool:
    """Only on a terminal, and without NO_COLOR (no-color.org: any value but the empty one) or TERM=dumb."""
    out = stream or sys.stdout
    return not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and out.isatty()


def emit_report(report: Report, *, as_json: bool, no_color: bool) -> int:
    """The report in the wanted form, and the exit code that goes with it."""
    if as_json:
        from reconciler.report.json_form import plan_as_json

        emit(plan_as_json(report))
    else:
        from reconciler.report.text import plan_as_text

        emit(plan_as_text(report, colour_wanted(no_color)))
    return report.exit_code


def emit_error(error: ReconcilerError | Problem, *, as_json: bool) -> None:
    """What ended the command: as JSON on stdout when JSON was asked for, and always for people on stderr."""
    problem = error if isinstance(error, Problem) else error.problem
    if as_json:
        from reconciler.report.json_form import error_as_json

        kind = "InternalError" if isinstance(error, Problem) else type(error).__name__
        emit(error_as_json(kind, problem, 1 if isinstance(error, Problem) else error.exit_code))
    from reconciler.report.style import clean

    note(f"error: {clean(problem.text())}")
