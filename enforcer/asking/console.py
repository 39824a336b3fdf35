"""What every console knows: the supervisors, the questions that stand, and how one is answered."""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from enforcer.asking.answers import HELP, Answer, Wrong, parse_answer, templates
from enforcer.asking.suggestions import Suggestion, suggestions
from enforcer.asking.supervisors import Gone, Message, Supervisor, Unreachable, sockets
from enforcer.policy.format import format_yaml
from enforcer.policy.wire import policy_from_json

QUIT = ("quit", "q")
NOTHING_GIVEN = "nothing was answered for good"


def printable(text: object) -> str:
    """What a target named, so that it neither ends a line nor speaks to the terminal."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(text)
    )


@dataclass(frozen=True, eq=False)
class Question:
    """One question that stands, and of which supervisor."""

    supervisor: Supervisor
    fields: Message

    @property
    def values(self) -> Mapping[str, Sequence[str | None]]:
        found = self.fields.get("values")
        return found if isinstance(found, Mapping) else {}

    @property
    def offered(self) -> list[Suggestion]:
        """What an answer for good could say, the narrowest first."""
        return suggestions(str(self.fields["call"]), self.values)

    def lines(self) -> Iterator[str]:
        """The question as people read it."""
        fields = self.fields
        program = PurePosixPath(str(fields["program"] or "?")).name
        before = fields.get("before")
        times = "once" if before == 1 else f"{before} times"
        often = f", asked {times} before" if before else ""
        yield printable(f"{program}[{fields['pid'] or fields['tid']}]: {fields['call']}?{often}")
        for name, texts in self.values.items():
            shown = ", ".join("(unreadable)" if each is None else each for each in texts)
            yield printable(f"  {name}: {shown}")
        yield printable(f"  program: {fields['program']}")
        rule = fields.get("rule")
        why = f"rule {rule}" if rule is not None else "no rule"
        yield printable(f"  policy: {fields['policy'] or 'none'} ({why})")
        for place, each in enumerate(self.offered, 1):
            yield printable(f"  {place}) {each.reaches}")


class Console:
    """The supervisors of a directory, or the one with number `only`.

    `notices` are lines that are to be shown once.
    """

    def __init__(self, directory: Path, only: int | None = None) -> None:
        self.supervisors: dict[Path, Supervisor] = {}
        self.questions: list[Question] = []
        self.notices: list[str] = []
        self._directory = directory
        self._only = only
        self._refused: set[Path] = set()
        self._standing: dict[tuple[int, str], Mapping[str, object]] = {}
        self.is_saved = True
        """Whether all that was answered here for good is in a file."""

    def close(self) -> None:
        """Go away: what stands of the questions that are answered here is denied."""
        for supervisor in self.supervisors.values():
            supervisor.close()
        self.supervisors.clear()

    def scan(self) -> None:
        """Go to supervisors that are new."""
        for path in sockets(self._directory):
            is_wanted = self._only in (None, int(path.stem))
            if not is_wanted or path in self.supervisors or path in self._refused:
                continue
            try:
                made = Supervisor(path)
                made.say(say="console")
            except Gone:
                continue
            except Unreachable as error:
                self._refused.add(path)
                self.notices.append(str(error))
                continue
            self.supervisors[path] = made

    def receive(self, supervisor: Supervisor) -> None:
        """Take what a supervisor says."""
        try:
            messages = supervisor.hear()
        except Unreachable as error:
            if "ended" not in str(error):
                self.notices.append(str(error))
            self._drop(supervisor)
            return
        for message in messages:
            self._heard(supervisor, message)

    def _heard(self, supervisor: Supervisor, message: Message) -> None:
        if "question" in message:
            fields = message["question"]
            assert isinstance(fields, Mapping)
            self.questions.append(Question(supervisor, fields))
        elif "closed" in message:
            for each in list(self.questions):
                if each.supervisor is supervisor and each.fields["id"] == message["closed"]:
                    self.questions.remove(each)
                    how = message.get("how")
                    if how:
                        self.notices.append(f"{each.fields['call']}: {how}")
            standing = message.get("standing")
            if isinstance(standing, Mapping):
                self._standing[supervisor.pid, str(standing.get("binary"))] = standing
        elif "error" in message:
            self.notices.append(printable(message["error"]))
        elif "role" in message and message["role"] == "watches":
            self.notices.append(
                f"another console answers for supervisor {supervisor.pid}; this one watches"
            )

    def obey(self, line: str) -> str:
        """Do what was typed, an answer or one of the other words; what to show for it."""
        word, _, rest = line.strip().partition(" ")
        match word:
            case "help" | "?":
                return HELP
            case "templates":
                return templates()
            case "review":
                return self.given().rstrip() or NOTHING_GIVEN
            case "save":
                return self._save(rest.strip())
        try:
            words = self.answer(line)
        except Wrong as error:
            return str(error)
        self.questions.pop(0)
        return words

    def _save(self, name: str) -> str:
        text = self.given()
        if not name or not text:
            return "save FILE" if text else NOTHING_GIVEN
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            return f"{name}: {error.strerror}"
        self.is_saved = True
        return f"written: {name}"

    def answer(self, text: str) -> str:
        """Answer the oldest question by what was typed; what is done, in words. Raises Wrong."""
        if not self.questions:
            raise Wrong("there is no question")
        question = self.questions[0]
        answer: Answer = parse_answer(text, question.offered)
        try:
            question.supervisor.say(say="answer", id=question.fields["id"], **answer.fields)
        except Unreachable as error:
            self._drop(question.supervisor)
            raise Wrong(str(error)) from None
        if "rules" in answer.fields:
            self.is_saved = False
        return answer.words

    def given(self) -> str:
        """The answers given for good, as policies of the YAML dialect; also to who has ended."""
        told: list[Mapping[str, object]] = []
        there = set()
        for supervisor in list(self.supervisors.values()):
            with suppress(Unreachable):
                found = supervisor.ask_for("rules", partial(self._heard, supervisor))
                assert isinstance(found, list)
                told += found
                there.add(supervisor.pid)
        told += [each for (pid, _), each in self._standing.items() if pid not in there]
        return "---\n".join(format_yaml(policy_from_json(each)) for each in told)

    def hear_out(self) -> None:
        """Take what was said until now."""
        while ready := select.select(list(self.supervisors.values()), [], [], 0)[0]:
            for supervisor in ready:
                self.receive(supervisor)

    def _drop(self, supervisor: Supervisor) -> None:
        supervisor.close()
        self.questions = [each for each in self.questions if each.supervisor is not supervisor]
        self.supervisors = {
            path: each for path, each in self.supervisors.items() if each is not supervisor
        }
        self._refused |= {path for path in self._refused if not path.exists()}
