# SPDX-License-Identifier: Apache-2.0
"""Everything that passes a host's uplink, and what it is."""
import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Iterator

from lab import Lab

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS = 263, 6
IPV4, ARP, TCP = 0x0800, 0x0806, 6
SYN = 2


@dataclass
class Stream:
    """One direction of a TCP connection, put in order by its sequence numbers."""
    begin: int = -1  # sequence number of its first byte; -1: its SYN was not seen
    parts: dict[int, bytes] = field(default_factory=dict)

    def bytes(self) -> bytes:
        out = bytearray()
        for at, part in sorted(((seq - self.begin) % 2**32, p) for seq, p in self.parts.items()):
            if at > len(out):
                raise AssertionError(f"the capture has a hole of {at - len(out)} bytes")
            out += part[len(out) - at:]
        return bytes(out)


class Capture:
    def __init__(self, aside: set[str]) -> None:
        self.aside = {bytes.fromhex(mac.replace(":", "")) for mac in aside}
        self.streams: dict[tuple[str, int, str, int], Stream] = {}
        self.others: set[str] = set()  # descriptions of what is not TCP

    def packet(self, frame: bytes) -> None:
        if frame[6:12] in self.aside or frame[:6] in self.aside:
            return
        kind = struct.unpack_from("!H", frame, 12)[0]
        if kind != IPV4:
            self.others.add("ARP" if kind == ARP else f"ethertype {kind:#06x}")
            return
        header = (frame[14] & 15) * 4
        total = struct.unpack_from("!H", frame, 16)[0] or len(frame) - 14
        protocol = frame[23]
        source, target = (socket.inet_ntoa(frame[at:at + 4]) for at in (26, 30))
        if protocol != TCP:
            self.others.add(f"IP protocol {protocol} from {source} to {target}")
            return
        at = 14 + header
        sport, dport, seq = struct.unpack_from("!HHI", frame, at)
        flags = frame[at + 13]
        payload = frame[at + (frame[at + 12] >> 4) * 4:14 + total]
        stream = self.streams.setdefault((source, sport, target, dport), Stream())
        if flags & SYN:
            stream.begin = (seq + 1) % 2**32
        if payload and len(payload) > len(stream.parts.get(seq, b"")):
            stream.parts[seq] = payload


@contextlib.contextmanager
def capturing(lab: Lab, on: str, aside: set[str]) -> Iterator[Capture]:
    """Of the host's eth0, but what is from or to these MAC addresses; complete afterwards."""
    capture = Capture(aside)

    def open_socket() -> socket.socket:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        s.bind(("eth0", ETH_P_ALL))
        return s

    raw = lab.in_netns(on, open_socket)
    stop_read, stop_write = socket.socketpair()

    def work() -> None:
        while True:
            ready = select.select([raw, stop_read], [], [])[0]
            if raw in ready:
                capture.packet(raw.recv(1 << 17))
            elif stop_read in ready:
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield capture
    finally:
        stop_write.send(b"x")
        thread.join()
        # struct tpacket_stats: packets seen, packets dropped
        dropped = struct.unpack("II", raw.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        for s in (raw, stop_read, stop_write):
            s.close()
    assert not dropped, f"the capture lost {dropped} packets"


def check_tls_records(text: bytes, whole: bool) -> int:
    """
    The bytes are TLS records from the first to the last, beginning with a handshake; returns
    how many. whole: the last one must not be cut short.
    """
    at = count = 0
    while at + 5 <= len(text):
        kind, version, length = struct.unpack_from("!BHH", text, at)
        assert kind in (20, 21, 22, 23), f"record type {kind} after {count} records"
        assert version in (0x0301, 0x0303), f"version {version:#x} after {count} records"
        assert length <= (1 << 14) + 256, f"{length} bytes in a record"
        if count == 0:
            assert kind == 22, f"it begins with a record of type {kind}"
        at += 5 + length
        count += 1
    assert not whole or at == len(text), f"{len(text) - at} bytes behind the last record"
    return count
