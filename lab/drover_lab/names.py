# SPDX-License-Identifier: Apache-2.0
"""Names and addresses: everything that follows from a lab's, a host's or a guest's name."""
import hashlib
import re

from .errors import LabError

SWITCH_DEVICE = "br0"       # the bridge in NAME-lan, to which all uplinks go
CLIENT_ADDRESS = "10.77.0.1"
PREFIX = 16
MAX_HOSTS = 64

LAB_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,23}")
GUEST_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_lab(name: str) -> str:
    if not LAB_PATTERN.fullmatch(name):
        raise LabError(f"lab name '{name}' is not allowed: use up to 24 small letters, digits "
                       "and '-', beginning with a letter")
    return name


def check_guest(name: str) -> str:
    if not GUEST_PATTERN.fullmatch(name):
        raise LabError(f"guest name '{name}' is not allowed: use up to 64 letters, digits, "
                       "'-', '_' and '.'")
    return name


def host_names(count: int) -> list[str]:
    return [f"h{i}" for i in range(1, count + 1)]


def host_number(host: str) -> int:
    if not re.fullmatch(r"h[1-9][0-9]?", host):
        raise LabError(f"'{host}' is not a host's name: hosts are called h1, h2, ...")
    return int(host[1:])


def host_address(host: str) -> str:
    return f"10.77.0.{10 + host_number(host)}"


def host_mac(host: str) -> str:
    return f"52:54:00:77:00:{10 + host_number(host):02x}"


def lan_netns(lab: str) -> str:
    return f"{lab}-lan"


def host_netns(lab: str, host: str) -> str:
    return f"{lab}-{host}"


def netns_of_lab(lab: str, netns: str) -> bool:
    """Whether this network namespace's name is one of this lab's."""
    return bool(re.fullmatch(re.escape(lab) + r"-(lan|h[1-9][0-9]?)", netns))


def guest_address(vm: str) -> str:
    """10.77.16.0 to 10.77.255.255 without the ends of each 256, by the name's digest."""
    digest = hashlib.sha256(vm.encode()).digest()
    return f"10.77.{16 + digest[0] % 240}.{1 + digest[1] % 254}"


def guest_mac(vm: str) -> str:
    digest = hashlib.sha256(vm.encode()).digest()
    return "52:54:00:" + ":".join(f"{b:02x}" for b in digest[2:5])
