"""A console that has the whole terminal: the question, what was done, and a line to answer in."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.widgets import TextArea

from enforcer.asking.console import QUIT, Console

_TICK_S = 0.1
_SHOWN_LINES = 6
_WORDS = [
    *("permit", "deny", "deny[", "always", "never", "kill", "detach"),
    *("review", "templates", "template", "save", "help", "quit"),
]
_FOOT = "permit  deny[errno]  always N  never N  kill  detach  save FILE  help  quit"


class Screen:
    """One console on the terminal of this process."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: deque[str] = deque(maxlen=_SHOWN_LINES)
        self._input = TextArea(
            height=1,
            prompt="answer: ",
            multiline=False,
            completer=WordCompleter(_WORDS),
            accept_handler=self._accept,
        )
        keys = KeyBindings()
        keys.add("c-c")(lambda event: event.app.exit())
        keys.add("c-d")(lambda event: event.app.exit())
        rows: list[Window | TextArea] = [
            Window(FormattedTextControl(self._head), height=1, style="reverse"),
            Window(FormattedTextControl(self._question), wrap_lines=True),
            Window(FormattedTextControl(self._notices), height=_SHOWN_LINES, wrap_lines=True),
            self._input,
            Window(FormattedTextControl(_FOOT), height=1, style="reverse"),
        ]
        self._application: Application[None] = Application(
            layout=Layout(HSplit(rows), focused_element=self._input),
            key_bindings=keys,
            full_screen=True,
        )

    def serve(self, goes_on: Callable[[], bool]) -> None:
        """Return when `goes_on` says no more, or the person went away; that denies."""
        application = self._application

        async def look() -> None:
            while goes_on():
                self._look()
                application.invalidate()
                await asyncio.sleep(_TICK_S)
            application.exit()

        def begin() -> None:
            application.create_background_task(look())

        application.run(pre_run=begin)
        self._console.close()

    def _look(self) -> None:
        console = self._console
        console.scan()
        ready, _, _ = select.select(list(console.supervisors.values()), [], [], 0)
        for supervisor in ready:
            console.receive(supervisor)
        self._said.extend(console.notices)
        console.notices.clear()

    def _accept(self, buffer: Buffer) -> bool:
        line = buffer.text.strip()
        if line in QUIT:
            self._application.exit()
        elif line:
            self._said.extend(self._console.obey(line).splitlines())
        return False

    def _head(self) -> str:
        supervisors, questions = self._console.supervisors, self._console.questions
        return f"enforcer ask: {len(supervisors)} supervised, {len(questions)} questions"

    def _question(self) -> str:
        questions = self._console.questions
        if not questions:
            return "nothing is asked"
        return "\n".join(questions[0].lines())

    def _notices(self) -> str:
        return "\n".join(self._said)
