"""Wires: what comes over a pipe is read as it was sent, or refused by the reader's own error."""

from __future__ import annotations

import json
import socket

from hypothesis import strategies as st

from enforcer.policy.wire import WireError, policy_from_json, policy_to_json
from enforcer.supervision.launch import Handshake
from harness.fuzz.cases import BytesCase
from harness.fuzz.property import Mismatch, Property, Tally
from harness.fuzz.strategies.policies import policies
from harness.fuzz.wire import CaseError, from_json, to_json
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

_MOST_BYTES = 4096

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 65),
    st.sampled_from(("", "permit", "deny", "eq", "strict", "filename", "true", "and", "\ud800")),
)
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(("class", "enum", "value", "bytes", "rules", "when")), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


@st.composite
def almost_policies(draw: st.DrawFn) -> BytesCase:
    """The JSON of a policy with one of its values exchanged for another, or none."""
    value: object = policy_to_json(draw(policies()))
    top = [value]
    holder: list[object] | dict[str, object] = top
    key: int | str = 0
    for _ in range(draw(st.integers(0, 6))):
        inner = holder[key]  # type: ignore[index]
        if not isinstance(inner, list | dict) or not inner:
            break
        holder = inner
        key = draw(st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner))))
    if draw(st.booleans()):
        holder[key] = draw(_values)  # type: ignore[index]
    return BytesCase(json.dumps(top[0]).encode())


_frames = st.one_of(
    st.binary(max_size=64),
    st.builds(
        HEADER.pack,
        st.sampled_from((MAGIC, MAGIC, bytes(len(MAGIC)))),
        st.one_of(st.sampled_from(list(FrameType)), st.integers(0, 255)),
        st.integers(0, 1 << 16),
        st.sampled_from((0, 1, 7, FRAME_MAX, FRAME_MAX + 1, (1 << 32) - 1)),
    ),
    st.builds(
        lambda kind, number, payload: encode(Frame(kind, number, payload)),
        st.sampled_from(list(FrameType)),
        st.integers(0, 9),
        st.binary(max_size=9),
    ),
)
wires = st.one_of(
    almost_policies(),
    _values.map(lambda value: BytesCase(json.dumps(value).encode())),
    st.lists(_frames, max_size=4).map(b"".join).map(BytesCase),
    st.sampled_from((b"", b"go", b"go ", b"go x", b"error \xff", b"\0")).map(BytesCase),
)


def check_wires(case: BytesCase, tally: Tally) -> None:
    """The bytes as a policy, as a finding's case, as frames, and as a word of a handshake."""
    tally.decisions += 4
    try:
        data: object = json.loads(case.data)
    except ValueError:
        data = None
    _policy(data)
    _case(data)
    _stream(case.data)
    _handshake(case.data[:_MOST_BYTES])


def _policy(data: object) -> None:
    try:
        read = policy_from_json(data)
    except WireError:
        return
    again = policy_from_json(json.loads(json.dumps(policy_to_json(read))))
    if again != read:
        raise Mismatch(call="policy_to_json", expected=repr(read), got=repr(again))


def _case(data: object) -> None:
    try:
        read = from_json(data)
        again = from_json(json.loads(json.dumps(to_json(read))))
    except CaseError:
        return
    if again != read:
        raise Mismatch(call="to_json", expected=repr(read), got=repr(again))


def _stream(data: bytes) -> None:
    """Whole, and byte by byte: the same frames, or an error both times."""
    found: list[tuple[list[Frame], bool]] = []
    for pieces in ([data], [data[place : place + 1] for place in range(len(data))]):
        decoder, frames, refused = Decoder(), [], False
        for piece in pieces:
            try:
                frames += decoder.feed(piece)
            except FrameError:
                refused = True
                break
        found.append((frames, refused))
    (whole, refused), (single, also) = found
    if refused != also or (whole != single and not refused):
        raise Mismatch(call=repr(data), expected=repr(whole), got=repr(single))
    if not refused and not data.startswith(b"".join(map(encode, whole))):
        raise Mismatch(call=repr(data), expected="the frames that were sent", got=repr(whole))


def _handshake(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(data)
        ours.close()
        try:
            said = Handshake(theirs, 0).wait_go()
        except ConnectionError:
            return
    if not data.startswith(b"go") or said.encode(errors="surrogateescape") not in data:
        raise Mismatch(call=repr(data), expected="a refusal", got=repr(said))


WIRES = Property(
    name="wires",
    claim="bytes on the supervisors', the machines' and the findings' wires: read, or refused",
    group="input",
    cases=wires,
    check=check_wires,
)
