"""Packages of any Debian suite and architecture, downloaded and unpacked without installing.

apt does the work with a configuration of its own below the cache directory: it checks the
archive's signatures and resumes interrupted downloads, and the machine's own apt state is not
touched. The mirror is the one that this machine's apt uses.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import process

# Debian 12's Python 3.11.2 has no filters; what is unpacked is signed by Debian, or our own.
FILTERED: Mapping[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class ArchiveError(Exception):
    """apt could not do what was asked; the text holds its words and the fix."""


def run_tool(command: Sequence[str], *, cwd: Path | None = None, timeout_s: float = 900.0) -> str:
    """Run a Debian tool and return its standard output; its words become the error's."""
    try:
        done = process.run(command, cwd=cwd, timeout_s=timeout_s)
    except FileNotFoundError as error:
        raise ArchiveError(f"{command[0]} is not installed: run `harness vm install`") from error
    except process.ProcessTimeout as error:
        raise ArchiveError(f"{error}: is the mirror reachable?") from error
    if done.status:
        raise ArchiveError(done.describe())
    return done.stdout


def mirror() -> str:
    """The address of the Debian mirror that this machine uses, or $LAB_DEBIAN_MIRROR."""
    chosen = os.environ.get("LAB_DEBIAN_MIRROR")
    if chosen:
        return chosen
    targets = run_tool(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)"])
    for line in targets.splitlines():
        origin, address, release = line.split("|")
        if origin == "Debian" and "-security" not in release:
            return address
    raise ArchiveError(
        "this machine's apt knows no Debian mirror (`apt-get update` may never have run): "
        "name one in $LAB_DEBIAN_MIRROR"
    )


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One suite for one Debian architecture, with apt's state in `root`."""

    root: Path
    suite: str
    debian: str

    def _apt(self, *words: str) -> tuple[str, ...]:
        """An apt-get command under this archive's own configuration."""
        return ("env", f"APT_CONFIG={self.root / 'apt.conf'}", "apt-get", "-q", *words)

    def _configuration(self) -> str:
        settings = {
            "APT::Architecture": self.debian,
            "APT::Architectures": self.debian,
            "Dir::State": self.root / "state",
            "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root / "cache",
            "Dir::Etc::sourcelist": self.root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        return "".join(f'{name} "{value}";\n' for name, value in settings.items())

    def source(self) -> str:
        """The line of sources.list that stands for this suite."""
        return f"deb [signed-by={KEYRING}] {mirror()} {self.suite} main"

    def update(self) -> None:
        """Fetch the suite's index; apt checks its signature."""
        if not KEYRING.exists():
            raise ArchiveError(
                f"{KEYRING} is missing: run as root: apt-get install debian-archive-keyring"
            )
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        (self.root / "sources.list").write_text(self.source() + "\n")
        (self.root / "apt.conf").write_text(self._configuration())
        try:
            run_tool(self._apt("update", "--error-on=any"))
        except ArchiveError as error:
            said = re.search(r"^E: (.*)", str(error), re.MULTILINE)
            why = said[1] if said else "see below"
            raise ArchiveError(
                f"the Debian archive {mirror()} cannot be used ({why}): "
                "name another in $LAB_DEBIAN_MIRROR; once `harness vm fetch` has been through, no "
                f"network is needed\n{error}"
            ) from error

    def known(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Those of `packages` that the suite has."""
        config = f"APT_CONFIG={self.root / 'apt.conf'}"
        listed = run_tool(["env", config, "apt-cache", "pkgnames"]).split()
        return tuple(name for name in packages if name in set(listed))

    def closure(self, packages: Sequence[str], pattern: str) -> tuple[str, ...]:
        """`packages` and what they depend on, as name=version, where the name matches `pattern`."""
        plan = run_tool(self._apt("-s", "install", "--no-install-recommends", *packages))
        found = re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE)
        return tuple(f"{name}={version}" for name, version in found if re.fullmatch(pattern, name))

    def download(self, packages: Sequence[str], into: Path) -> tuple[Path, ...]:
        """Download packages (name or name=version) into a directory and return their files."""
        into.mkdir(parents=True, exist_ok=True)
        run_tool(self._apt("download", *packages), cwd=into)
        return tuple(sorted(into.glob("*.deb")))


def unpack(package: Path, into: Path) -> None:
    """Unpack a package's files without running anything of it, and without root.

    A directory of the package that is a link in the tree (merged /usr) stays a link; owners and
    device nodes are left out.
    """
    into.mkdir(parents=True, exist_ok=True)
    data = package.with_suffix(".tar")
    run_tool(["sh", "-c", 'dpkg-deb --fsys-tarfile "$1" > "$2"', "sh", str(package), str(data)])
    with tarfile.open(data) as content:
        for member in content:
            target = into / member.name
            if member.isdir():
                target.mkdir(mode=0o755, parents=True, exist_ok=True)
            elif member.isreg() or member.issym() or member.islnk():
                content.extract(member, into, set_attrs=False, **FILTERED)
                if member.isreg():
                    target.chmod(member.mode & 0o755 | 0o644)
    data.unlink()
