# SPDX-License-Identifier: Apache-2.0
"""
A real etcd for a lab: three members on the lab's switch, at addresses of their own. They are
no host's: hosts and members die independently of each other.
"""
import os
import shutil
import subprocess
from pathlib import Path

from . import names, net, process, state
from .errors import LabError
from .shell import run, wait_until

MEMBERS = ("e1", "e2", "e3")
PORT, PEER_PORT = 2379, 2380


def address(member: str) -> str:
    return f"10.77.0.{1 + int(member[1:])}"


def place() -> str:
    """What `drover init --store` is given."""
    return "etcd://" + ",".join(f"{address(m)}:{PORT}" for m in MEMBERS)


def directory(lab: str) -> Path:
    return state.lab_dir(lab) / "etcd"


def check_member(lab: str, member: str) -> None:
    if not directory(lab).is_dir():
        raise LabError(f"lab '{lab}' has no etcd: make it with `lab up {lab} --etcd`")
    if member not in MEMBERS:
        raise LabError(f"'{member}' is no member of etcd: there are {', '.join(MEMBERS)}")


def pid_of(lab: str, member: str) -> int:
    """The member's process, or 0 if it does not run."""
    return process.recall(directory(lab) / f"{member}.pid") or 0


def start_member(lab: str, member: str) -> None:
    check_member(lab, member)
    if pid_of(lab, member):
        raise LabError(f"member {member} of etcd runs already")
    here, peers = directory(lab), ",".join(f"{m}=http://{address(m)}:{PEER_PORT}" for m in MEMBERS)
    client, peer = (f"http://{address(member)}:{port}" for port in (PORT, PEER_PORT))
    # Quick elections: the lab's switch is quick, and nobody wants to wait.
    argv = ["ip", "netns", "exec", names.lan_netns(lab), "etcd", "--name", member,
            "--data-dir", str(here / member), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", peers,
            "--heartbeat-interval", "100", "--election-timeout", "1000",
            "--quota-backend-bytes", str(64 << 20), "--auto-compaction-retention", "10m",
            "--logger", "zap", "--log-outputs", str(here / f"{member}.log")]
    env = {"PATH": os.environ["PATH"], process.MARK: lab}
    started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=env, start_new_session=True)
    process.remember(here / f"{member}.pid", started.pid)


def stop_member(lab: str, member: str) -> None:
    """It dies at once."""
    check_member(lab, member)
    pid = pid_of(lab, member)
    if not pid:
        raise LabError(f"member {member} of etcd does not run")
    process.kill_and_wait([pid])


def answers(lab: str) -> bool:
    """Whether more than half of them agree on something."""
    import http.client  # noqa: PLC0415 - only labs with etcd need it

    def ask() -> bool:
        for member in MEMBERS:
            try:
                connection = http.client.HTTPConnection(address(member), PORT, timeout=3)
                connection.request("POST", "/v3/kv/range", '{"key":"AA=="}')
                if connection.getresponse().status == 200:
                    return True
            except OSError:
                pass
        return False

    return net.call_in(names.lan_netns(lab), ask)


def start(lab: str) -> None:
    """All members; they answer when this returns."""
    if not shutil.which("etcd"):
        raise LabError("etcd is not installed: install the packages in lab/packages.txt")
    directory(lab).mkdir()
    for member in MEMBERS:
        run("ip", "-n", names.lan_netns(lab), "addr", "add", f"{address(member)}/{names.PREFIX}",
            "dev", names.SWITCH_DEVICE)
        start_member(lab, member)
    wait_until(lambda: answers(lab), 60, f"that etcd answers (its logs are in {directory(lab)})")
