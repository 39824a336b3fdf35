"""Worlds for the live properties: a tree that is always there, and objects that come and go."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.fuzz.worlds import Entry, Kind

COMMON = (
    Entry("a", Kind.FILE, "alpha"),
    Entry("b", Kind.FILE, "beta"),
    Entry("sub", Kind.DIRECTORY),
    Entry("sub/c", Kind.FILE, "gamma"),
    Entry("prog", Kind.PROGRAM),
)
EXTRAS = (
    Entry("sub/deep", Kind.DIRECTORY),
    Entry("sub/deep/d", Kind.FILE, "delta"),
    Entry("link", Kind.LINK, "sub/c"),
    Entry("up", Kind.LINK, "sub/deep/.."),
    Entry("far", Kind.LINK, "/w/sub"),
    Entry("gone", Kind.LINK, "nothing"),
    Entry("loop", Kind.LINK, "loop"),
    Entry("hard", Kind.HARD, "b"),
    Entry("sub/again", Kind.HARD, "a"),
    Entry("fifo", Kind.FIFO),
    Entry("sock", Kind.SOCKET),
    Entry("empty", Kind.DIRECTORY),
)
worlds = st.lists(st.sampled_from(EXTRAS), unique=True, max_size=len(EXTRAS)).map(
    lambda extras: (*COMMON, *sorted(extras, key=EXTRAS.index))
)
