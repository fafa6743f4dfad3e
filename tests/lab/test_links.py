# SPDX-License-Identifier: Apache-2.0
"""What `lab link` says is what the packets meet, and it changes under traffic."""
import itertools
import socket
import threading
import time

import pytest
from conftest import Watch, host_of, lab, lab_json, lan, until

from drover_lab import names, net


@pytest.fixture
def host(shared, guest):
    """The host of the guest; its link is as it was, afterwards."""
    h = host_of(shared, guest)
    yield h
    lab("link", shared, h, "--rate", "none", "--delay", "none", "--loss", "none", "--up")


def watch(name, vm, *argv):
    return lab_json("witness", name, vm, "--seconds", "1", *argv)


@pytest.fixture
def echo(shared):
    """A call that sends datagrams to h2, which sends them back; it returns how long each took."""
    address = (names.host_address("h2"), 5998)
    server = net.call_in(names.host_netns(shared, "h2"), lambda: bound(address))
    client = net.call_in(lan(shared), lambda: bound(None))
    numbers = itertools.count()

    def serve() -> None:
        while (packet := server.recvfrom(100))[0] != b"end":
            server.sendto(*packet)

    def ask(count: int, patience: float) -> list[float]:
        client.settimeout(patience)
        sent = {}
        for _ in range(count):
            question = b"%d" % next(numbers)
            sent[question] = time.monotonic()
            client.sendto(question, address)
        took = []
        try:
            while len(took) < count:
                answer = client.recv(100)
                if answer in sent:  # else it is to a question of an earlier call
                    took.append(time.monotonic() - sent[answer])
        except TimeoutError:
            pass
        return took

    thread = threading.Thread(target=serve)
    thread.start()
    yield ask
    lab("link", shared, "h2", "--delay", "none", "--loss", "none", "--up")
    while thread.is_alive():
        client.sendto(b"end", address)
        thread.join(0.1)
    server.close()
    client.close()


def bound(address):
    s = socket.socket(type=socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: room for all of them
    if address:
        s.bind(address)
    return s


def test_delay(shared, echo):
    until(lambda: min(echo(1, 1), default=1) < 0.06)
    lab("link", shared, "h2", "--delay", "30ms")
    for _ in range(5):
        assert min(echo(1, 10)) >= 0.06
    lab("link", shared, "h2", "--delay", "5ms")  # while it is in the path
    took = []
    until(lambda: took.append(min(echo(1, 1), default=1)) or took[-1] < 0.06)
    assert min(took) >= 0.01
    lab("link", shared, "h2", "--delay", "none")
    until(lambda: min(echo(1, 1), default=1) < 0.01)


def test_loss(shared, echo):
    assert len(echo(1000, 5)) == 1000
    lab("link", shared, "h2", "--loss", "30%")
    # Both ways: 49 % come back. Of a thousand: 10 % more or less is six times the deviation.
    assert 390 < len(echo(1000, 1)) < 590
    lab("link", shared, "h2", "--loss", "0")
    assert len(echo(1000, 5)) == 1000


def test_down_and_up(shared, guest, host, tmp_path):
    seen = Watch(shared, guest, tmp_path)
    lab("link", shared, host, "--down")
    cut = time.monotonic()
    # Nothing comes back: neither an answer nor a reset.
    def silent() -> bool:
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            s.connect((names.host_address(host), 7443))
            s.send(b"x")
            try:
                s.recv(10)
                return False
            except TimeoutError:
                return True
    assert net.call_in(lan(shared), silent)
    lasted = time.monotonic() - cut
    lab("link", shared, host, "--up")
    assert watch(shared, guest)["answered"] > 0
    result = seen.end()
    assert result["longest_gap_ms"] >= lasted * 1000
    assert result["tcp"]["connections_lost"] == 0, "the connection was reset, not cut"
    assert len(result["boots"]) == 1


@pytest.mark.parametrize("sender, receiver", [("h1", "h2"), ("h2", "h1")])
def test_rate(shared, sender, receiver):
    """A shaped link carries no more than its rate, and near to it."""
    lab("link", shared, "h1", "--rate", "200mbit")
    try:
        # What the rate allows, and the bursts of two buckets; on a busy machine it may be less.
        best = []
        until(lambda: best.append(throughput_mbit(shared, sender, receiver, 0.7)) or
              best[-1] > 150)
        assert max(best) < 210
    finally:
        lab("link", shared, "h1", "--rate", "none")


def throughput_mbit(name, sender, receiver, seconds):
    address = names.host_address(receiver)
    server = net.call_in(names.host_netns(name, receiver),
                         lambda: socket.create_server((address, 5999)))
    received = [0]

    def receive() -> None:
        connection, _ = server.accept()
        buffer = bytearray(1 << 18)
        while n := connection.recv_into(buffer):
            received[0] += n
        connection.close()

    thread = threading.Thread(target=receive)
    thread.start()
    client = net.call_in(names.host_netns(name, sender),
                         lambda: socket.create_connection((address, 5999)))
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        client.sendall(bytes(1 << 16))
    client.close()
    thread.join()
    lasted = time.monotonic() - begun
    server.close()
    return received[0] * 8 / lasted / 1e6
