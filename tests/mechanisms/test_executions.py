"""Executions under the tracer: programs, scripts and their interpreters, arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mechanisms.acting import Acts, bare_acts, run_acts

POLICY = """
default: permit
rules:
  - deny[exdev]: [execve, execveat]
    when: filename sub "walled"
  - deny[exdev]: [execve, execveat]
    when: argv sub "forbidden"
  - permit: [execve, execveat]
    when: filename match "/*"
"""

_PREPARED = """
def executed(name, *words, call_name="execve", base=HERE, flags=0):
    vector = words[0] if words and isinstance(words[0], int) else struct.pack(
        f"{len(words) + 1}P",
        *(each if isinstance(each, int) else at(each.encode() + b"\\0") for each in words), 0)
    pid = os.fork()
    if pid == 0:
        if call_name == "execve":
            os._exit(-call("execve", name, vector, 0))
        os._exit(-call("execveat", base, name, vector, 0, flags))
    return waited(pid)
"""

ORDINARY: Acts = {
    "program": 'executed("/bin/sh", "sh", "-c", "exit 5")',
    "program by link": 'executed("to_sh", "sh", "-c", "exit 5")',
    "many words": 'executed("count", "count", *map(str, range(90)))',
    "empty words": 'executed("count", "count", "", "", "x")',
    "no words": 'executed("count")',
    "long words": 'executed("count", "count", "x" * 255, "x" * 256, "x" * 5000, "x" * 100_000)',
    "word at the end of a page": 'executed("count", "count", at_page_end(b"word\\0"))',
    "word without an end": 'executed("count", "count", at_page_end(b"word"))',
    "word that cannot be read": '[executed("count", "count", place) for place in (BAD, 1)]',
    "words that cannot be read": 'executed("count", BAD), executed("count", BAD + PAGE)',
    "no words for a program": 'executed("/bin/true")',
    "script": 'executed("count", "x", "y")',
    "script by link": 'executed("to_count", "x")',
    "script of scripts": '[executed(f"depth{depth}", "x", "y") for depth in range(1, 7)]',
    "script with an option": 'executed("optional", "x", "y")',
    "script with tabs": 'executed("tabbed", "x", "y")',
    "script without an end": 'executed("endless", "x")',
    "script of a relative interpreter": 'executed("relative", "x")',
    "interpreter that is absent": 'executed("orphan", "x")',
    "interpreter that is a directory": 'executed("directory", "x")',
    "interpreter that may not be executed": 'executed("shut", "x")',
    "nothing behind the sign": 'executed("nothing", "x")',
    "no program": '[executed(name, "x") for name in ("text", "empty", "dir", "absent", "text/x")]',
    "descriptors": """
        file, text, link = os.open("count", 0), os.open("text", 0), os.open("to_count", os.O_PATH)
        both = dict(call_name="execveat", flags=0x1000)
        return [executed("", "x", "y", base=fd, **both) for fd in (file, text, link)]""",
    "close-on-exec script": """
        file = os.open("count", os.O_CLOEXEC)
        return executed("", "x", base=file, call_name="execveat", flags=0x1000)""",
    "by a directory": """
        base = os.open("dir", 0)
        return [executed(name, "x", base=base, call_name="execveat", flags=flags)
                for name in ("../count", "../to_count", "/bin/true") for flags in (0, 0x100)]""",
    "threads end": """
        import _thread, time
        pid = os.fork()
        if pid == 0:
            for _ in range(3):
                _thread.start_new_thread(signal.pause, ())
            os.execv("count", ["count", "x", "y"])
        return waited(pid)""",
    "another thread executes": """
        import _thread
        pid = os.fork()
        if pid == 0:
            _thread.start_new_thread(lambda: os.execv("count", ["count", "x", "y"]), ())
            while True:
                signal.pause()
        return waited(pid)""",
}  # fmt: skip

REFUSED: Acts = {
    "program": 'executed("walled/program", "x")',
    "program by link": 'executed("to_walled", "x")',
    "program by two dots": 'executed("dir/../walled/program", "x")',
    "program by descriptor": """
        fd = os.open("walled/program", os.O_PATH)
        return executed("", "x", base=fd, call_name="execveat", flags=0x1000)""",
    "program by a descriptor's name": """
        fd = os.open("walled/program", 0)
        return executed(f"/proc/self/fd/{fd}", "x")""",
    "program in a directory": """
        base = os.open("walled", 0)
        return executed("program", "x", base=base, call_name="execveat")""",
    "interpreter": 'executed("script_of_program", "x")',
    "interpreter by link": 'executed("script_of_link", "x")',
    "interpreter of an interpreter": 'executed("script_of_script", "x")',
    "word": 'executed("count", "x", "forbidden")',
    "first word": 'executed("count", "forbidden")',
    "words together": 'executed("count", "x", "a forbidden word", "y")',
    "last of many words": 'executed("count", *map(str, range(300)), "forbidden")',
    "long word": 'executed("count", "x", "y" * 5000 + "forbidden")',
    "word of a script's first line": 'executed("script_with_word", "x")',
    "name of a script as a word": 'executed("forbidden_script", "x")',
    "word by descriptor": """
        fd = os.open("count", 0)
        return executed("", "x", "forbidden", base=fd, call_name="execveat", flags=0x1000)""",
}


def planted(place: Path) -> Path:
    count = "exit $(($# + 40))\n"
    (place / "dir").mkdir(parents=True)
    (place / "walled").mkdir()
    programs = {
        "count": f"#!/bin/sh\n{count}",
        "walled/program": f"#!/bin/sh\n{count}",
        "depth1": f"#!{place}/count\n",
        **{f"depth{depth}": f"#!{place}/depth{depth - 1}\n" for depth in range(2, 7)},
        "optional": f"#!/bin/sh -e  \n{count}",
        "tabbed": f"#!\t /bin/sh\t-e\n{count}",
        "endless": "#!/bin/true",
        "relative": "#!count\n",
        "orphan": "#!/absent/interpreter\n",
        "directory": f"#!{place}/dir\n",
        "shut": f"#!{place}/text\n",
        "nothing": "#!\n",
        "empty": "",
        "script_of_program": f"#!{place}/walled/program\n",
        "script_of_link": f"#!{place}/to_walled\n",
        "script_of_script": f"#!{place}/script_of_program\n",
        "script_with_word": "#!/bin/sh -forbidden\n",
        "forbidden_script": f"#!/bin/sh\n{count}",
    }
    for name, text in programs.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    (place / "text").write_text("no program")
    for name, text in {
        "to_sh": "/bin/sh",
        "to_count": "count",
        "to_walled": "walled/program",
        "aside": "walled/program",
    }.items():
        (place / name).symlink_to(text)
    return place


def test_executions_end_as_bare(tmp_path: Path) -> None:
    """Every image, its words and every error are those of the bare program; all is verified."""
    bare, held = planted(tmp_path / "bare/place"), planted(tmp_path / "held/place")
    expected = bare_acts(ORDINARY, bare, prelude=_PREPARED)
    ran, found = run_acts("ptrace", POLICY, ORDINARY, held, prelude=_PREPARED)
    told = {title: (expected[title], found[title]) for title in expected}
    assert {title: both for title, both in told.items() if both[0] != both[1]} == {}
    assert not [event for event in ran.events if event["event"] == "detection"]


@pytest.mark.parametrize("defences", ["all", "copy,pin", "copy"])
def test_denied_programs_interpreters_and_words(defences: str, tmp_path: Path) -> None:
    """Whatever is executed, or would read it, or is said to it: EXDEV, and one logged denial."""
    place = planted(tmp_path / "place")
    ran, found = run_acts("ptrace", POLICY, REFUSED, place, prelude=_PREPARED, defences=defences)
    assert {title: each for title, each in found.items() if each != "18"} == {}
    assert [action for action, _ in ran.decisions()] == ["deny"] * len(REFUSED)


def test_a_link_that_is_not_followed_is_judged_by_its_own_name(tmp_path: Path) -> None:
    """AT_SYMLINK_NOFOLLOW of a link to a denied program is ELOOP, as bare, and no denial."""
    acts = {"link": 'executed("aside", "x", call_name="execveat", flags=0x100)'}
    place = planted(tmp_path / "place")
    ran, found = run_acts("ptrace", POLICY, acts, place, prelude=_PREPARED)
    assert found == {"link": "40"}
    assert ran.decisions() == []
