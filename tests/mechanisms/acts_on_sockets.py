"""What programs do with addresses and messages, as in acts_as_bare.py."""

from __future__ import annotations

from tests.mechanisms.acting import Acts

ADDRESSES: Acts = {
    "lengths of an address": """
        ends = (8, 15, 16, 17, 128, 129, 1 << 20, -1)
        return [call("connect", datagram(), inet(9) + bytes(200), length) for length in ends]""",
    "upper half of a length": 'call("connect", datagram(), inet(9), 0xDEAD << 32 | 16)',
    "address that cannot be read": """
        places = (BAD, 0, at_page_end(inet(9)[:9]))
        return [call("connect", datagram(), place, 16) for place in places]""",
    "address at the end of a page": 'call("connect", datagram(), at_page_end(inet(9)), 16)',
    "no address": """
        results = [call("sendto", datagram(), b"x", 1, 0, 0, 0)]
        first, second = socket.socketpair()
        results += [call("sendto", first.fileno(), b"word", 4, 0, 0, 0), second.recv(9)]
        return results""",
    "no socket": """
        file = os.open("file", 0)
        return [call(name, fd, inet(9), 16) for name in ("connect", "bind")
                for fd in (99, file, -1)] + [
                call("connect", fd, path("sockets/stream"), 17)
                for fd in (99, file, datagram())]""",
    "unspecified": 'call("connect", datagram(), struct.pack("=H14x", 0), 16)',
    "bound": """
        socket = datagram()
        results = [call("bind", socket, inet(0), 16), call("bind", socket, inet(0), 16)]
        return results""",
    "path sockets": """
        names = ("sockets/stream", "sockets/datagrams", "absent", "file", "dir", "to_stream")
        return [(call("connect", stream(1), path(name), len(name) + 3),
                 call("connect", datagram(1), path(name), len(name) + 3),
                 call("sendto", datagram(1), b"", 0, 0, path(name), len(name) + 3))
                for name in names]""",
    "paths to bind": """
        os.umask(0o027)
        names = ("dir/own", "file", "absent/own", "dir/own", "link", "dangling")
        results = [call("bind", stream(1), path(name), len(name) + 2) for name in names]
        return results, oct(os.stat("dir/own").st_mode), os.unlink("dir/own")""",
    "paths to bind by another user": """
        os.chmod(".", 0o777)
        if os.geteuid() == 0:
            os.seteuid(65534)
        own = stream(1)
        result = call("bind", own, path("theirs"), 9)
        return result, os.stat("theirs").st_uid, os.unlink("theirs")""",
    "own name of a bound socket": """
        own = stream(1)
        result = call("bind", own, path("./dir//own"), 12)
        return result, kept[-1].getsockname(), os.unlink("dir/own")""",
    "names in no file system": """
        own = stream(1)
        name = struct.pack("=H", 1) + b"\\0laboratory-%d" % os.getpid()
        return [call("bind", own, name, len(name)), call("bind", stream(1), name, len(name)),
                call("connect", stream(1), name, len(name)),
                call("connect", stream(1), name + b"x", len(name) + 1)]""",
}


MESSAGES: Acts = {
    "header that cannot be read": """
        return [call("sendmsg", datagram(), BAD, 0), call("sendmmsg", datagram(), BAD, 1, 0),
                call("sendmsg", datagram(), at_page_end(message(inet(9), b"x")[:40]), 0)]""",
    "lengths in a header": """
        sizes = (0, 15, 16, 128, 1000, 1 << 31, (1 << 32) - 1)
        return [call("sendmsg", datagram(), message(inet(9) + bytes(2000), b"x", length=size), 0)
                for size in sizes]""",
    "too many parts": """
        one = struct.pack("PN", at(b"x"), 1)
        headers = [struct.pack("PIPNPNi0P", at(inet(9)), 16, at(one * 1025), count, 0, 0, 0)
                   for count in (0, 1024, 1025)]
        return [call("sendmsg", datagram(), header, 0) for header in headers]""",
    "parts too long": """
        first, second = socket.socketpair()
        sizes = (1 << 63, (1 << 64) - 1, 1 << 62)
        return [call("sendmsg", first.fileno(), struct.pack("PIPNPNi0P", 0, 0,
                     at(struct.pack("PNPN", at(b"x"), 1, at(b"x"), size)), 2, 0, 0, 0), 0)
                for size in sizes]""",
    "control that is nowhere": """
        first, second = socket.socketpair()
        one = at(struct.pack("PN", at(b"x"), 1))
        headers = [struct.pack("PIPNPNi0P", 0, 0, one, 1, place, 24, 0) for place in (0, BAD)]
        return [call("sendmsg", first.fileno(), header, 0) for header in headers]""",
    "parts in order": """
        first, second = socket.socketpair()
        sent = call("sendmsg", first.fileno(), message(b"", b"a", b"", b"bc", b"d"), 0)
        return sent, second.recv(9)""",
    "several": """
        receiver = socket.socket(type=socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        address = inet(receiver.getsockname()[1])
        vector = ctypes.create_string_buffer(
            b"".join(message(address, b"x" * n) + bytes(8) for n in (1, 2, 3)))
        sent = call("sendmmsg", datagram(), ctypes.addressof(vector), 3, 0)
        lengths = [struct.unpack_from("=I", vector, place * 64 + 56)[0] for place in range(3)]
        return sent, lengths, [receiver.recv(9) for _ in "abc"]""",
    "some of several": """
        receiver = socket.socket(type=socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        address = inet(receiver.getsockname()[1])
        good = message(address, b"x") + bytes(8)
        wrong = message(address, b"x" * 70_000) + bytes(8)
        sender = datagram()
        return [call("sendmmsg", sender, vector, count, 0) for vector, count in
                ((good + wrong + good, 3), (wrong + good, 2), (good * 2, 2),
                 (good, 0xDEAD << 32 | 1))]""",
    "one of several that cannot be read": """
        receiver = socket.socket(type=socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        good = message(inet(receiver.getsockname()[1]), b"x") + bytes(8)
        wrong = (struct.pack("PIP", BAD, 16, 0) + good[24:],
                 struct.pack("PI", at(b"x" * 16), (1 << 32) - 1) + good[12:])
        return [call("sendmmsg", datagram(), vector, 3, 0)
                for bad in wrong for vector in (good + bad + good, bad + good + good)]""",
    "descriptors": """
        first, second = socket.socketpair()
        read, write = os.pipe()
        rights = struct.pack("Niii4x", 20, 1, 1, write)
        sent = call("sendmsg", first.fileno(), message(b"", b"x", control=rights), 0)
        data, (passed,), flags, address = socket.recv_fds(second, 9, 1)
        os.write(passed, b"through")
        return sent, data, os.read(read, 9)""",
    "descriptors that are none": """
        first, second = socket.socketpair()
        rights = struct.pack("Niii4x", 20, 1, 1, 99)
        return call("sendmsg", first.fileno(), message(b"", b"x", control=rights), 0)""",
    "control of a wrong length": """
        first, second = socket.socketpair()
        return [call("sendmsg", first.fileno(),
                     message(b"", b"x", control=struct.pack("Niii4x", size, 1, 1, 0)), 0)
                for size in (8, 25, 1 << 20)]""",
    "broken pipe": """
        results, got = [], []
        signal.signal(signal.SIGPIPE, lambda *_: got.append("pipe"))
        for flags in (0, 0x4000):
            first, second = socket.socketpair()
            second.close()
            results.append(call("sendto", first.fileno(), b"x", 1, flags, 0, 0))
        return results, got""",
    "data that cannot be read": """
        first, second = socket.socketpair()
        return [call("sendto", datagram(), BAD, 1, 0, inet(9), 16),
                call("sendto", first.fileno(), BAD, 1, 0, 0, 0)]""",
    "data that cannot be read, and something before it": """
        first, second = socket.socketpair()
        huge = struct.pack("PN", at(b"xyz"), 1 << 40)
        results = [call("sendto", datagram(), at(bytes(9)), size, 0, inet(9), 16)
                   for size in (0x7FFF_FFFF, 1 << 31, 1 << 40)]
        results += [call("sendto", first.fileno(), BAD, 1, 0, inet(9), 16)]
        results += [call("sendto", datagram(), BAD, 64, 0, inet(9), size) for size in (0, 8)]
        return results + [call("sendmsg", datagram(), struct.pack("PIPNPNi0P", at(inet(9)), 16,
                               at(huge), 1, 0, 0, 0), 0)]""",
    "no socket to send to": """
        file, place = os.open("file", 0), path("sockets/datagrams")
        return [(call("sendto", fd, b"x", 1, 0, address, length),
                 call("sendmsg", fd, message(address, b"x"), 0),
                 call("sendmmsg", fd, message(address, b"x") + bytes(8), 1, 0))
                for fd in (file, 99, -1)
                for address, length in ((inet(9), 16), (place, len(place)), (b"", 0))]""",
    "flags of another ABI": """
        return [call("sendto", datagram(), b"x", 1, flags, inet(9), 16)
                for flags in (1 << 31, (1 << 64) - 1)] + [
                call("sendmsg", datagram(), message(inet(9), b"x"), 1 << 31)]""",
    "who one says to be": """
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        names = ((os.getpid(), os.geteuid(), os.getegid()), (os.getpid(), 4711, 4711),
                 (1 << 20, os.geteuid(), os.getegid()))
        controls = [struct.pack("NiiiII4x", 28, 1, 2, *each) for each in names]
        place = path("sockets/datagrams")
        return [(call("sendmsg", first.fileno(), message(b"", b"x", control=control), 0),
                 call("sendmsg", datagram(1), message(place, b"x", control=control), 0))
                for control in controls]""",
    "control that the socket does not look at": """
        controls = [struct.pack("Niii4x", size, 1, kind, 99) for size in (20, 8, 1 << 20)
                    for kind in (1, 77)] + [bytes(30000)]
        places = inet(9), path("sockets/datagrams"), b""
        return [call("sendmsg", datagram(), message(place, b"x", control=control), 0)
                for control in controls for place in places]""",
}
