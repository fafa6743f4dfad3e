# SPDX-License-Identifier: Apache-2.0
"""Strangers at the port while a move is running: it completes, and the API goes on answering."""
import contextlib
import os
import socket
import ssl
import subprocess
from typing import Iterator

from conftest import VM, Guest
from lab import PORT, Api, Lab

IDLE = 300
GARBAGE = 40


def client_hello(name: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


class Crowd:
    """Connections from outside the hosts, kept open."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.open: list[socket.socket] = []

    def connect(self, to: str, count: int) -> list[socket.socket]:
        """As many as there are places; who is not let in has not disturbed anybody."""
        def work() -> list[socket.socket]:
            made = []
            for _ in range(count):
                with contextlib.suppress(OSError):
                    made.append(socket.create_connection((self.lab.address(to), PORT), 2))
            return made

        made: list[socket.socket] = self.lab.in_netns("lan", work)
        self.open += made
        return made

    def say(self, to: str, *words: bytes) -> None:
        """Each on a connection of its own, which then stays open and silent."""
        for s, text in zip(self.connect(to, len(words)), words):
            with contextlib.suppress(OSError):
                s.sendall(text)

    def close(self) -> None:
        for s in self.open:
            s.close()


@contextlib.contextmanager
def crowd(lab: Lab) -> Iterator[Crowd]:
    it = Crowd(lab)
    try:
        yield it
    finally:
        it.close()


def handshake(lab: Lab, to: str, name: str) -> None:
    """TLS without any credential: it must end in an error or in 401, and not hang."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    raw = lab.in_netns("lan", lambda: socket.create_connection((lab.address(to), PORT), 20))
    with raw, contextlib.suppress(ssl.SSLError, ConnectionError):
        with context.wrap_socket(raw, server_hostname=name) as tls:
            tls.sendall(b"GET /v1/nodes HTTP/1.0\r\n\r\n")
            assert b" 401 " in tls.recv(100)


def wrong_secret(lab: Lab, to: str, session: str) -> None:
    """The session's real name with a made-up secret."""
    done = subprocess.run(
        ["ip", "netns", "exec", lab.netns("lan"), "openssl", "s_client", "-connect",
         f"{lab.address(to)}:{PORT}", "-tls1_3", "-servername", f"{session}.relay.drover",
         "-psk_identity", session, "-psk", os.urandom(32).hex()],
        input=b"hello\n", capture_output=True, timeout=30)
    assert done.returncode != 0, done
    assert b"TLSv1.3, Cipher is TLS" not in done.stdout, done


def test_a_crowd_of_strangers(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    lab.rate("20mbit")  # it is not over before they have all been there
    with lab.watching(VM) as watch, crowd(lab) as strangers:
        move = lab.begin(VM, source, target)
        move.until("copying-disks", wire_bytes=1 << 20)
        session = lab.sessions(source)
        assert len(session) == 1 and session == lab.sessions(target)
        hello = client_hello("any.drover")
        relay_hello = client_hello(f"{session[0]}.relay.drover")
        for to in lab.hosts:
            strangers.connect(to, IDLE)
            strangers.say(to, *(os.urandom(1 + i * 37) for i in range(GARBAGE)))
            strangers.say(to, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70000, hello[:5] + b"\xff" * 40000)
            strangers.say(to, *(hello[:n] for n in (1, 4, 5, 6, 40, len(hello) - 1)))
            strangers.say(to, *(relay_hello[:n] for n in (5, 40, len(relay_hello) - 1)))
            # Whole, with the real session in it, and then silence or nonsense.
            strangers.say(to, *[relay_hello] * 8, relay_hello + os.urandom(3000))
            for name in ("nosuch.example", "x" * 60 + ".drover", f"{'0' * 32}.relay.drover",
                         f"{session[0]}.relay.drover", f"{session[0]}.drover"):
                handshake(lab, to, name)
            # Those whom we know are served all the same.
            assert len(lab.api(to, at="lan").get("/v1/nodes")["nodes"]) == len(lab.hosts)
        for _ in range(3):
            wrong_secret(lab, target, session[0])
        assert not move.view()["ended"], "the strangers came while it was running"
        assert lab.drover(target, "vm", "list").code == 0
        lab.rate("none")
        ended = move.wait()
    assert ended.code == 0, ended
    watch.assert_unharmed()
    slow.assert_clean(on=target)


def join_slowly(lab: Lab, to: str, count: int) -> list[ssl.SSLSocket]:
    """Whole headers of a request to join, and one byte of its body."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    made = []
    for _ in range(count):
        raw = lab.in_netns("lan", lambda: socket.create_connection((lab.address(to), PORT), 20))
        tls = context.wrap_socket(raw, server_hostname="any.drover")
        tls.sendall(b"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        made.append(tls)
    return made


def test_slow_joiners(lab: Lab) -> None:
    """Sixteen hosts that take their time to say who they are: another one is answered meanwhile."""
    slow = join_slowly(lab, "h1", 16)
    api = Api(lab.netns("lan"), lab.address("h1"), timeout=10)
    status, answer = api.ask("POST", "/v1/join", {"token": "nonsense"})
    assert status == 400 and "not a token" in answer["error"]["message"], (status, answer)
    for tls in slow:
        tls.close()


def test_an_operator_who_does_nothing(lab: Lab) -> None:
    """More connections of his than there are places: nodes and others are served, and the oldest have gone."""
    text = lab.drover("h1", "token", "create", "--operator", "idle").out.splitlines()[-1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    idle = []
    for _ in range(150):
        raw = lab.in_netns("lan", lambda: socket.create_connection((lab.address("h1"), PORT), 20))
        tls = context.wrap_socket(raw, server_hostname="any.drover")
        tls.sendall(f"GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {text}\r\n\r\n".encode())
        assert b" 200 " in tls.recv(4096)
        idle.append(tls)
    while idle[0].recv(4096):
        pass  # the rest of its answer, and then the end: it has made room
    assert lab.drover("h2", "vm", "list").code == 0
    assert all(n["state"] == "up" for n in lab.api("h2").get("/v1/nodes")["nodes"])
    for tls in idle:
        tls.close()
    lab.drover("h1", "token", "revoke", text.split(".")[1])


def test_a_session_s_name_is_nothing_after_it(lab: Lab, slow: Guest) -> None:
    """Nor is one that never was: such a connection is closed, whatever it says."""
    source, target = slow.host, slow.other
    move = lab.begin(VM, source, target)
    move.until("copying-disks", "copying-memory")
    session = lab.sessions(source)[0]
    lab.rate("none")
    assert move.wait().code == 0
    for name in (session, "0" * 32):
        wrong_secret(lab, target, name)
        handshake(lab, target, f"{name}.relay.drover")
    slow.assert_clean(on=target)


def test_slow_loris(lab: Lab, slow: Guest) -> None:
    """A ClientHello a byte at a time, on many connections, all the while."""
    source, target = slow.host, slow.other
    hello = client_hello("any.drover")
    with crowd(lab) as strangers:
        lorises = [s for to in lab.hosts for s in strangers.connect(to, 100)]
        move = lab.begin(VM, source, target)
        api = lab.api(target, at="lan")
        for byte in hello[:60]:
            for s in lorises:
                with contextlib.suppress(OSError):
                    s.send(bytes([byte]))
            assert api.ask("GET", "/v1/version")[0] == 200
        lab.rate("none")
        ended = move.wait()
    assert ended.code == 0, ended
    slow.assert_clean(on=target)
