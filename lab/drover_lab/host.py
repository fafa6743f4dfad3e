# SPDX-License-Identifier: Apache-2.0
"""
A lab host: namespaces with lab-init as their first process, which runs libvirtd and
droverd over private directories. Its disks are its directory under the lab's; /run is
forgotten when it boots, as on any machine.
"""
import ctypes
import os
import shutil
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Iterator

from . import clock, link, names, net, process, state, tools
from .errors import LabError
from .shell import run, wait_until

# Directories of a host of its own, and the file modes that they begin with.
PRIVATE = {
    "/run": 0o755,
    "/etc/libvirt": 0o755,
    "/etc/drover": 0o755,
    "/var/lib/libvirt": 0o755,
    "/var/lib/drover": 0o755,
    "/var/log/libvirt": 0o755,
    "/var/cache/libvirt": 0o755,
}
CONTROL = "run/lab-init.sock"
LIBVIRT_SOCKET = "run/libvirt/libvirt-sock"
CONSOLE_DIR = "/var/log/libvirt/console"

LIBVIRTD_CONF = """\
# Written by the lab.
host_uuid = "{uuid}"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_filters = "3:util.object 4:virPidFile"
"""
QEMU_CONF = """\
# Written by the lab. User, group and namespaces are the distribution's.
stdio_handler = "file"
security_driver = "none"
remember_owner = 0
"""
POOL_XML = """\
<pool type='dir'>
  <name>default</name>
  <uuid>{uuid}</uuid>
  <source/>
  <target><path>/var/lib/libvirt/images</path></target>
</pool>
"""


def root(lab: str, host: str) -> Path:
    """The host's private directories, e.g. root(...) / 'etc/libvirt'."""
    return state.host_dir(lab, host) / "root"


def pid_of(lab: str, host: str) -> int:
    """The host's init, or 0 if the host is down."""
    return process.recall(state.host_dir(lab, host) / "init.pid") or 0


def is_up(lab: str, host: str) -> bool:
    return pid_of(lab, host) != 0


def check_up(lab: str, host: str) -> int:
    state.check_host(lab, host)
    pid = pid_of(lab, host)
    if not pid:
        raise LabError(f"host {host} of lab '{lab}' is down: `lab boot {lab} {host}` starts it")
    return pid


def uri(lab: str, host: str) -> str:
    """How libvirt on the host is reached from anywhere on this machine, also by other hosts."""
    return f"qemu+unix:///system?socket={root(lab, host) / LIBVIRT_SOCKET}"


def create_disks(lab: str, host: str, hosts: list[str]) -> None:
    """The host's directories as a fresh installation has them."""
    here = root(lab, host)
    for path, mode in PRIVATE.items():
        directory = here / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(mode)
    (here / "var/lib/libvirt/images").mkdir(mode=0o711)
    (here / CONSOLE_DIR.lstrip("/")).mkdir()
    etc = here / "etc/libvirt"
    (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=uuid.uuid4()))
    (etc / "qemu.conf").write_text(QEMU_CONF)
    (etc / "storage/autostart").mkdir(parents=True)
    (etc / "storage/default.xml").write_text(POOL_XML.format(uuid=uuid.uuid4()))
    (etc / "storage/autostart/default.xml").symlink_to("/etc/libvirt/storage/default.xml")
    lines = ["127.0.0.1 localhost"] + [f"{names.host_address(h)} {h}" for h in hosts]
    (here / "etc/hosts").write_text("\n".join(lines) + "\n")


def _environment(lab: str) -> dict[str, str]:
    path = [str(p.parent) for p in map(tools.find_drover, tools.DROVER) if p]
    path += ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    env = {"PATH": ":".join(dict.fromkeys(path)), "HOME": "/root", "LANG": "C.UTF-8",
           process.MARK: lab}
    relay = tools.find_drover("drover-relay")
    if relay:
        env["DROVER_RELAY"] = str(relay)
    stand_in = tools.find_drover("drover-stand-in")
    if stand_in:
        env["DROVER_STAND_IN"] = str(stand_in)
    if "DROVER_FAULT" in os.environ:  # a build with -Dfault_points=true looks there
        env["DROVER_FAULT"] = os.environ["DROVER_FAULT"]
    return env


def _init_config(lab: str, host: str, with_drover: bool) -> Iterator[list[str]]:
    here = root(lab, host)
    logs = state.host_dir(lab, host)
    yield ["hostname", host]
    yield ["netns", str(state.NETNS_DIR / names.host_netns(lab, host))]
    # /run comes last: it hides what is under the machine's.
    for path in sorted(PRIVATE, reverse=True):
        yield ["bind", str(here / path.lstrip("/")), path]
    yield ["bind", str(here / "etc/hosts"), "/etc/hosts"]
    yield ["control", "/" + CONTROL]
    for name, value in _environment(lab).items():
        yield ["env", f"{name}={value}"]
    yield ["service", "libvirtd", "1000", "on", str(logs / "libvirtd.log"), "libvirtd"]
    droverd = tools.find_drover("droverd")
    if droverd:
        yield ["service", "droverd", "150", "on" if with_drover else "off",
               str(logs / "droverd.log"),
               *clock.wrapper(state.check_host(lab, host).get("clock_s", 0)), str(droverd)]


def start(lab: str, host: str) -> None:
    """Makes the host's namespaces and starts it. Its libvirtd answers when this returns."""
    here = state.host_dir(lab, host)
    state.claim_mount_points(lab, list(PRIVATE))
    if net.netns_exists(names.host_netns(lab, host)):
        net.delete_host(lab, host)  # a start that failed half-way
    net.create_host(lab, host)
    link.apply(lab, host, state.check_host(lab, host)["link"])
    run_dir = root(lab, host) / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    for name in ("", "lock", "libvirt"):
        (run_dir / name).mkdir()
    joined = (here / "drover-joined").exists()
    config = here / "init.conf"
    config.write_text("".join("\t".join(line) + "\n"
                              for line in _init_config(lab, host, joined)))
    with open(here / "init.log", "ab") as log:
        done = subprocess.run([tools.own("lab-init"), str(config)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=log, text=True, check=False,
                              env={"PATH": os.environ["PATH"], process.MARK: lab})
    if done.returncode != 0:
        raise LabError(f"host {host} does not start: "
                       f"{(here / 'init.log').read_text().strip().splitlines()[-1:]}")
    process.remember(here / "init.pid", int(done.stdout))
    wait_for_libvirt(lab, host)


def wait_for_libvirt(lab: str, host: str) -> None:
    """Until libvirtd answers a call (its socket is there before it can answer)."""
    path = root(lab, host) / LIBVIRT_SOCKET
    log = state.host_dir(lab, host) / "libvirtd.log"
    wait_until(path.exists, 60, f"libvirtd's socket on {host} (its log is {log})")
    run("virsh", "-c", uri(lab, host), "list", "--name")


def _forget_content_key(lab: str, host: str) -> None:
    """
    The key of droverd's known content is in the kernel, which forgets it when a host goes down;
    this machine's kernel does not go down.
    """
    try:
        store = (root(lab, host) / "var/lib/drover/content/id").read_text().strip()
    except OSError:
        return
    keyctl = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
    if keyctl is None:
        return  # it forgets itself after a week
    search, unlink, user_keyring = 10, 9, -4
    libc = ctypes.CDLL(None)
    key = libc.syscall(keyctl, search, user_keyring, b"user",
                       f"drover:content:{store}".encode(), 0)
    if key >= 0:
        libc.syscall(keyctl, unlink, key, user_keyring)


def kill(lab: str, host: str) -> None:
    """The host dies at once, as if its power failed: not even its connections are closed."""
    pid = pid_of(lab, host)
    link.cut(lab, host)
    if pid:
        process.kill_and_wait([pid])
    (state.host_dir(lab, host) / "init.pid").unlink(missing_ok=True)
    link.stop_wire(lab, host)
    net.delete_host(lab, host)
    _forget_content_key(lab, host)


def enter(lab: str, host: str) -> list[str]:
    """The beginning of a command line that runs the rest of it inside the host."""
    pid = check_up(lab, host)
    env = [f"{k}={v}" for k, v in _environment(lab).items()]
    return ["nsenter", "-t", str(pid), "-n", "-m", "-u", "-i", "-p", "--", "env",
            "--default-signal=INT,QUIT", *env]


def order(lab: str, host: str, line: str) -> str:
    """An order to the host's init; returns what follows its "ok"."""
    check_up(lab, host)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        # The socket's path may be longer than a socket address: go through /proc.
        directory = os.open((root(lab, host) / CONTROL).parent, os.O_PATH | os.O_DIRECTORY)
        try:
            s.connect(f"/proc/self/fd/{directory}/{Path(CONTROL).name}")
        finally:
            os.close(directory)
        s.sendall(line.encode() + b"\n")
        reply = s.makefile().readline().strip()
    verdict, _, rest = reply.partition(" ")
    if verdict != "ok":
        raise LabError(f"host {host}: '{line}': {rest or 'its init does not answer'}")
    return rest
