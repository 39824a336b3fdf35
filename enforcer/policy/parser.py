"""Policy texts to policies: the one place that picks the form and raises what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from enforcer.filters.model import Filter, Form
from enforcer.policy.ast import Policy
from enforcer.policy.check import check_policy
from enforcer.policy.problem import PolicyError, Problem, Problems, Severity
from enforcer.policy.systrace import read_systrace
from enforcer.policy.yaml_form import read_documents, read_yaml
from enforcer.syscalls.translate import CONSTANTS

SUFFIXES = (".systrace", ".yaml", ".yml")
FORMS = ("systrace", "yaml", *Form)
"""How a file may be written, whatever its name ends in."""

MOST_BYTES = 1 << 20
"""A longer file is not a policy."""


def parse_systrace(text: str, source: str) -> tuple[Policy, ...]:
    """The policies of a file in systrace's own form. Raises PolicyError with all problems."""
    policies, problems = read_systrace(text, source, CONSTANTS)
    _finish(policies, problems, text)
    return policies


def parse_yaml(text: str, source: str) -> Policy:
    """The policy of a text of one YAML document. Raises PolicyError with all problems."""
    policy, problems = read_yaml(text, source, CONSTANTS)
    _finish(() if policy is None else (policy,), problems, text)
    assert policy is not None
    return policy


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """A file that was read, once: a pipe has its text no second time. `form` is one of FORMS.

    A compiled filter has no text; what it answers is `compiled`.
    """

    path: Path
    form: str
    text: str
    compiled: Filter | None = None

    def policies(self) -> tuple[Policy, ...]:
        """The policies as they stand there. Raises PolicyError."""
        if self.form == "systrace":
            return parse_systrace(self.text, str(self.path))
        if self.form in list(Form):
            # What reads and converts filters of others' is a tenth of a supervisor's start.
            from enforcer.filters.convert import policy_of
            from enforcer.filters.read import read_text

            found = self.compiled
            if found is None:
                found = read_text(self.text, str(self.path), Form(self.form))
            return (policy_of(found),)
        policies, problems = read_documents(self.text, str(self.path), CONSTANTS)
        _finish(policies, problems, self.text)
        return policies


def read_file(path: Path, form: str | None = None) -> PolicyFile:
    """A file's text; its form is said by its name unless it is given. Raises PolicyError."""
    source = str(path)
    if path.is_dir():
        raise PolicyError([_unreadable(source, "is a directory", mend="name a file in it")])
    if form is None and path.suffix not in SUFFIXES:
        from enforcer.filters.read import form_of

        form = form_of(path)
    if form == Form.BPF:
        from enforcer.filters.read import read_filter

        return PolicyFile(path=path, form=form, text="", compiled=read_filter(path, form))
    if form is None and path.suffix not in SUFFIXES:
        mend = f"say it: --dialect {' or '.join(FORMS)}"
        message = "its name does not tell how it is written" if path.exists() else "no such file"
        raise PolicyError([_unreadable(source, message, mend=mend if path.exists() else "")])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PolicyError([_unreadable(source, error.strerror or str(error))]) from error
    if len(raw) > MOST_BYTES:
        raise PolicyError([_unreadable(source, f"more than {MOST_BYTES} bytes")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError([_not_utf8(source, raw, error.start)]) from error
    return PolicyFile(
        path=path, form=form or ("systrace" if path.suffix == ".systrace" else "yaml"), text=text
    )


def parse_file(path: Path, form: str | None = None) -> tuple[Policy, ...]:
    """The policies of a file as they stand there. Raises PolicyError, also if it is unreadable."""
    return read_file(path, form).policies()


def _finish(policies: tuple[Policy, ...], problems: Problems, text: str) -> None:
    for policy in policies:
        problems.found += [
            problem for problem in check_policy(policy, text) if problem.severity is Severity.ERROR
        ]
    problems.raise_errors()


def _unreadable(source: str, reason: str, *, mend: str = "") -> Problem:
    return Problem(source=source, line=1, column=1, message=reason, mend=mend)


def _not_utf8(source: str, raw: bytes, index: int) -> Problem:
    line = raw.rfind(b"\n", 0, index) + 1
    (text, _, _) = raw[line:].partition(b"\n")
    return Problem(
        source=source,
        line=raw.count(b"\n", 0, index) + 1,
        # What stands before the first wrong byte is right.
        column=len(raw[line:index].decode("utf-8")) + 1,
        message=f"byte 0x{raw[index]:02x} is not UTF-8",
        mend="this is not a text file; name a policy"
        if b"\0" in raw
        else "convert the file: iconv -f latin1 -t utf-8",
        text=text.decode("utf-8", "replace"),
    )
