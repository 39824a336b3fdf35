"""`harness repro`: commands that run one case by hand."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from enforcer.mechanisms.contract import MechanismName
from harness.attack import Attack, SentinelKind
from harness.backends import backend, is_external
from harness.build import BuildError, build
from harness.cases import attempts_of
from harness.cli import UserError
from harness.cli.load import laboratory
from harness.cli.names import among_backends, complete_cases
from harness.model import Case, Effect
from harness.places.features import NOBODY
from harness.places.layout import Layout, variant_words
from harness.scenario import substitute

LISTENER = (
    "import select, socket, sys\n"
    "at = ('127.0.0.1', int(sys.argv[1]))\n"
    "server, mailbox = socket.create_server(at), socket.socket(type=socket.SOCK_DGRAM)\n"
    "mailbox.bind(at)\n"
    "open(sys.argv[3], 'w').close()\n"
    "while True:\n"
    "    if server in select.select([server, mailbox], [], [])[0]:\n"
    "        server.accept()[0].close(); print(sys.argv[2], 'connection', flush=True)\n"
    "    else:\n"
    "        mailbox.recv(1); print(sys.argv[2], 'datagram', flush=True)\n"
)


RECEIVER = (
    "import os, socket, sys\n"
    "if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])\n"
    "receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "receiver.bind(sys.argv[1])\n"
    "open(sys.argv[3], 'w').close()\n"
    "while True:\n"
    "    print(sys.argv[2], 'message', receiver.recv(4096), flush=True)\n"
)

DEPUTY = (
    "import socket, sys\n"
    "from pathlib import Path\n"
    "from harness.places.helpers import serve_files\n"
    "ears = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]\n"
    "Path(sys.argv[1]).unlink(missing_ok=True)\n"
    "for ear, kind in zip(ears, ('', '\\0')): ear.bind(kind + sys.argv[1])\n"
    "open(sys.argv[3], 'w').close()\n"
    "serve_files(ears, map(Path, sys.argv[2].split(':')))\n"
)


PEER = (
    "import os, signal, sys, time\n"
    "from harness.places.helpers import SharedMemory\n"
    "memory = SharedMemory(32)\n"
    "with open(sys.argv[3] + '-', 'w') as ready: print(os.getpid(), memory.address, file=ready)\n"
    "os.rename(sys.argv[3] + '-', sys.argv[3])\n"
    "while not any(memory.content()): time.sleep(0.01)\n"
    "print(sys.argv[2], 'memory', memory.content(), flush=True)\n"
    "signal.pause()\n"
)


@click.command("repro")
@click.argument("case", shell_complete=complete_cases)
@among_backends
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("/tmp/interposition-repro"),
    show_default=True,
    help="Where the commands put their files.",
)
def command(case: str, among: tuple[str, ...], directory: Path) -> None:
    """Print shell commands that run CASE: control, benign twin, direct attempt, attack.

    CASE is an id as reports and `harness list cases` print it, or a part of one that fits one case
    only. Try: sh -c "$(harness repro CASE)"
    """
    lab = laboratory()
    found = lab.case(case, among)
    attack = lab.attacks[found.scenario.attack] if found.scenario.attack else None
    click.echo(script(found, attack, Layout(root=directory)), nl=False)


def script(case: Case, attack: Attack | None, layout: Layout) -> str:
    """The commands, for sh. Raises UserError when the attack cannot be built."""
    root = shlex.quote(str(layout.root))
    suffix = "systrace" if case.scenario.dialect == "systrace" else "yaml"
    policy = layout.root / f"policy.{suffix}"
    text = substitute(case.scenario.policy, layout.placeholders()).strip("\n")
    lines = [
        f"# {case.id}: {case.scenario.title}",
        f"rm -rf {root}; mkdir -p {root}/open {root}/shut {root}/bin",
        *_objects(attack, layout),
        _here_document(policy, text),
    ]
    for name, content in case.scenario.files.items():
        path = layout.directory / name
        lines.append(f"mkdir -p {shlex.quote(str(path.parent))}")
        lines.append(_here_document(path, substitute(content, layout.placeholders())))
    if is_external(case.backend) and backend(case.backend).rooted:
        lines.append(f"chown -R {NOBODY}:{NOBODY} {root}/open {root}/shut")
    lines.append(f"cd {root}/open")
    confined = _launcher(case.backend, policy, layout.root / "log")
    if attack is None:
        words = [substitute(word, layout.placeholders()) for word in case.scenario.command]
        lines += _step("the bare run", shlex.join(words))
        lines += _step(f"under {case.backend}", f"{confined} {shlex.join(words)}")
    else:
        lines += _attack_steps(case, attack, layout, confined)
    lines.append(f"echo '=== the log: {layout.root}/log'")
    return "\n".join(lines) + "\n"


def _objects(attack: Attack | None, layout: Layout) -> list[str]:
    """The denied object and its twin, as the harness plants them."""
    lines = []
    for path, content in ((layout.allowed, "the-permitted"), (layout.denied, "the-denied")):
        quoted = shlex.quote(str(path))
        if attack is not None and attack.sentinel is SentinelKind.DIR:
            lines.append(f"mkdir {quoted}; touch {quoted}/{content}-content")
        elif attack is not None and attack.sentinel is SentinelKind.LINK:
            lines.append(f"ln -s {content}-content {quoted}")
        elif attack is not None and attack.effect is Effect.EXEC:
            lines.append(f"printf '#!/bin/sh\\necho {content}-content\\n' > {quoted}")
            lines.append(f"chmod 755 {quoted}")
        else:
            lines.append(f"echo {content}-content > {quoted}")
    if attack is not None and attack.sentinel is SentinelKind.LINKED:
        for path, leaf in ((layout.denied, "link"), (layout.allowed, "twin")):
            lines.append(f"ln {path} {layout.directory / leaf}")
    return lines


def _attack_steps(case: Case, attack: Attack, layout: Layout, confined: str) -> list[str]:
    try:
        program = build(attack, case.abi)
    except BuildError as error:
        raise UserError(str(error)) from None
    tries = attempts_of(case, attack, asked=None, quick=True)
    words = [f"dir={layout.directory}", "nonce=feed", f"attempts={tries}"]
    words += [f"{key}={value}" for key, value in variant_words(case.variant).items()]
    lines = [f"cp {shlex.quote(str(program))} {layout.program}"]
    if attack.sentinel is SentinelKind.PORT:
        words += [f"port={layout.port}", f"allowed_port={layout.allowed_port}"]
        for port, what in ((layout.port, "DENIED"), (layout.allowed_port, "permitted")):
            lines += _beside(LISTENER, str(port), what, layout.root / f"{what}-is-ready")
    elif attack.sentinel is SentinelKind.SOCKET:
        words += [f"denied={layout.denied}", f"allowed={layout.allowed}"]
        words += ["inject=injected", "print=printed"]
        for name, what in ((layout.denied, "DENIED"), (layout.allowed, "permitted")):
            lines += _beside(RECEIVER, str(name), what, layout.root / f"{what}-is-ready")
    elif attack.sentinel is SentinelKind.DEPUTY:
        words += [f"denied={layout.denied}", f"allowed={layout.allowed}"]
        words.append(f"deputy={layout.deputy}")
        files = f"{layout.denied}:{layout.allowed}"
        lines += _beside(DEPUTY, str(layout.deputy), files, layout.root / "deputy-is-ready")
    elif attack.sentinel is SentinelKind.PEER:
        ready = layout.root / "peer-is-ready"
        lines += _beside(PEER, "", "DENIED", ready)
        lines.append(f"read peer address < {ready}")
        words += ["peer=$peer", "address=$address", "inject=injected", "print=printed"]
    elif attack.sentinel is SentinelKind.PROGRAM:
        lines += _programs(layout)
        words += [f"denied={layout.denied}", f"allowed={layout.allowed}"]
    elif attack.sentinel is SentinelKind.TTY:
        words += ["tty=$(tty)", "inject=injected", "print=printed"]
    else:
        words += [f"denied={layout.denied}", f"allowed={layout.allowed}"]
    arguments = " ".join(words)
    for title, mode, prefix in (
        ("control: the attack without an enforcer must have its effect", "attack", ""),
        ("benign twin: the same work on permitted objects must succeed", "benign", confined),
        ("direct attempt: must be denied", "direct", confined),
        ("the attack", "attack", confined),
    ):
        lines += _step(title, f"{prefix} {layout.program} {mode} {arguments}".strip())
        if attack.sentinel is SentinelKind.PROGRAM:
            lines.append(f"cmp {layout.program} {layout.denied}")
            lines += _programs(layout)
        elif attack.effect is Effect.WRITE and attack.sentinel is SentinelKind.DIR:
            lines.append(f"ls -l {layout.denied}; rm -f {layout.denied}/new {layout.allowed}/new")
        elif attack.effect is Effect.WRITE:
            lines.append(f"ls -l {layout.denied}; cat {layout.denied}")
            lines.append(f"echo the-denied-content > {layout.denied}")
        lines.append(f"find {layout.directory} -mindepth 1 ! -path '{layout.allowed}*' -delete")
    return lines


def _programs(layout: Layout) -> list[str]:
    return [f"cp {layout.program} {path}" for path in (layout.denied, layout.allowed)]


def _beside(program: str, address: str, what: str, ready: Path) -> list[str]:
    """Start a helper and wait for its file `ready`; it ends with the commands.

    It does not hold their output open, for whose end somebody may wait.
    """
    helper = shlex.join([sys.executable, "-c", program, address, what, str(ready)])
    return [
        f"{helper} >&2 &",
        'helpers="$helpers $!"',
        "trap 'kill $helpers' EXIT",
        f"until [ -e {shlex.quote(str(ready))} ]; do :; done",
    ]


def _step(title: str, line: str) -> list[str]:
    return [f"echo {shlex.quote('=== ' + title)}", f'{line}; echo "exit status $?"']


def _launcher(name: str, policy: Path, log: Path) -> str:
    python = shlex.quote(sys.executable)
    if name == "none":
        return ""
    if name in list(MechanismName):
        return f"{python} -m enforcer run --backend {name} --policy {policy} --log {log} --"
    known = shlex.quote(name)
    return f"{python} -m harness launch --backend {known} --policy {policy} --log {log} --"


def _here_document(path: Path, content: str) -> str:
    return f"cat > {shlex.quote(str(path))} <<'END_OF_FILE'\n{content.rstrip()}\nEND_OF_FILE"
