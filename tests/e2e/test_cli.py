# SPDX-License-Identifier: Apache-2.0
"""The command line as a person at a terminal sees it, and as a script does."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from typing import Callable, Optional

import pytest

from conftest import VM, Guest
from lab import LAB, Lab, wait_until

CANCELLED = 6


class Terminal:
    """A program on a terminal of its own, with all that it has written."""

    def __init__(self, argv: list[str]) -> None:
        self.text = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ["LC_ALL"] = "C.UTF-8"
            os.execv(argv[0], argv)
        self.pid = pid

    def read_until(self, done: Optional[Callable[[], bool]] = None, seconds: float = 90) -> None:
        """Without a condition: to its end."""
        deadline = time.monotonic() + seconds
        while not done or not done():
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.text
            try:
                some = os.read(self.fd, 65536)
            except OSError:  # the other end is closed
                some = b""
            if not some:
                assert not done, f"ended too early: {self.text}"
                return
            self.text += some.decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)

    def end(self) -> int:
        self.read_until()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code

    def draws(self) -> list[str]:
        """What has stood on the living line, one after the other."""
        return re.findall(r"\r\x1b\[K([^\r\n\x1b]+)", self.text)


def on_terminal(lab: Lab, at: str, *words: str) -> Terminal:
    return Terminal([str(LAB), "drover", lab.name, "--at", at, *words])


def test_the_living_line(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    terminal = on_terminal(lab, source, "migrate", VM, target)
    assert terminal.end() == 0, terminal.text
    draws = terminal.draws()
    percents = [float(p) for d in draws for p in re.findall(r"([0-9.]+) %", d)]
    assert len(set(percents)) > 3, draws
    assert percents == sorted(percents), "the bar never goes back"
    assert all(VM in d and len(d) < 80 for d in draws), draws
    for phase in ("copying disks", "copying memory"):
        assert any(phase in d for d in draws), draws
    assert any("B/s" in d for d in draws) and any("left" in d for d in draws)
    # Living, then gone: the report alone is left, and the cursor is back.
    last = terminal.text.rpartition("\x1b[K")[2]
    assert f"{VM} moved from {source} to {target}" in last, terminal.text
    assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h") > 0
    slow.assert_clean(on=target)


def test_ctrl_c_cancels(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    terminal = on_terminal(lab, source, "migrate", VM, target)
    terminal.read_until(lambda: "copying memory" in terminal.text)
    terminal.press(b"\x03")
    assert terminal.end() == CANCELLED, terminal.text
    assert "cancelled" in terminal.text and f"goes on at {source}" in terminal.text
    assert lab.drover(source, "jobs", "--json").json()["jobs"][-1]["report"]["outcome"] \
        == "cancelled"
    slow.assert_clean(on=source)


def test_ctrl_c_of_a_script_cancels_too(lab: Lab, slow: Guest) -> None:
    source = slow.host
    move = lab.begin(VM, source, slow.other)
    move.until("copying-memory")
    for pid in lab.pids(source, "drover"):
        os.kill(pid, signal.SIGINT)
    ended = move.wait()
    assert ended.code == CANCELLED, ended
    assert ended.json()["outcome"] == "cancelled"
    slow.assert_clean(on=source)


def test_without_a_terminal(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    ended = lab.drover(source, "migrate", VM, target)
    assert ended.code == 0, ended
    assert "\x1b" not in ended.out + ended.err and "\r" not in ended.out + ended.err
    # Progress is for the eye: stdout has the report alone.
    assert ended.out.startswith(f"{VM} moved from {source} to {target} in ")
    lines = ended.err.splitlines()
    assert len(lines) >= 3 and all(line.startswith(f"{VM} {source} -> {target}: ")
                                   for line in lines), ended.err
    percents = [float(p) for p in re.findall(r"([0-9.]+) %", ended.err)]
    assert percents == sorted(percents) and percents[-1] == 100


def test_quiet(lab: Lab, web: Guest) -> None:
    ended = lab.drover(web.host, "migrate", VM, web.other, "--quiet")
    assert ended.code == 0 and ended.err == "", ended


def test_json_is_one_object(lab: Lab, web: Guest) -> None:
    ended = lab.drover(web.host, "migrate", VM, web.other, "--json")
    decoder = json.JSONDecoder()
    document, end = decoder.raw_decode(ended.out)
    assert isinstance(document, dict) and ended.out[end:].strip() == ""


def test_no_wait_and_follow(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    begun = lab.drover(source, "migrate", VM, target, "--no-wait")
    assert begun.code == 0 and re.fullmatch(rf"{source}-\d+\n", begun.out), begun
    job = begun.out.strip()
    running = lab.drover(target, "job", job, "--json").json()
    assert not running["ended"] and running["report"] is None
    assert lab.drover(target, "vm", "list", "--json").json()["vms"][0]["job"] == job
    lab.rate("none")
    followed = lab.drover(target, "job", job, "--follow")
    assert followed.code == 0 and f"{VM} moved from {source} to {target}" in followed.out
    slow.assert_clean(on=target)


def test_events(lab: Lab, slow: Guest) -> None:
    """The event stream of a job ends with it, and what it tells only ever gets newer."""
    source, target = slow.host, slow.other
    job = lab.drover(source, "migrate", VM, target, "--no-wait").out.strip()
    etc = "/etc/drover"
    done = lab.run(target, "curl", "-sSN", "--max-time", "100", "--cacert", f"{etc}/ca.crt",
                   "--cert", f"{etc}/node.crt", "--key", f"{etc}/node.key", "--resolve",
                   f"{target}.drover:7443:{lab.address(target)}",
                   f"https://{target}.drover:7443/v1/events?job={job}")
    seen = [json.loads(line[len("data: "):]) for line in done.out.splitlines()
            if line.startswith("data: ")]
    assert len(seen) > 3 and {e["id"] for e in seen} == {job}
    revisions = [e["revision"] for e in seen]
    assert revisions == sorted(set(revisions))
    assert seen[-1]["ended"] and seen[-1]["report"]["outcome"] == "done"


def test_doctor(lab: Lab, web: Guest) -> None:
    for on in lab.hosts:
        ended = lab.drover(on, "doctor", "--json")
        assert ended.code == 0, ended
        findings = ended.json()
        names = {f["name"] for f in findings}
        assert {"droverd", "port", "identity", "node h1", "node h2", "cluster's store"} <= names
        for finding in findings:
            assert finding["state"] in ("ok", "warning"), finding
            assert (finding["remedy"] is None) == (finding["state"] == "ok"), finding
        assert lab.drover(on, "doctor").code == 0


def test_doctor_finds_what_is_missing(lab: Lab, web: Guest) -> None:
    on = web.other
    lab.service(on, "libvirtd", "stop")
    lab.service(on, "droverd", "stop")
    try:
        ended = lab.drover(on, "doctor", "--json")
        assert ended.code == 1, ended
        problems = {f["name"]: f for f in ended.json() if f["state"] == "problem"}
        assert "droverd" in problems and any("libvirt" in name for name in problems), problems
        assert all(f["remedy"] for f in problems.values())
    finally:
        lab.service(on, "libvirtd", "start")
        lab.service(on, "droverd", "start")
    assert lab.drover(on, "doctor").code == 0


def test_lists(lab: Lab, web: Guest) -> None:
    for on in lab.hosts:
        nodes = lab.drover(on, "node", "list", "--json").json()["nodes"]
        assert [n["name"] for n in nodes] == lab.hosts
        for node in nodes:
            assert node["state"] == "up" and node["address"] == lab.address(node["name"])
            assert node["memory_free_bytes"] <= node["memory_bytes"]
            assert node["vms"] == (1 if node["name"] == web.host else 0)
        (vm,) = lab.drover(on, "vm", "list", "--json").json()["vms"]
        assert (vm["name"], vm["node"], vm["state"], vm["persistent"], vm["memory_bytes"]) == \
            (VM, web.host, "running", True, 160 << 20)
        assert VM in lab.drover(on, "vm", "list").out
        assert all(h in lab.drover(on, "node", "list").out for h in lab.hosts)
    version = lab.drover("h1", "version")
    assert version.code == 0 and version.out.startswith("drover ")


@pytest.mark.parametrize("words", [["--server", "10.77.0.99"], ["--server", "10.77.0.11:7"]])
def test_nobody_there(lab: Lab, words: list[str]) -> None:
    ended = lab.drover("h1", *words, "vm", "list")
    assert ended.code == 5 and words[1].split(":")[0] in ended.err, ended


def test_a_full_disk_of_stdout(lab: Lab, web: Guest) -> None:
    """A result that could not be written is no success."""
    done = subprocess.run(lab.argv("h1", "sh", "-c", "drover vm list > /dev/full"),
                          capture_output=True, text=True)
    assert done.returncode not in (0, 127), done


def test_leaving_droverd_behind(lab: Lab, slow: Guest) -> None:
    """While a move runs droverd may be restarted by its supervisor; whoever follows goes on."""
    source, target = slow.host, slow.other
    move = lab.begin(VM, source, target)
    move.until("copying-disks", "copying-memory")
    lab.service(source, "droverd", "restart")
    lab.rate("none")
    ended = move.wait()
    assert ended.code == 0 and ended.json()["outcome"] == "done", ended
    wait_until(lambda: lab.where(VM) == [target], "it is there")
    slow.assert_clean(on=target)
