"""What was moved out of a mount has no name there: nobody is asked about the root instead."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from harness import process

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root, to mount"
)

_LOOK = """
import os, sys
from enforcer.kernel.namespaces import mount
from enforcer.pin.places import Places, Unplaced, has_left_its_mount
from enforcer.pin.view import View, names_in

os.chdir(sys.argv[1])
for name in ("from", "to", "shown", "from/directory"):
    os.mkdir(name)
mount("from", "shown", None, 0x1000)
fd = os.open("shown/directory", os.O_RDONLY)
view = View(os.getpid(), os.getpid(), fixed_root=FIXED, places=Places())
print(names_in(view, fd).judged[0].decode())
os.rename("from/directory", "to/directory")
print(os.readlink(f"/proc/self/fd/{fd}"))
try:
    print(names_in(view, fd).judged[0].decode())
except Unplaced:
    print("unplaced")
for place in ("/", "/proc", "shown"):
    print(has_left_its_mount(os.open(place, os.O_PATH)))
os.chdir("to")
os.chroot(".")
print(has_left_its_mount(os.open("/", os.O_PATH)))
"""


@needs_mounts
@pytest.mark.parametrize("is_fixed", [True, False], ids=["fixed-root", "root-asked"])
def test_what_has_left_its_mount_is_not_called_the_root(tmp_path: Path, is_fixed: bool) -> None:
    """The kernel prints `/` for it. Roots, of mounts and of a changed root, are called that too."""
    source = _LOOK.replace("FIXED", str(is_fixed))
    words = ["unshare", "--mount", sys.executable, "-c", source, str(tmp_path)]
    done = process.run(words)
    assert done.stdout.splitlines() == [
        f"{tmp_path}/shown/directory",
        "/",
        "unplaced",
        *["False"] * 4,
    ], done.stderr


_GLANCE = """
import os, sys
from enforcer.kernel.namespaces import mount
from enforcer.pin.glance import GLANCES, glance
from enforcer.pin.view import View

os.chdir(sys.argv[1])
for name in ("from", "to", "shown", "from/directory", "from/directory/file"):
    os.mkdir(name)
mount("from", "shown", None, 0x1000)
os.chdir("shown/directory")
view = View(os.getpid(), os.getpid(), fixed_root=True, fixed_credentials=True)

def look():
    asked = []
    args = (0, 4, 0, 0, 0, 0)
    result = glance(GLANCES["access"], view, args, b"file", lambda name: asked.append(name) or 0)
    print(result, *(name.decode() for name in asked))

look()
os.rename(f"{sys.argv[1]}/from/directory", f"{sys.argv[1]}/to/directory")
look()
"""


@needs_mounts
def test_a_glance_does_not_call_it_the_root(tmp_path: Path) -> None:
    """A name relative to such a directory is left to the thorough way, which refuses it."""
    done = process.run(["unshare", "--mount", sys.executable, "-c", _GLANCE, str(tmp_path)])
    assert done.stdout.splitlines() == [f"0 {tmp_path}/shown/directory/file", "None"], done.stderr
