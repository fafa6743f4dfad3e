# SPDX-License-Identifier: Apache-2.0
"""What may be said on the lab's command line, and what is answered to nonsense."""
import pytest
from conftest import lab

from drover_lab import guest, link, names
from drover_lab.errors import LabError


@pytest.mark.parametrize("text, bps", [("1gbit", 10**9), ("100mbit", 10**8), ("2.5gbit", 25 * 10**8),
                                       ("64kbit", 64000), ("1GBIT", 10**9), ("none", None),
                                       ("0", None)])
def test_rate(text, bps):
    assert link.parse_rate(text) == bps


@pytest.mark.parametrize("text", ["", "fast", "1", "-1gbit", "1gb", "1bit", "1gbit ", "nan"])
def test_no_rate(text):
    with pytest.raises(LabError, match="is not understood"):
        link.parse_rate(text)


@pytest.mark.parametrize("text, ms", [("10ms", 10), ("500us", 0.5), ("0.1s", 100), ("0", 0),
                                      ("none", 0)])
def test_delay(text, ms):
    assert link.parse_delay(text) == ms


@pytest.mark.parametrize("text", ["", "10", "-1ms", "11s", "soon"])
def test_no_delay(text):
    with pytest.raises(LabError, match="is not understood"):
        link.parse_delay(text)


@pytest.mark.parametrize("text, percent", [("1%", 1), ("0.5", 0.5), ("100%", 100), ("none", 0)])
def test_loss(text, percent):
    assert link.parse_loss(text) == percent


@pytest.mark.parametrize("text", ["", "101%", "-1", "much"])
def test_no_loss(text):
    with pytest.raises(LabError, match="is not understood"):
        link.parse_loss(text)


@pytest.mark.parametrize("text, size", [("0", 0), ("256M", 256 << 20), ("1G", 1 << 30),
                                        ("1GiB", 1 << 30), ("1048576", 1 << 20)])
def test_size(text, size):
    assert guest.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "512K", "-1G", "G"])
def test_no_size(text):
    with pytest.raises(LabError, match="is not understood"):
        guest.parse_size(text)


@pytest.mark.parametrize("name", ["", "A", "1a", "a/b", "..", "a" * 25, "a b", "-a"])
def test_no_lab_name(name):
    with pytest.raises(LabError, match="not allowed"):
        names.check_lab(name)


def test_netns_of_other_lab():
    assert names.netns_of_lab("a", "a-h1") and names.netns_of_lab("a", "a-lan")
    assert not names.netns_of_lab("a", "a-h1-lan") and not names.netns_of_lab("a", "a-b-h1")


@pytest.mark.parametrize("argv, message", [
    (["up", "Bad"], "not allowed"),
    (["up", "good", "--rate", "fast"], "rate 'fast' is not understood"),
    (["up", "good", "--hosts", "0"], "1 to 64 hosts"),
    (["down", "nosuchlab"], "there is no lab 'nosuchlab'"),
    (["run", "nosuchlab", "h1", "--", "true"], "there is no lab 'nosuchlab'"),
    (["guest", "nosuchlab", "vm", "--host", "h1"], "there is no lab 'nosuchlab'"),
    (["link", "nosuchlab", "h1", "--down"], "there is no lab 'nosuchlab'"),
])
def test_refusals(argv, message):
    done = lab(*argv, check=False)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "list", "virsh", "drover", "run", "link", "guest",
                                     "kill", "boot", "service", "witness", "path"])
def test_help(command):
    assert command in lab(command, "--help").stdout


def test_bad_usage():
    assert lab("link", "a", "h1", "--up", "--down", check=False).returncode == 2
    assert lab("nonsense", check=False).returncode == 2
