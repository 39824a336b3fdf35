"""What a launch may import, imported before it is wanted."""

from __future__ import annotations

import codecs
import contextlib
import functools
import importlib
import pkgutil

from enforcer.mechanisms.contract import module_of

NEEDED = ("kernel", "supervision", "pin", "arch", "syscalls")
ENCODINGS = ("ascii", "latin-1", "utf-8", "idna")


@functools.cache
def warm(mechanism: str) -> None:
    """Import whatever a launch may import, before the fork: that is faster, and a target under
    an id of its own may be unable to read the files.
    """
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    top = importlib.import_module(module_of(mechanism))
    packages = [importlib.import_module(f"enforcer.{name}") for name in NEEDED]
    for package in (*packages, top):
        for found in pkgutil.iter_modules(getattr(package, "__path__", ())):
            # What needs an optional package is no part of a launch.
            with contextlib.suppress(ImportError):
                importlib.import_module(f"{package.__name__}.{found.name}")
