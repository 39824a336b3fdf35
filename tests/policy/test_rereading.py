"""Policy files that change while they are in force: taken whole, or not at all, and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer.policy import rereading
from enforcer.policy.ast import Policy
from enforcer.policy.directory import Source
from enforcer.policy.rereading import GONE, KEPT, Rereading, source_from_json, source_to_json

PERMITS = "policy: /bin/a\ndefault: permit\nrules: []\n"
DENIES = "policy: /bin/a\ndefault: deny[eacces]\nrules: []\n"


def _fits(policy: Policy) -> str | None:
    return None


def watching(
    place: Path, unfit: Callable[[Policy], str | None] = _fits, *, text: str = PERMITS
) -> Rereading:
    """A directory with one policy, looked at once."""
    (place / "bin_a.yaml").write_text(text)
    return Rereading(source_to_json(Source(directories=(place,))), unfit)


def put(path: Path, text: str) -> None:
    """Replace a file as editors do, so that it differs at a look within the same tick."""
    new = path.with_name(".new")
    new.write_text(text)
    new.replace(path)


def test_what_has_not_changed_is_no_news(tmp_path: Path) -> None:
    """Nor what has been told already."""
    looks = watching(tmp_path)
    assert list(looks.news()) == []
    put(tmp_path / "bin_a.yaml", DENIES)
    assert [news.problem for news in looks.news()] == [""]
    assert list(looks.news()) == []


def test_a_change_in_place_is_news(tmp_path: Path) -> None:
    """By its time, also where the size stays."""
    looks = watching(tmp_path)
    path = tmp_path / "bin_a.yaml"
    path.write_text(PERMITS)
    os.utime(path, ns=(1, 1))
    assert [len(news.policies) for news in looks.news()] == [1]


def test_a_file_that_comes_later_is_news(tmp_path: Path) -> None:
    """A policy of a binary that had none."""
    looks = watching(tmp_path)
    (tmp_path / "bin_b.yaml").write_text(PERMITS.replace("/bin/a", "/bin/b"))
    assert [policy.binary for news in looks.news() for policy in news.policies] == ["/bin/b"]


@pytest.mark.parametrize(
    "rubbish", ["rubbish", "policy: [", "default: permit\nrules:\n  - perhaps: read\n", "\x00\xff"]
)
def test_rubbish_is_told_and_not_taken(tmp_path: Path, rubbish: str) -> None:
    """Once, with the reason; a good edit afterwards counts."""
    looks = watching(tmp_path)
    put(tmp_path / "bin_a.yaml", rubbish)
    (news,) = looks.news()
    assert (news.problem, news.policies) == (KEPT, ())
    assert news.detail
    assert list(looks.news()) == []
    put(tmp_path / "bin_a.yaml", DENIES)
    assert [news.problem for news in looks.news()] == [""]


def test_what_the_mechanism_cannot_keep_is_told_and_not_taken(tmp_path: Path) -> None:
    """With its reason."""
    looks = watching(tmp_path, lambda policy: "too narrow")
    put(tmp_path / "bin_a.yaml", DENIES)
    (news,) = looks.news()
    assert (news.problem, news.detail, news.policies) == (KEPT, "too narrow", ())


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """Its policy stays in force: who removes a file has not said what is to be permitted."""
    looks = watching(tmp_path)
    (tmp_path / "bin_a.yaml").unlink()
    (news,) = looks.news()
    assert (news.problem, news.policies) == (GONE, ())


def test_files_are_looked_at_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each call: a look costs a stat of each file."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    looks = watching(tmp_path)
    assert not looks.is_due()
    now += rereading.EVERY_S
    assert looks.is_due()
    list(looks.news())
    assert not looks.is_due()


def test_a_source_comes_back_from_json() -> None:
    """Where files are, how they are written, and what variables mean."""
    source = Source(
        files=(Path("/a"),),
        directories=(Path("/d"),),
        form="yaml",
        has_aliases=False,
        variables={"HOME": "/h"},
    )
    assert source_from_json(source_to_json(source)) == source
