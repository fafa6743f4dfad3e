# SPDX-License-Identifier: Apache-2.0
"""The lab's command line."""
import argparse
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from . import clock, drover, etcd, guest, host, link, names, net, process, state, tools
from .errors import LabError

DESCRIPTION = """\
Virtual hosts on one machine, to try Drover and to test it. Each has its own network,
processes, directories, libvirtd and droverd. Hosts are called h1, h2, ...; any number of
labs can be up side by side. Must be run as root."""
EPILOG = """\
example:
  lab up demo --rate 1gbit            two hosts, 1 Gbit/s links
  lab guest demo web1 --host h1       a guest that answers, works and checks itself
  lab drover demo migrate web1 h2     move it
  lab witness demo web1 --verify      ask it whether it lost anything
  lab down demo

environment:
  DROVER_BUILD      meson build directory with Drover's programs (default: build/ here)
  DROVER_LAB_DIR    where labs are kept (default: /var/lib/drover-lab)
  DROVER_LAB_CACHE  kernel, initramfs and the like (default: /var/cache/drover-lab)
  DROVER_LAB_ACCEL  kvm, tcg or auto (default: auto, KVM if a guest really boots under it)
exit codes: 0 done, 1 failed, 2 bad usage; run, virsh, drover and witness: the program's own"""


def do_up(args: argparse.Namespace) -> None:
    names.check_lab(args.name)
    if not 1 <= args.hosts <= names.MAX_HOSTS:
        raise LabError(f"--hosts {args.hosts}: a lab has 1 to {names.MAX_HOSTS} hosts")
    settings = link.new(link.parse_rate(args.rate), link.parse_delay(args.delay))
    hosts = names.host_names(args.hosts)
    clocks = clock.parse(args.clock, hosts)
    if not args.no_drover:
        for program in tools.DROVER:
            tools.drover(program)
    tools.own("lab-init")
    if state.exists(args.name):
        raise LabError(f"there is a lab '{args.name}' already: `lab down {args.name}` removes it")
    state.base_dir().mkdir(parents=True, exist_ok=True)
    state.lab_dir(args.name).mkdir()
    state.save(args.name, {"hosts": {h: {"link": dict(settings), "clock_s": clocks[h]} for h in hosts},
                           "guests": {}})
    net.create_lan(args.name)
    if args.etcd:
        etcd.start(args.name)
    for name in hosts:
        host.create_disks(args.name, name, hosts)
    in_parallel(lambda name: host.start(args.name, name), hosts)
    if not args.no_drover:
        drover.make_cluster(args.name, hosts, etcd.place() if args.etcd == "store" else None)
    print(f"lab {args.name} is up: " +
          ", ".join(f"{h} {names.host_address(h)}" for h in hosts))


def in_parallel(work: Any, items: list[str]) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(work, items))  # list() raises the first error


def do_down(args: argparse.Namespace) -> None:
    name = names.check_lab(args.name)
    if not state.exists(name) and not process.of_lab(name, []):
        raise LabError(f"there is no lab '{name}': `lab list` shows those that are")
    spaces = state.netns_names(name)
    for _ in range(10):  # what was being started while we looked is found the next time
        left = process.of_lab(name, spaces)
        if not left:
            break
        process.kill_and_wait(left)
    else:
        raise LabError(f"processes of lab '{name}' keep coming back: {left}")
    for netns in spaces:
        net.delete_netns(netns)
    state.release_mount_points(name)
    state.remove(name)


def lab_summary(name: str) -> dict[str, Any]:
    try:
        data = state.load(name)
    except LabError as e:
        return {"name": name, "broken": str(e), "hosts": []}
    found = []
    for h, intent in data["hosts"].items():
        up = host.is_up(name, h)
        found.append({"name": h, "up": up, "address": names.host_address(h),
                      "link": intent["link"], "guests": guest.running(name, h) if up else []})
    return {"name": name, "hosts": found}


def do_list(args: argparse.Namespace) -> None:
    labs = [lab_summary(name) for name in state.all_labs()]
    if args.json:
        print(json.dumps(labs, indent=2))
        return
    for lab in labs:
        print(f"{lab['name']}" + (f"  ({lab['broken']})" if "broken" in lab else ""))
        for h in lab["hosts"]:
            guests = " ".join(h["guests"]) or "-"
            print(f"  {h['name']:<4} {'up' if h['up'] else 'down':<5} {h['address']:<12} "
                  f"{link.describe(h['link'])}; guests: {guests}")


def replace_process(argv: list[str]) -> NoReturn:
    sys.stdout.flush()
    # Ctrl-C is for the program; who only waits for it (nsenter) must not die of it.
    # host.enter() gives the program itself the usual behaviour back.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed: install the packages in "
                       "lab/packages.txt") from None


def do_virsh(args: argparse.Namespace) -> None:
    replace_process(host.enter(args.name, args.host) + ["virsh", "-c", "qemu:///system", *args.rest])


def do_drover(args: argparse.Namespace) -> None:
    # Behind the lab's name argparse takes all words for drover's.
    if args.rest[:1] == ["--at"] and len(args.rest) > 1:
        args.at, args.rest = args.rest[1], args.rest[2:]
    at = args.at or next((h for h in state.load(args.name)["hosts"] if host.is_up(args.name, h)),
                         "h1")
    replace_process(host.enter(args.name, at) + [str(tools.drover("drover")), *args.rest])


def do_run(args: argparse.Namespace) -> None:
    rest = args.rest[1:] if args.rest[:1] == ["--"] else args.rest
    if not rest:
        raise LabError("no command: lab run NAME HOST -- COMMAND [ARGUMENT ...]")
    replace_process(host.enter(args.name, args.host) + rest)


def do_link(args: argparse.Namespace) -> None:
    state.check_host(args.name, args.host)
    with state.changed(args.name) as data:
        settings = data["hosts"][args.host]["link"]
        if args.rate is not None:
            settings["rate_bps"] = link.parse_rate(args.rate)
        if args.delay is not None:
            settings["delay_ms"] = link.parse_delay(args.delay)
        if args.loss is not None:
            settings["loss_percent"] = link.parse_loss(args.loss)
        if args.down or args.up:
            settings["down"] = args.down
        if host.is_up(args.name, args.host):
            link.apply(args.name, args.host, settings)
    print(json.dumps(settings) if args.json else f"{args.host}: {link.describe(settings)}")


def do_kill(args: argparse.Namespace) -> None:
    host.check_up(args.name, args.host)
    host.kill(args.name, args.host)


def do_boot(args: argparse.Namespace) -> None:
    state.check_host(args.name, args.host)
    if host.is_up(args.name, args.host):
        raise LabError(f"host {args.host} of lab '{args.name}' is up")
    host.start(args.name, args.host)
    drover.wait_if_joined(args.name, args.host)


def do_service(args: argparse.Namespace) -> None:
    answer = host.order(args.name, args.host,
                        "status" if args.verb == "status" else f"{args.verb} {args.service}")
    if args.verb == "status":
        services = dict(item.split("=") for item in answer.split())
        if args.service not in services:
            raise LabError(f"{args.host} has no service {args.service}: it has "
                           + ", ".join(services))
        status, pid = services[args.service].split(":")
        print(status, pid)
    elif args.verb in ("start", "restart") and args.service == "libvirtd":
        host.wait_for_libvirt(args.name, args.host)
    elif args.verb in ("start", "restart") and args.service == "droverd":
        drover.wait_for_port(args.name, args.host)


def do_etcd(args: argparse.Namespace) -> None:
    if args.verb == "status":
        etcd.check_member(args.name, args.member)
        print("running" if etcd.pid_of(args.name, args.member) else "stopped")
    elif args.verb == "start":
        etcd.start_member(args.name, args.member)
    else:
        etcd.stop_member(args.name, args.member)


def do_guest(args: argparse.Namespace) -> None:
    host.check_up(args.name, args.host)
    print_result(guest.create(args), args.json)


def print_result(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
    else:
        print(f"guest {result['name']} runs on {result['host']} ({result['accel']}), answers at "
              f"{result['address']} after {result['boot_s']:.1f} s")


def do_witness(args: argparse.Namespace) -> None:
    state.load(args.name)
    address = names.guest_address(names.check_guest(args.vm))
    replace_process(["ip", "netns", "exec", names.lan_netns(args.name),
                     str(tools.own("witness")), address, *args.rest])


def do_path(args: argparse.Namespace) -> None:
    state.check_host(args.name, args.host)
    print(host.root(args.name, args.host) if args.what == "root" else host.uri(args.name, args.host)
          if args.what == "uri" else state.host_dir(args.name, args.host))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lab", description=DESCRIPTION, epilog=EPILOG,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, work: Any, text: str, *positional: str) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=text, description=text)
        for argument in ("name", *positional):
            p.add_argument(argument, metavar=argument.upper())
        p.set_defaults(handler=work)
        return p

    p = command("up", do_up, "make a lab")
    p.add_argument("--hosts", type=int, default=2, metavar="N", help="how many (default 2)")
    p.add_argument("--rate", default="none", help="of each host's link, e.g. 1gbit")
    p.add_argument("--delay", default="none",
                   help="of each host's link in each direction, e.g. 10ms")
    p.add_argument("--clock", action="append", default=[], metavar="HOST=SECONDS",
                   help="its droverd and relays believe that it is so much later (or earlier, -SECONDS); "
                   "may be given for several hosts")
    p.add_argument("--no-drover", action="store_true", help="libvirt only")
    p.add_argument("--etcd", nargs="?", const="store", choices=["store", "beside"],
                   help="with an etcd of three members, where the cluster keeps its data "
                   "(“beside”: where it does not yet)")
    command("down", do_down, "remove a lab, also one that is only half there")
    p = commands.add_parser("list", help="all labs, their hosts and guests")
    p.add_argument("--json", action="store_true")
    p.set_defaults(handler=do_list)
    p = command("virsh", do_virsh, "run virsh on a host", "host")
    p.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    p = command("drover", do_drover, "run drover on a host (default: the first that is up)")
    p.add_argument("--at", metavar="HOST", help="on this host")
    p.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    p = command("run", do_run, "run any command on a host", "host")
    p.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    p = command("link", do_link, "change a host's link, or show it", "host")
    p.add_argument("--rate", help="e.g. 1gbit, 100mbit, none")
    p.add_argument("--delay", help="in each direction, e.g. 10ms, none")
    p.add_argument("--loss", help="of packets in each direction, e.g. 1%%, none")
    way = p.add_mutually_exclusive_group()
    way.add_argument("--down", action="store_true", help="cut it: packets vanish both ways")
    way.add_argument("--up", action="store_true", help="heal it")
    p.add_argument("--json", action="store_true")
    command("kill", do_kill, "a host dies at once, with all that runs on it", "host")
    command("boot", do_boot, "start a host that was killed", "host")
    p = command("service", do_service, "stop or start libvirtd or droverd on a host", "host")
    p.add_argument("service", choices=["libvirtd", "droverd"])
    p.add_argument("verb", choices=["start", "stop", "restart", "status"])
    p = command("etcd", do_etcd, "kill or start a member of the lab's etcd", "member")
    p.add_argument("verb", choices=["kill", "start", "status"])
    p = command("path", do_path, "where a host's files and logs are, and its libvirt URI", "host")
    p.add_argument("what", choices=["root", "logs", "uri"], nargs="?", default="root")
    p = command("witness", do_witness, "watch or ask a guest from the lab's switch "
                "(`lab witness NAME VM --help` says how)", "vm")
    p.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    guest.add_arguments(command("guest", do_guest, "make and start a witness guest", "vm"))
    return top


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    try:
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts: run it as root")
        args.handler(args)
        return 0
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
