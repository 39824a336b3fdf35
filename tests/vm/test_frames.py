"""The frames between host and guest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.vm.frames import (
    FRAME_MAX,
    HEADER,
    MAGIC,
    Decoder,
    Frame,
    FrameError,
    FrameType,
    encode,
)

FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from(list(FrameType)),
        st.integers(0, 0xFFFF_FFFF),
        st.binary(max_size=300),
    ),
    max_size=8,
)


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_frames_arrive_whole_in_any_pieces(frames: list[Frame], cuts: list[int]) -> None:
    """Decoding what was encoded gives the same frames, however the stream is cut."""
    stream = b"".join(map(encode, frames))
    decoder = Decoder()
    found: list[Frame] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += decoder.feed(stream[:size])
        stream = stream[size:]
        turn += 1
    assert found == frames


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(HEADER.pack(b"LAB2", FrameType.PING, 1, 0), id="magic"),
        pytest.param(HEADER.pack(MAGIC, 0x70, 1, 0), id="type"),
        pytest.param(HEADER.pack(MAGIC, FrameType.PING, 1, FRAME_MAX + 1), id="length"),
    ],
)
def test_what_no_frame_starts_with_is_an_error(header: bytes) -> None:
    """A guest that sends anything else is noticed at its first header."""
    with pytest.raises(FrameError):
        Decoder().feed(header)


def test_a_payload_over_the_limit_is_not_sent() -> None:
    """The guest would end for it."""
    with pytest.raises(FrameError):
        encode(Frame(FrameType.INPUT, 1, bytes(FRAME_MAX + 1)))
