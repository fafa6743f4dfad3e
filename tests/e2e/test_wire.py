# SPDX-License-Identifier: Apache-2.0
"""What somebody who taps the link sees: TLS on port 7443, and the guest's own traffic."""
from capture import capturing, check_tls_records
from conftest import VM, Guest
from lab import IN_ETCD, PORT, Lab, etcd, names, wait_until


def test_only_tls_on_the_one_port(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    hosts = {lab.address(on) for on in lab.hosts}
    lab.rate("400mbit")  # no faster than the capture can follow
    with capturing(lab, source, aside={names.guest_mac(VM)}) as capture:
        # So that every connection begins before our eyes.
        for on in lab.hosts:
            lab.service(on, "droverd", "restart")
        wait_until(lambda: all(n["state"] == "up" for n in
                               lab.api(source).get("/v1/nodes")["nodes"]), "all nodes are up")
        report = lab.move(VM, source, target)
        assert lab.drover(target, "jobs").code == 0
    lab.rate("none")
    web.assert_clean(on=target)

    assert capture.others <= {"ARP"}, capture.others
    carried = 0
    # What nodes have to do with the cluster's store is between them and etcd.
    stores = set(map(etcd.address, etcd.MEMBERS)) if IN_ETCD else set()
    for (from_, sport, to, dport), stream in capture.streams.items():
        if {from_, to} & stores:
            continue
        assert {from_, to} <= hosts, f"TCP between {from_} and {to}"
        assert PORT in (sport, dport), f"TCP on ports {sport} and {dport}"
        if not stream.parts:
            continue
        if stream.begin < 0:
            continue  # of a droverd that was being ended when the capture began
        text = stream.bytes()
        assert check_tls_records(text, whole=False) > 0
        carried += len(text)
    # All of the move was among it, and nothing that the guest keeps can be read.
    assert carried >= report["wire_bytes"]
    needle = web.filling[1 << 20:][:64]
    for stream in capture.streams.values():
        assert not any(needle in part for part in stream.parts.values())
