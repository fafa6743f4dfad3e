# SPDX-License-Identifier: Apache-2.0
"""An etcd that gets full, and has room again: by its gateway, as any client of it."""
import base64
import http.client
import json
import os
from typing import Any

from drover_lab import etcd, names, net


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


def ask(lab: str, path: str, body: dict[str, Any], member: str = "e1") -> dict[str, Any]:
    def post() -> dict[str, Any]:
        connection = http.client.HTTPConnection(etcd.address(member), etcd.PORT, timeout=30)
        connection.request("POST", f"/v3/{path}", json.dumps(body))
        return json.loads(connection.getresponse().read())

    return net.call_in(names.lan_netns(lab), post)


def fill(lab: str, most: int = 200) -> bool:
    """Junk into etcd, 1 MiB each, until it refuses. Whether it did."""
    for _ in range(most):
        body = {"key": b64(b"/junk/" + os.urandom(6).hex().encode()), "value": b64(os.urandom(1 << 20))}
        if "error" in ask(lab, "kv/put", body):
            return True
    return False


def make(lab: str) -> None:
    """Room: what docs/store.rst says."""
    done = ask(lab, "kv/deleterange", {"key": b64(b"/junk/"), "range_end": b64(b"/junk0")})
    ask(lab, "kv/compaction", {"revision": done["header"]["revision"], "physical": True})
    for member in etcd.MEMBERS:
        ask(lab, "maintenance/defragment", {}, member)
    for alarm in ask(lab, "maintenance/alarm", {"action": "GET"}).get("alarms", []):
        ask(lab, "maintenance/alarm", {"action": "DEACTIVATE", **alarm})
