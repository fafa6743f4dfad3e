# SPDX-License-Identifier: Apache-2.0
"""
The lab's network: one namespace with a switch (a bridge) where clients live, one namespace
a host, and a veth pair as each host's uplink. Nothing is made in the machine's own network.

    NAME-lan:  br0 10.77.0.1/16 -- h1 ===veth=== eth0 -- br0 10.77.0.11/16  :NAME-h1
                                -- h2 ===veth=== eth0 -- br0 10.77.0.12/16  :NAME-h2
"""
import contextlib
import ctypes
import os
import threading
from typing import Any, Callable

from . import names
from .errors import LabError
from .shell import run
from .state import NETNS_DIR


def in_netns(netns: str, *argv: str, check: bool = True) -> str:
    return run("ip", "netns", "exec", netns, *argv, check=check)


def netns_exists(netns: str) -> bool:
    return (NETNS_DIR / netns).exists()


def delete_netns(netns: str) -> None:
    with contextlib.suppress(LabError):
        run("ip", "netns", "del", netns)
    if netns_exists(netns):  # left by a crash between its creation and its mount
        (NETNS_DIR / netns).unlink()


def _new_netns(netns: str) -> None:
    run("ip", "netns", "add", netns)
    # No IPv6: only what the lab is about shall be seen on the wires.
    in_netns(netns, "sh", "-c", "for f in all default; do "
             "echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6 2>/dev/null; done; true")


def _batch(netns: str, lines: list[str]) -> None:
    run("ip", "-n", netns, "-batch", "-", stdin="\n".join(lines) + "\n")


def _bridge(mac: str, address: str) -> list[str]:
    return [
        "link set lo up",
        f"link add br0 address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"addr add {address}/{names.PREFIX} dev br0",
        "link set br0 up",
    ]


def create_lan(lab: str) -> None:
    netns = names.lan_netns(lab)
    _new_netns(netns)
    _batch(netns, _bridge("52:54:00:77:00:01", names.CLIENT_ADDRESS))


def create_host(lab: str, host: str) -> None:
    """The host's namespace, plugged into the switch. Its link is shaped by link.apply()."""
    netns = names.host_netns(lab, host)
    _new_netns(netns)
    _batch(netns, _bridge(names.host_mac(host), names.host_address(host)))
    _batch(names.lan_netns(lab), [
        f"link add {host} type veth peer name eth0 netns {netns}",
        f"link set {host} master br0 up",
    ])
    _batch(netns, ["link set eth0 master br0 up"])


def delete_host(lab: str, host: str) -> None:
    """
    Unplugs the host and takes its namespace away. The kernel does the latter in its own time,
    so the veth is deleted first: a boot right afterwards makes one of the same name.
    """
    run("ip", "-n", names.lan_netns(lab), "link", "del", host, check=False)
    delete_netns(names.host_netns(lab, host))


def device_exists(netns: str, device: str) -> bool:
    return bool(run("ip", "-n", netns, "-o", "link", "show", "dev", device, check=False))


def call_in(netns: str, work: Callable[[], Any]) -> Any:
    """
    Calls work() inside a network namespace and returns its result. A namespace is a
    thread's own, hence the thread; and this Python has no os.setns() yet, hence libc.
    """
    result: list[Any] = []
    failure: list[BaseException] = []
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000

    def inside() -> None:
        try:
            with open(NETNS_DIR / netns, "rb") as f:
                if libc.setns(f.fileno(), clone_newnet) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), netns)
            result.append(work())
        except BaseException as e:  # handed to the caller's thread
            failure.append(e)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
