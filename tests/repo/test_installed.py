"""The wheel: what the laboratory is for those who have no clone of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from enforcer.arch import native
from tests.harness.toys import LEAKY, MANIFEST, POLICY, TOY
from tests.repo.sources import ROOT

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

OWN_SCENARIO = f"""\
title: my own attack
attack: replication/toy
variants: [honest]
backends: [notify]
leaky: [{LEAKY}]
{POLICY}"""
NATIVE = native().abis[0].name


def done(*words: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of installed packages with the wheel in it, built without a network."""
    place = tmp_path_factory.mktemp("wheel")
    alone = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    build = ("wheel", *alone, "--no-build-isolation", "--wheel-dir", str(place), str(ROOT))
    assert (made := done("-m", "pip", *build, cwd=place, env=os.environ)).returncode == 0, made
    (wheel,) = place.glob("*.whl")
    install = ("install", *alone, "--target", str(place / "site"), str(wheel))
    assert (made := done("-m", "pip", *install, cwd=place, env=os.environ)).returncode == 0, made
    return place / "site"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    where = tmp_path / "home"
    where.mkdir()
    return where


def installed(
    site: Path, home: Path, *words: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A program of the wheel's in an empty home: nothing of the clone comes before it."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(site), "NO_COLOR": "1"}
    return done("-m", *words, cwd=cwd or home, env=env)


@pytest.mark.slow
def test_attacks_run_outside_of_a_clone(site: Path, home: Path) -> None:
    """All scenarios and attacks are there; one is carried out, and says which version judged it."""
    listed = installed(site, home, "harness", "list", "--json")
    ids = {json.loads(line)["scenario"] for line in listed.stdout.splitlines()}
    files = (ROOT / "scenarios").glob("*/*.yaml")
    names = {f"{path.parent.name}/{path.stem}" for path in files if path.parent.name != "policies"}
    assert ids == {name.replace("_", "-") for name in names}
    assert "rename-parent" in installed(site, home, "harness", "explain", "B10").stdout
    words = ("run", "--quick", "-b", "seccomp", "-k", f"abi/upper-bits[default-seccomp-{NATIVE}")
    ran = installed(site, home, "harness", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "held" in ran.stdout
    assert f"{site}/harness/shipped, version " in ran.stdout
    assert (home / ".local/state/interposition-lab/results.sqlite").exists()


@pytest.mark.slow
def test_a_repository_of_ones_own(site: Path, home: Path, tmp_path: Path) -> None:
    """An attack and a scenario, no clone: pytest finds both, and so does the command that a
    failure names; the headers and the leaky enforcers are the laboratory's.
    """
    mine = tmp_path / "mine"
    attack = mine / "attacks" / "replication" / "toy.c"
    attack.parent.mkdir(parents=True)
    attack.write_text(TOY.replace("PLAIN", "false"))
    attack.with_suffix(".yaml").write_text(MANIFEST.format(kind="deterministic", abi=NATIVE))
    scenario = mine / "checks" / "my_own.scenario.yaml"
    scenario.parent.mkdir()
    scenario.write_text(OWN_SCENARIO)
    tested = installed(site, home, "pytest", "-v", "-p", "no:cacheprovider", cwd=mine)
    assert f"my_own.scenario.yaml::held[notify-{NATIVE}] PASSED" in tested.stdout, tested.stdout
    assert "2 passed" in tested.stdout
    scenario.write_text(OWN_SCENARIO.replace("[notify]", "[notify]\nexpect: {notify: bypassed}"))
    words = ("pytest", "-p", "no:cacheprovider", "-k", "checks/my_own and notify and not leaky")
    failed = installed(site, home, *words, cwd=mine / "checks")
    assert "1 failed" in failed.stdout, failed.stdout
    (case,) = re.findall(r"harness repro '(.*)'", failed.stdout)
    assert case.startswith("checks/my-own[")
    words = ("harness", "repro", case, "--directory", str(tmp_path / "by-hand"))
    repro = installed(site, home, *words, cwd=mine)
    assert repro.returncode == 0, repro.stderr


@pytest.mark.slow
def test_new_files_are_the_users(site: Path, home: Path) -> None:
    """Nothing is written where packages are installed."""
    before = sorted(site.rglob("*.yaml"))
    for words in (("attack", "mine"), ("scenario", "mine")):
        made = installed(site, home, "harness", "new", *words)
        assert made.returncode == 0, made.stderr
    assert (home / "attacks/race/mine.c").exists()
    assert (home / "scenarios/race/mine.yaml").exists()
    refused = installed(site, home, "harness", "new", "backend", "mine")
    assert refused.returncode == 2
    assert "go to a clone" in refused.stderr
    assert sorted(site.rglob("*.yaml")) == before
