# SPDX-License-Identifier: Apache-2.0
"""What `lab link` says is what the packets meet, and it changes under traffic."""
import socket
import threading
import time

import pytest
from conftest import host_of, lab, lab_json, lan

from drover_lab import names, net


@pytest.fixture
def host(shared, guest):
    """The host of the guest; its link is as it was, afterwards."""
    h = host_of(shared, guest)
    yield h
    lab("link", shared, h, "--rate", "none", "--delay", "none", "--loss", "none", "--up")


def watch(name, vm, *argv):
    return lab_json("witness", name, vm, "--seconds", "1", *argv)


def test_delay(shared, guest, host):
    assert watch(shared, guest)["round_trip_ms"]["min"] < 20
    lab("link", shared, host, "--delay", "30ms")
    seen = watch(shared, guest)
    assert seen["round_trip_ms"]["min"] >= 60
    assert seen["answered"] > 0 and seen["tcp"]["connections_lost"] == 0
    lab("link", shared, host, "--delay", "5ms")  # while it is in the path
    assert 10 <= watch(shared, guest)["round_trip_ms"]["min"] < 60
    lab("link", shared, host, "--delay", "none")
    assert watch(shared, guest)["round_trip_ms"]["min"] < 10


def test_loss(shared, guest, host):
    lab("link", shared, host, "--loss", "30%")
    seen = lab_json("witness", shared, guest, "--seconds", "2")
    # Both ways: 49 % come back. A thousand questions: off by 10 % is six times the deviation.
    assert 0.35 < seen["answered"] / seen["sent"] < 0.63
    assert not seen["split_brain"]
    lab("link", shared, host, "--loss", "0")
    seen = watch(shared, guest)
    assert seen["answered"] >= seen["sent"] * 0.97


def test_down_and_up(shared, guest, host, tmp_path):
    from conftest import Watch
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
def test_rate(shared, guest, host, sender, receiver):
    """A shaped link carries no more than its rate, and near to it."""
    lab("link", shared, "h1", "--rate", "200mbit")
    try:
        assert 150 < throughput_mbit(shared, sender, receiver, 0.7) < 210
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
