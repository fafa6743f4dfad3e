# SPDX-License-Identifier: Apache-2.0
"""
What a host's link is like: rate (tbf at both ends of the veth), delay and loss (lab-wire,
a forwarder of ours that is in the path only while it is needed: Debian's kernels may lack
netem), and cut or not (the state of the switch's port: packets vanish, carriers stay).
"""
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Optional

from . import names, net, process, state, tools
from .errors import LabError
from .shell import run, wait_until

BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
# Depth of the queue in front of a shaped link. Shallow on purpose: QEMU computes its pause
# from how fast it can write, and a deep queue makes it lie.
QUEUE_MS = 4
BURST_MS = 1
MIN_BURST_BYTES = 32 * 1024


def parse_rate(text: str) -> Optional[int]:
    """'1gbit', '100mbit' in bit/s; 'none' or '0' is None, unshaped."""
    if text in ("none", "0"):
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kmg]?bit)", text.lower())
    if not match or float(match[1]) * BITS[match[2]] < 8000:
        raise LabError(f"rate '{text}' is not understood: say 1gbit, 100mbit, 64kbit, "
                       "or none for no limit")
    return int(float(match[1]) * BITS[match[2]])


def parse_delay(text: str) -> float:
    """'10ms', '500us', '0.1s' in ms; '0' or 'none' is 0."""
    if text in ("none", "0"):
        return 0.0
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)", text.lower())
    value = float(match[1]) * {"us": 0.001, "ms": 1, "s": 1000}[match[2]] if match else -1
    if not 0 <= value <= 10000:
        raise LabError(f"delay '{text}' is not understood: say 10ms, 500us or 0.1s, "
                       "at most 10s, or none")
    return value


def parse_loss(text: str) -> float:
    """'1%' or '1' in percent."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%?", text)
    if text != "none" and (not match or float(match[1]) > 100):
        raise LabError(f"loss '{text}' is not understood: say 1% (0 to 100), or none")
    return float(match[1]) if match else 0.0


def new(rate: Optional[int] = None, delay_ms: float = 0.0) -> dict[str, Any]:
    return {"rate_bps": rate, "delay_ms": delay_ms, "loss_percent": 0.0, "down": False}


def describe(link: dict[str, Any]) -> str:
    rate = link["rate_bps"]
    parts = [f"{rate / 1e6:g} Mbit/s" if rate else "unshaped"]
    if link["delay_ms"]:
        parts.append(f"delay {link['delay_ms']:g} ms")
    if link["loss_percent"]:
        parts.append(f"loss {link['loss_percent']:g} %")
    if link["down"]:
        parts.append("DOWN")
    return ", ".join(parts)


def _shape(netns: str, device: str, rate: Optional[int]) -> None:
    if rate is None:
        net.in_netns(netns, "tc", "qdisc", "del", "dev", device, "root", check=False)
        return
    burst = max(rate // 8 * BURST_MS // 1000, MIN_BURST_BYTES)
    limit = rate // 8 * QUEUE_MS // 1000 + burst
    net.in_netns(netns, "tc", "qdisc", "replace", "dev", device, "root", "tbf",
                 "rate", f"{rate}bit", "burst", str(burst), "limit", str(limit))


def _wire_pid_file(lab: str, host: str) -> Path:
    return state.host_dir(lab, host) / "wire.pid"


def stop_wire(lab: str, host: str) -> None:
    pid = process.recall(_wire_pid_file(lab, host))
    if pid:
        process.kill_and_wait([pid])
    _wire_pid_file(lab, host).unlink(missing_ok=True)


def _direct(lab: str, host: str) -> None:
    """The veth's end is the switch's port; lab-wire is not in the path."""
    lan = names.lan_netns(lab)
    stop_wire(lab, host)  # its tap device goes with it
    run("ip", "-n", lan, "link", "set", host, "gso_max_segs", "65535")
    run("ip", "-n", names.host_netns(lab, host), "link", "set", "eth0", "gso_max_segs", "65535")
    run("ip", "-n", lan, "link", "set", host, "master", "br0")


def _wired(lab: str, host: str, link: dict[str, Any]) -> None:
    """lab-wire's tap wN is the switch's port; it forwards to and from the veth's end."""
    lan = names.lan_netns(lab)
    here = state.host_dir(lab, host)
    config = here / "wire.conf"
    fresh = here / "wire.conf.new"
    fresh.write_text(f"{int(link['delay_ms'] * 1000)} {int(link['loss_percent'] * 10000)}\n")
    fresh.rename(config)
    # A lost packet shall be one packet, not a bundle of 40 that the kernel has not cut yet.
    segments = "1" if link["loss_percent"] else "65535"
    run("ip", "-n", lan, "link", "set", host, "gso_max_segs", segments)
    run("ip", "-n", names.host_netns(lab, host), "link", "set", "eth0", "gso_max_segs", segments)
    pid = process.recall(_wire_pid_file(lab, host))
    if pid:
        os.kill(pid, signal.SIGHUP)
        return
    run("ip", "-n", lan, "link", "set", host, "nomaster")
    tap = f"w{host}"
    with open(here / "wire.log", "ab") as log:
        started = subprocess.Popen(
            ["ip", "netns", "exec", lan, str(tools.own("lab-wire")), host, tap, str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], process.MARK: lab})
    process.remember(_wire_pid_file(lab, host), started.pid)
    wait_until(lambda: net.device_exists(lan, tap) or started.poll() is not None, 5,
               f"lab-wire's device {tap}")
    if started.poll() is not None:
        raise LabError(f"lab-wire ended at once: {(here / 'wire.log').read_text().strip()}")
    run("ip", "-n", lan, "link", "set", tap, "master", "br0", "up")


def apply(lab: str, host: str, link: dict[str, Any]) -> None:
    """Makes the host's link be as `link` says, whatever it was before."""
    lan = names.lan_netns(lab)
    _shape(names.host_netns(lab, host), "eth0", link["rate_bps"])
    _shape(lan, host, link["rate_bps"])
    if link["delay_ms"] or link["loss_percent"]:
        _wired(lab, host, link)
        port = f"w{host}"
    else:
        _direct(lab, host)
        port = host
    # 0 is "disabled": nothing passes; 3 is "forwarding".
    net.in_netns(lan, "bridge", "link", "set", "dev", port, "state", "0" if link["down"] else "3")


def cut(lab: str, host: str) -> None:
    """The link as it is when the host's power fails: at once, without a goodbye."""
    lan = names.lan_netns(lab)
    for port in (host, f"w{host}"):
        net.in_netns(lan, "bridge", "link", "set", "dev", port, "state", "0", check=False)
