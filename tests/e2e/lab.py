# SPDX-License-Identifier: Apache-2.0
"""
The lab as the tests use it: hosts, guests, links, drover's commands, what is left over on a
host, and a client of the REST API that asks from anywhere in the lab.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "lab"
sys.path.insert(0, str(ROOT / "lab"))

from drover_lab import etcd, guest, host, names, net  # noqa: E402

PORT = 7443
IMAGES = "/var/lib/libvirt/images"
# Every lab keeps the cluster's data in etcd, instead of with its founder.
IN_ETCD = os.environ.get("DROVER_TEST_STORE") == "etcd"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 40) -> Any:
    """Polls where there is no event to wait for; returns what the condition gave at last."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.05)


class Api:
    """An HTTPS client in a namespace of the lab. Certificates are a pair of files."""

    def __init__(self, netns: str, address: str, ca: Optional[Path] = None,
                 certificate: Optional[tuple[Path, Path]] = None, token: Optional[str] = None,
                 timeout: float = 35) -> None:
        self.netns, self.address, self.token, self.timeout = netns, address, token, timeout
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.check_hostname = False
        if ca:
            self.context.load_verify_locations(ca)
        else:
            self.context.verify_mode = ssl.CERT_NONE
        if certificate:
            self.context.load_cert_chain(*certificate)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and document. Who is sent to another node goes there."""
        address = self.address
        while True:
            status, document, location = self.once(address, method, path, body)
            if status != 307:
                return status, document
            address, _, path = location.removeprefix("https://").partition("/")
            address, path = address.rpartition(":")[0], f"/{path}"

    def once(self, address: str, method: str, path: str, body: Any) -> tuple[int, Any, str]:
        """A connection each time: droverd may have been restarted."""
        raw = net.call_in(self.netns, lambda: socket.create_connection((address, PORT), self.timeout))
        with self.context.wrap_socket(raw, server_hostname="any.drover") as tls:
            connection = http.client.HTTPConnection("drover")
            connection.sock = tls
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               headers)
            answer = connection.getresponse()
            return (answer.status, json.loads(answer.read() or b"null"),
                    answer.headers.get("Location", ""))

    def get(self, path: str) -> Any:
        status, document = self.ask("GET", path)
        assert status == 200, f"GET {path}: {status} {document}"
        return document


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit code {self.code}\nstdout: {self.out}\nstderr: {self.err}"


class Lab:
    """A lab of our own. Everything in it is called by the lab's names: h1, h2, web1."""

    def __init__(self, name: str, hosts: int = 2) -> None:
        self.name = name
        self.hosts = names.host_names(hosts)
        self.kept: set[str] = set()  # guests that one test leaves to the next

    # ---- the lab itself ----

    def lab(self, command: str, *words: object, check: bool = True) -> Ended:
        argv = [str(LAB), command, self.name, *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return Ended(done.returncode, done.stdout, done.stderr)

    def up(self, *options: str) -> None:
        """Moves shall take their time, whatever was moved before: no content is kept."""
        drover = "--no-drover" not in options
        store = ("--etcd",) if drover and IN_ETCD and "--etcd" not in options else ()
        self.lab("up", "--hosts", len(self.hosts), *options, *store)
        if drover:
            assert self.drover(self.hosts[0], "content", "off").code == 0

    def down(self) -> None:
        self.lab("down", check=False)

    def link(self, on: str, *options: str) -> None:
        self.lab("link", on, *options)

    def rate(self, rate: str) -> None:
        for each in self.hosts:
            self.link(each, "--rate", rate)

    def service(self, on: str, service: str, verb: str) -> str:
        return self.lab("service", on, service, verb).out

    def address(self, on: str) -> str:
        return names.host_address(on)

    def path(self, on: str, inside: str) -> Path:
        """Where a host's file is, seen from outside."""
        return host.root(self.name, on) / inside.lstrip("/")

    def log(self, on: str, which: str = "droverd") -> Path:
        return host.root(self.name, on).parent / f"{which}.log"

    def netns(self, on: str) -> str:
        """"lan" is where the clients are."""
        return names.lan_netns(self.name) if on == "lan" else names.host_netns(self.name, on)

    def in_netns(self, on: str, work: Callable[[], Any]) -> Any:
        return net.call_in(self.netns(on), work)

    # ---- commands on a host ----

    def argv(self, on: str, *words: object) -> list[str]:
        return host.enter(self.name, on) + [str(word) for word in words]

    def run(self, on: str, *words: object, check: bool = True) -> Ended:
        done = subprocess.run(self.argv(on, *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=240)
        ended = Ended(done.returncode, done.stdout, done.stderr)
        assert not check or ended.code == 0, f"{on}: {words}: {ended}"
        return ended

    def drover(self, on: str, *words: object) -> Ended:
        return self.run(on, "drover", *words, check=False)

    def virsh(self, on: str, *words: object, check: bool = True) -> str:
        return self.run(on, "virsh", "-c", "qemu:///system", *words, check=check).out.strip()

    # ---- processes and what is left over ----

    def pids(self, on: str, name: str) -> list[int]:
        """Processes of a host by name, as numbered outside."""
        init = host.pid_of(self.name, on)
        inside = os.stat(f"/proc/{init}/ns/pid").st_ino
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if (entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().strip() == name
                        and os.stat(f"/proc/{entry}/ns/pid").st_ino == inside):
                    found.append(int(entry))
        return found

    def qemu(self, on: str, vm: str) -> int:
        """The one that runs the VM there."""
        pid, = (pid for pid in self.pids(on, "qemu-system-x86")
                if f"guest={vm},".encode() in Path(f"/proc/{pid}/cmdline").read_bytes())
        return pid

    def kill(self, on: str, name: str) -> None:
        """SIGKILL to every process of that name on the host; there must be one."""
        found = self.pids(on, name)
        assert found, f"there is no {name} on {on}"
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def sessions(self, on: str) -> list[str]:
        directory = self.path(on, "/run/drover/sessions")
        return sorted(d.name for d in directory.glob("*") if d.is_dir())

    def stored(self, on: str, bucket: str) -> list[str]:
        """
        Keys in droverd's store. It holds the file locked, so a copy is read; and one that was
        torn by a write is made again.
        """
        store = self.path(on, "/var/lib/drover/drover.db")
        with tempfile.TemporaryDirectory(prefix="drover-e2e-") as scratch:
            copy = Path(scratch) / store.name

            def read() -> Optional[list[list[str]]]:
                for suffix in ("", "-wal"):
                    file = store.with_name(store.name + suffix)
                    if file.exists():
                        copy.with_name(copy.name + suffix).write_bytes(file.read_bytes())
                if not copy.exists():
                    return [[]]
                database = sqlite3.connect(copy)
                try:
                    return [[row[0] for row in database.execute(
                        "SELECT key FROM document WHERE bucket = ?", (bucket,))]]
                except sqlite3.DatabaseError:
                    return None
                finally:
                    database.close()

            return wait_until(read, f"the store of {on} can be read")[0]

    def leftovers(self, on: str, but: tuple[str, ...] = ()) -> list[str]:
        """Everything on the host that comes from a move, but what belongs to these VMs."""
        left = [f"session directory {s}" for s in self.sessions(on)]
        left += [f"decision {path.name}" for path in self.path(on, "/run/drover/sessions").glob("*.fate")]
        left += [f"relay process {pid}" for pid in self.pids(on, "drover-relay")]
        left += [f"stand-in process {pid}" for pid in self.pids(on, "drover-stand-in")]
        left += [f"stored session {key}" for key in self.stored(on, "session")]
        domains = self.virsh(on, "list", "--all", "--name").split()
        left += [f"domain {d} ({self.virsh(on, 'domstate', d, check=False)})"
                 for d in domains if d not in but]
        left += [f"QEMU {pid}" for pid in self.pids(on, "qemu-system-x86")
                 if not any(f"guest={vm},".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
                            for vm in but)]
        left += [f"image {f}" for f in sorted(os.listdir(self.path(on, IMAGES)))
                 if not any(re.match(rf"{re.escape(vm)}[.-]", f) for vm in but)]
        return left

    def wait_clean(self, where: dict[str, tuple[str, ...]], seconds: float = 40) -> None:
        """Until each host has nothing but what belongs to its VMs, and to those that other tests keep."""
        found: dict[str, list[str]] = {}
        spare = tuple(self.kept - {vm for vms in where.values() for vm in vms})

        def clean() -> bool:
            found.update({on: self.leftovers(on, vms + spare) for on, vms in where.items()})
            return not any(found.values())

        try:
            wait_until(clean, "nothing is left over", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}: {found}") from None

    # ---- guests ----

    def guest(self, vm: str, on: str, **options: object) -> None:
        words = [w for k, v in options.items()
                 for w in ([f"--{k.replace('_', '-')}"] if v is True
                           else [f"--{k.replace('_', '-')}", str(v)])]
        self.lab("guest", vm, "--host", on, *words)

    def add_disk(self, vm: str, on: str, mib: int) -> bytes:
        """
        A second disk, vdb, full of random bytes, which are returned: something to copy for a
        while. The guest is started anew for it.
        """
        filling = os.urandom(mib << 20)
        volume = f"{vm}-data.raw"
        self.path(on, f"{IMAGES}/{volume}").write_bytes(filling)
        xml = self.virsh(on, "dumpxml", "--inactive", vm)
        disk = (f"<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>"
                f"<source file='{IMAGES}/{volume}'/><target dev='vdb' bus='virtio'/></disk>")
        definition = self.path(on, f"/run/{vm}.xml")
        definition.write_text(xml.replace("<devices>", "<devices>" + disk, 1))
        self.virsh(on, "destroy", vm)
        self.virsh(on, "define", f"/run/{vm}.xml")
        self.virsh(on, "start", vm)
        self.wait_answer(vm)
        return filling

    def wait_answer(self, vm: str, seconds: float = 60) -> None:
        assert guest.answers(self.name, names.guest_address(vm), seconds), f"{vm} is silent"

    def remove_guest(self, vm: str) -> None:
        for on in self.hosts:
            if host.is_up(self.name, on):
                self.virsh(on, "destroy", vm, check=False)
                self.virsh(on, "undefine", vm, "--nvram", check=False)
                for image in self.path(on, IMAGES).glob(f"{vm}[.-]*"):
                    image.unlink()
                self.virsh(on, "pool-refresh", "default", check=False)

    def where(self, vm: str) -> list[str]:
        """Hosts that know the VM, whether it runs or not."""
        return [on for on in self.hosts if host.is_up(self.name, on)
                and vm in self.virsh(on, "list", "--all", "--name", check=False).split()]

    def state(self, vm: str, on: str) -> str:
        return self.virsh(on, "domstate", vm)

    @contextlib.contextmanager
    def watching(self, vm: str, at: str = "lan", interval_ms: int = 5) -> Iterator["Watch"]:
        """
        A client that talks to the guest all the while; its findings are there afterwards. From
        inside the guest's own host (at="h1") no network is between the two.
        """
        watch = Watch(self, vm, at, interval_ms)
        try:
            yield watch
        except BaseException:
            watch.process.kill()
            watch.process.communicate()
            raise
        watch.finish()

    # ---- the API and moves ----

    def api(self, to: str, at: Optional[str] = None) -> Api:
        """As root on the node, from the node itself: it works also when its link is cut."""
        etc = self.path(to, "/etc/drover")
        pair = "operator" if (etc / "operator.crt").exists() else "node"
        return Api(self.netns(at or to), self.address(to), etc / "ca.crt",
                   (etc / f"{pair}.crt", etc / f"{pair}.key"))

    def job(self, job: str) -> dict[str, Any]:
        return self.api(job.rpartition("-")[0]).get(f"/v1/jobs/{job}")

    def begin(self, vm: str, source: str, target: Optional[str], *options: str) -> "Move":
        return Move(self, vm, source, target, options)

    def move(self, vm: str, source: str, target: str) -> dict[str, Any]:
        """A move that must succeed; returns its report."""
        ended = self.drover(source, "migrate", vm, target, "--json")
        assert ended.code == 0, ended
        report: dict[str, Any] = ended.json()
        assert report["outcome"] == "done", report
        return report


class Watch:
    """A running witness client, and after its end what it saw."""

    def __init__(self, lab: Lab, vm: str, at: str, interval_ms: int) -> None:
        from drover_lab import tools

        self.scratch = tempfile.TemporaryDirectory(prefix="drover-e2e-")
        self.seen: dict[str, Any] = {}
        self.stop = Path(self.scratch.name) / "stop"
        ready = Path(self.scratch.name) / "ready"
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.netns(at), str(tools.own("witness")),
             names.guest_address(vm), "--interval-ms", str(interval_ms), "--until-file",
             str(self.stop), "--ready-file", str(ready), "--verify-after"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: ready.exists() or self.process.poll() is not None, f"{vm} answers")

    def finish(self) -> None:
        self.stop.touch()
        out, err = self.process.communicate(timeout=150)
        self.scratch.cleanup()
        assert out, f"the witness's client: {err}"
        self.seen = json.loads(out)

    def assert_unharmed(self) -> None:
        """One copy, not booted anew, all memory right, no acknowledged write lost."""
        seen = self.seen
        assert not seen["split_brain"], seen
        assert len(seen["boots"]) == 1, seen["boots"]
        assert seen["verified"], seen
        assert seen["memory"]["errors"] == 0, seen["memory"]
        if seen["disk"]:
            assert seen["disk"]["lost"] == 0, seen["disk"]
            assert seen["disk"]["damaged"] == 0, seen["disk"]
            assert seen["disk"]["errors"] == 0, seen["disk"]

    def assert_never_away(self) -> None:
        """
        Every question was answered, but the few that were on their way at the end. To be used
        with at=the guest's host, where no network can lose any.
        """
        assert self.seen["sent"] - self.seen["answered"] < 100, self.seen
        assert self.seen["tcp"]["connections_lost"] == 0, self.seen["tcp"]


class Move:
    """A `drover migrate` that runs; its job is looked at from its source."""

    def __init__(self, lab: Lab, vm: str, source: str, target: Optional[str],
                 options: tuple[str, ...]) -> None:
        self.lab, self.vm, self.source, self.target = lab, vm, source, target
        before = set(self._jobs())
        words = ["drover", "migrate", vm, *([target] if target else []), "--json", *options]
        self.process = subprocess.Popen(lab.argv(source, *words), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        new = wait_until(lambda: set(self._jobs()) - before or self.process.poll() is not None,
                         f"a job for {vm}")
        if new is True:
            raise AssertionError(f"migrate ended at once: {self.wait()}")
        self.job: str = new.pop()

    def _jobs(self) -> list[str]:
        return [job["id"] for job in self.lab.api(self.source).get("/v1/jobs")["jobs"]
                if job["vm"] == self.vm]

    def view(self) -> dict[str, Any]:
        return self.lab.job(self.job)

    def until(self, *states: str, wire_bytes: int = 0) -> dict[str, Any]:
        """Until it is in one of these states and so much of it is on the wire."""
        api = self.lab.api(self.source)
        revision = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            job = api.get(f"/v1/jobs/{self.job}?after={revision}&wait_ms=5000")
            revision = job["revision"]
            progress = job["progress"] or {}
            if job["state"] in states and progress.get("wire_bytes", 0) >= wire_bytes:
                return job
            assert not job["ended"], f"the move was over too early: {job}"
        raise AssertionError(f"the move did not get to {states}: {job}")

    def wait(self, seconds: float = 120) -> Ended:
        out, err = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, out, err)
