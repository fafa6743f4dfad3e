# SPDX-License-Identifier: Apache-2.0
"""Makes the hosts of a lab one Drover cluster, with Drover's own commands."""
import socket
import subprocess
from typing import Optional

from . import host, names, net, state, tools
from .errors import LabError
from .shell import wait_until

PORT = 7443


def on_host(lab: str, name: str, *argv: str) -> str:
    """Runs drover on the host and returns its stdout."""
    done = subprocess.run(host.enter(lab, name) + [str(tools.drover("drover")), *argv],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{name}: drover {argv[0]} failed: {done.stderr.strip()}")
    return done.stdout


def wait_for_port(lab: str, name: str) -> None:
    """Until droverd takes connections."""
    def probe() -> bool:
        with socket.socket() as s:
            s.settimeout(2)
            return s.connect_ex((names.host_address(name), PORT)) == 0

    log = state.host_dir(lab, name) / "droverd.log"
    try:
        wait_until(lambda: net.call_in(names.host_netns(lab, name), probe), 60, "")
    except LabError:
        tail = "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else "(no log)"
        raise LabError(f"droverd on {name} does not answer on port {PORT}; "
                       f"the end of its log {log}:\n{tail}") from None


def _start(lab: str, name: str) -> None:
    (state.host_dir(lab, name) / "drover-joined").touch()  # it starts when the host boots
    host.order(lab, name, "start droverd")
    wait_for_port(lab, name)


def _let_operate(lab: str, first: str, name: str) -> None:
    """Root on every host of a lab is an operator, for a day: with the founder's certificate."""
    there = host.root(lab, name) / "etc/drover"
    for file in ("operator.crt", "operator.key"):
        (there / file).write_bytes((host.root(lab, first) / "etc/drover" / file).read_bytes())
        (there / file).chmod(0o600)


def make_cluster(lab: str, hosts: list[str], store: Optional[str] = None) -> None:
    first = hosts[0]
    on_host(lab, first, "init", "--name", first, "--address", names.host_address(first),
            *(["--store", store] if store else []))
    _start(lab, first)
    for name in hosts[1:]:
        token = on_host(lab, first, "token", "create").strip().splitlines()[-1:]
        if not token:
            raise LabError("drover token create printed no token")
        on_host(lab, name, "join", names.host_address(first), "--token", token[0],
                "--name", name, "--address", names.host_address(name))
        _let_operate(lab, first, name)
        _start(lab, name)


def wait_if_joined(lab: str, name: str) -> None:
    if (state.host_dir(lab, name) / "drover-joined").exists():
        wait_for_port(lab, name)
