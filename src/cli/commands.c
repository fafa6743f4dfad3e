/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: what there is, and what help says about it. See args.h. */
#include "cli/cli.h"
#include "cli/cmd-backup.h"
#include "cli/cmd-content.h"
#include "cli/cmd-doctor.h"
#include "cli/cmd-evacuate.h"
#include "cli/cmd-help.h"
#include "cli/cmd-init.h"
#include "cli/cmd-job.h"
#include "cli/cmd-link.h"
#include "cli/cmd-migrate.h"
#include "cli/cmd-node-label.h"
#include "cli/cmd-node.h"
#include "cli/cmd-plan.h"
#include "cli/cmd-policy.h"
#include "cli/cmd-report.h"
#include "cli/cmd-roll.h"
#include "cli/cmd-store.h"
#include "cli/cmd-token.h"
#include "cli/cmd-version.h"
#include "cli/cmd-vm-goals.h"
#include "cli/cmd-vm.h"

const drv_option drv_global_options[] = {
    {"json", 0, DRV_OPTION_FLAG, NULL, "write the result as JSON"},
    {"server", 0, DRV_OPTION_TEXT, "ADDR[:PORT]", "the droverd to ask, instead of this host's\n(or set DROVER_SERVER)"},
    {"token-file", 0, DRV_OPTION_TEXT, "FILE", "an operator's token (- is stdin)\n(or set DROVER_TOKEN)"},
    {"credential", 0, DRV_OPTION_TEXT, "FILE.crt", "an operator's certificate; its key is FILE.key"},
    {"ca", 0, DRV_OPTION_TEXT, "FILE", "the certificate of the cluster's authority"},
    {"help", 'h', DRV_OPTION_FLAG, NULL, "say how this is used"},
    {"version", 0, DRV_OPTION_FLAG, NULL, "say which drover this is"},
    {NULL},
};

/* clang-format off */
/* Of etcd: for init, and for moving the store. */
#define STORE_TLS \
    {"store-ca", 0, DRV_OPTION_TEXT, "FILE", "who signed etcd's certificates"},                    \
    {"store-cert", 0, DRV_OPTION_TEXT, "FILE", "what the nodes show to etcd"},                     \
    {"store-key", 0, DRV_OPTION_TEXT, "FILE", "its key"}
/* clang-format on */

static const drv_option init_options[] = {
    {"name", 0, DRV_OPTION_TEXT, "NODE", "this node's name (default: the host's short name)"},
    {"address", 0, DRV_OPTION_TEXT, "IP",
     "where the other nodes reach this one\n(default: the address that packets leave from)"},
    {"port", 0, DRV_OPTION_PORT, "N", "the port of this node's droverd (default: 7443)"},
    {"store", 0, DRV_OPTION_TEXT, "URL",
     "keep what is the cluster's in etcd, as\netcd://h1:2379,h2:2379,h3:2379 (default: on this host)"},
    STORE_TLS,
    {NULL},
};

static const drv_option join_options[] = {
    {"token", 0, DRV_OPTION_TEXT, "T",
     "the token of “drover token create”; other users of\nthis host can see it: better --token-file"},
    {"token-file", 0, DRV_OPTION_TEXT, "FILE", "a file that holds the token (- is stdin)"},
    {"name", 0, DRV_OPTION_TEXT, "NODE", "this node's name (default: the host's short name)"},
    {"address", 0, DRV_OPTION_TEXT, "IP",
     "where the other nodes reach this one\n(default: the address that packets leave from)"},
    {"port", 0, DRV_OPTION_PORT, "N", "the port of this node's droverd (default: 7443)"},
    {NULL},
};

static const drv_option token_create_options[] = {
    {"operator", 0, DRV_OPTION_TEXT, "NAME", "a token for a person or a program, not for a node"},
    {"ttl", 0, DRV_OPTION_DURATION, "TIME", "how long it is good (default: 1h)"},
    {NULL},
};

/* clang-format off */
/* Given with a move, kept with a VM, kept as a policy. */
#define GOALS \
    {"max-pause", 0, DRV_OPTION_DURATION, "TIME", "how long the VM may stand still, as 200ms"},    \
    {"max-time", 0, DRV_OPTION_TIME_LIMIT, "TIME",                                                 \
     "how long the move may take, as 5m or none: after that\nit is given up, or goes on by post-copy"}, \
    {"bandwidth", 0, DRV_OPTION_RATE_LIMIT, "RATE",                                                \
     "use at most this much of the link, as 500mbit or none"},                                     \
    {"post-copy", 0, DRV_OPTION_TEXT, "WHEN",                                                      \
     "“never” (the default) or “if-needed”: let the VM run at\nits target before all its memory is there, if nothing\nelse gets it there"}

/* Where VMs are and when they move, kept with a VM or as a policy. */
#define RULES \
    {"priority", 0, DRV_OPTION_TEXT, "N",                                                          \
     "of those that leave a node the higher ones go first\nand get the room there is (-1000 to 1000; usually 0)"}, \
    {"depends-on", 0, DRV_OPTION_TEXT, "VM[,VM…]", "these move before it; or none"},                \
    {"apart", 0, DRV_OPTION_TEXT, "GROUP[,GROUP…]", "no two VMs of a group are on one node; or none"}, \
    {"together", 0, DRV_OPTION_TEXT, "GROUP[,GROUP…]", "all VMs of a group are on one node; or none"}, \
    {"node-label", 0, DRV_OPTION_TEXT, "KEY=VALUE[,…]", "its node must have these labels; or none"}

#define MOVE_OPTIONS \
    {"method", 0, DRV_OPTION_TEXT, "METHOD",                                                             \
     "“auto” (the default), “pre-copy”, “post-copy” (at\nonce) or “hybrid” (after one pass)"},            \
    {"disks", 0, DRV_OPTION_TEXT, "HOW", "auto (by what both hosts see), copy or shared"},              \
    {"target-pool", 0, DRV_OPTION_TEXT, "POOL", "make the images in this storage pool of the target"},  \
    {"disk-seed", 0, DRV_OPTION_PAIR, "DISK=IMAGE",                                                      \
     "the target has DISK in an older state: a path, or\nPOOL/VOLUME; may be repeated"},                 \
    {"map-network", 0, DRV_OPTION_PAIR, "A=B", "bridge or network A is called B there; may be repeated"}, \
    {"offline", 0, DRV_OPTION_FLAG, NULL, "move a VM that is shut off: definition, disks, state"},      \
    {"storage-only", 0, DRV_OPTION_FLAG, NULL, "only its disks, to --target-pool of the same node"}
/* clang-format on */

static const drv_option migrate_options[] = {
    GOALS,
    MOVE_OPTIONS,
    {"check", 0, DRV_OPTION_FLAG, NULL,
     "only look whether it could be done, with all that is\nagainst it; nothing is changed"},
    {"no-wait", 0, DRV_OPTION_FLAG, NULL, "begin, print the job's id and do not wait"},
    {"quiet", 'q', DRV_OPTION_FLAG, NULL, "show no progress, only the end"},
    {NULL},
};

static const drv_option vm_goals_options[] = {
    GOALS,
    RULES,
    {"policy", 0, DRV_OPTION_TEXT, "NAME", "what it does not say itself is as this policy has it"},
    {"clear", 0, DRV_OPTION_FLAG, NULL, "forget all that it has first"},
    {NULL},
};

static const drv_option node_label_options[] = {
    {"site", 0, DRV_OPTION_TEXT, "NAME",
     "where it stands: VMs go to a node of the same site\nrather than to another one"},
    {"clear", 0, DRV_OPTION_FLAG, NULL, "forget all labels and the site first"},
    {NULL},
};

static const drv_option vm_owner_options[] = {
    {"clear", 0, DRV_OPTION_FLAG, NULL, "it is of nobody in particular: “cluster”"},
    {NULL},
};

static const drv_option content_prune_options[] = {
    {"all", 0, DRV_OPTION_FLAG, NULL, "everything, as far as nothing else is said"},
    {"older-than", 0, DRV_OPTION_DURATION, "TIME", "what was not used for so long, as 1d"},
    {"vm", 0, DRV_OPTION_TEXT, "VM", "what sessions of this VM have left: its name or UUID"},
    {"owner", 0, DRV_OPTION_TEXT, "NAME", "what belongs to this owner"},
    {"node", 0, DRV_OPTION_TEXT, "NODE", "only on this node"},
    {NULL},
};

static const drv_option policy_set_options[] = {
    GOALS,
    RULES,
    {"clear", 0, DRV_OPTION_FLAG, NULL, "forget all that it has first"},
    {NULL},
};

static const drv_option policy_delete_options[] = {
    {"force", 0, DRV_OPTION_FLAG, NULL, "although VMs name it: they cannot be moved then"},
    {NULL},
};

static const drv_option job_options[] = {
    {"follow", 'f', DRV_OPTION_FLAG, NULL, "show its progress until it ends"},
    {NULL},
};

/* clang-format off */
#define SHARED_LIMITS \
    {"per-node", 0, DRV_OPTION_COUNT, "N",                                                              \
     "at most N moves touch a host at once (default: 2;\n1 where it has less than 4 processors)"},      \
    {"per-link", 0, DRV_OPTION_COUNT, "N", "at most N moves share a link (default: 4)"},                \
    {"budget", 0, DRV_OPTION_RATE_LIMIT, "RATE",                                                        \
     "what all moves on a link may use of it together, as\n500mbit (default: what it has)"}
/* clang-format on */

#define WAITING                                                                                                        \
    {"no-wait", 0, DRV_OPTION_FLAG, NULL, "begin, print the operation's id and do not wait"},                          \
    {                                                                                                                  \
        "quiet", 'q', DRV_OPTION_FLAG, NULL, "show no progress, only the end"                                          \
    }

#define YES                                                                                                            \
    {                                                                                                                  \
        "yes", 'y', DRV_OPTION_FLAG, NULL, "do not ask whether to do it"                                               \
    }

#define LIMITS SHARED_LIMITS, WAITING

static const drv_option evacuate_options[] = {YES, LIMITS, {NULL}};

static const drv_option plan_migrate_options[] = {GOALS, MOVE_OPTIONS, {NULL}};

static const drv_option plan_options[] = {
    SHARED_LIMITS,
    {"fleet", 0, DRV_OPTION_TEXT, "FILE",
     "plan for the fleet in this file instead of asking\ndroverd; such a plan cannot be applied"},
    {NULL},
};

static const drv_option node_resume_options[] = {
    {"bring-back", 0, DRV_OPTION_FLAG, NULL, "bring back the VMs that left for the maintenance"},
    {"leave", 0, DRV_OPTION_FLAG, NULL, "they stay where they are for good"},
    LIMITS,
    {NULL},
};

static const drv_option roll_options[] = {
    {"exec", 0, DRV_OPTION_TEXT, "CMD",
     "run by sh on this host, when the node is empty, with\nDROVER_NODE and DROVER_ADDRESS set"},
    {"reboot", 0, DRV_OPTION_FLAG, NULL, "CMD makes the host start anew: wait until it has"},
    {"wait", 0, DRV_OPTION_DURATION, "TIME", "how long it may take to be well again (default: 15m)"},
    {"leave", 0, DRV_OPTION_FLAG, NULL, "do not bring the VMs back"},
    YES,
    SHARED_LIMITS,
    {"quiet", 'q', DRV_OPTION_FLAG, NULL, "show no progress of the moves"},
    {NULL},
};

static const drv_option jobs_options[] = {
    {"watch", 'w', DRV_OPTION_FLAG, NULL, "show them again when they change, until Ctrl-C"},
    {NULL},
};

static const drv_option apply_options[] = {
    YES,
    {"no-wait", 0, DRV_OPTION_FLAG, NULL, "begin, print the id and do not wait"},
    {"quiet", 'q', DRV_OPTION_FLAG, NULL, "show no progress, only the end"},
    {NULL},
};
static const drv_option store_move_options[] = {STORE_TLS, {NULL}};

static const drv_option none[] = {{NULL}};

const drv_command drv_commands[] = {
    {"init", "", 0, 0, "Make a cluster with this host as its first node",
     "Makes the cluster's certificate authority, this node's certificate and an\n"
     "operator's, all in /etc/drover. droverd need not run; start it afterwards.",
     "  drover init\n"
     "  drover init --name rack1 --address 10.0.0.11\n"
     "  drover init --store etcd://h1:2379,h2:2379,h3:2379 --store-ca ca.crt",
     init_options, drv_cmd_init},
    {"join", "ADDRESS[:PORT]", 1, 1, "Make this host a node of a cluster",
     "ADDRESS is any node of the cluster. The token comes from “drover token create”\n"
     "there; it is good for one node and carries the fingerprint of the cluster's\n"
     "authority: nothing is sent to a host that is not of that cluster. droverd need\n"
     "not run here; start it afterwards.",
     "  drover join 10.0.0.11 --token-file /root/token\n"
     "  ssh node1 drover token create | drover join node1 --token-file -",
     join_options, drv_cmd_join},
    {"token create", "", 0, 0, "Make a token that lets a host join, or an operator in",
     "The token is on the last line of stdout, alone; it is shown this one time.\n"
     "Without --operator it lets one host join the cluster.",
     "  drover token create\n"
     "  drover token create --ttl 10m\n"
     "  drover token create --operator alice --ttl 30d",
     token_create_options, drv_cmd_token_create},
    {"token list", "", 0, 0, "List the tokens that are good", NULL, "  drover token list", none, drv_cmd_token_list},
    {"token revoke", "ID", 1, 1, "End a token, or an operator's certificates",
     "Tokens that were made with it end too. A node that has joined with it stays;\n"
     "“drover node revoke” is for that. Instead of ID: the file of an operator's\n"
     "certificate, or the SHA-256 of its key; all certificates of that key end.",
     "  drover token revoke 5f0c1d2a9b3e4477\n"
     "  drover token revoke /etc/drover/operator.crt",
     none, drv_cmd_token_revoke},
    {"node list", "", 0, 0, "List the nodes of the cluster",
     "A node that does not answer is listed as lost, with the reason on stderr; the\n"
     "exit code is 0 all the same.",
     "  drover node list\n"
     "  drover node list --json | jq -r '.nodes[] | select(.state == \"lost\").name'",
     none, drv_cmd_node_list},
    {"node revoke", "NODE", 1, 1, "Expel a node: its certificate is refused from now on",
     "Its VMs stay where they are and are no longer seen from here.", "  drover node revoke node3", none,
     drv_cmd_node_revoke},
    {"node label", "NODE [KEY=VALUE…]", 1, 64, "Show or say what a node is like",
     "VMs can want a node with labels (“drover vm goals VM --node-label”). Those that are\n"
     "given are set, KEY= removes one, the others stay.",
     "  drover node label node1 rack=7 ssd=yes\n"
     "  drover node label node1 ssd= --site east\n"
     "  drover node label node1",
     node_label_options, drv_cmd_node_label},
    {"node drain", "NODE", 1, 1, "Empty a node for maintenance, and keep new VMs off it",
     "Shows the plan and asks, then moves its running VMs to the other nodes, several\n"
     "at once. What cannot go is listed at once with the way out. The node takes no VMs\n"
     "until “drover node resume”. It goes on when droverd, or this command, ends.",
     "  drover node drain node1\n"
     "  drover node drain node1 --yes --budget 2gbit",
     evacuate_options, drv_cmd_node_drain},
    {"node resume", "NODE", 1, 1, "End a node's maintenance, and bring its VMs back",
     "It takes VMs again. Those that left it for the maintenance can be brought back: it\n"
     "asks, on a terminal.",
     "  drover node resume node1\n"
     "  drover node resume node1 --bring-back",
     node_resume_options, drv_cmd_node_resume},
    {"node authority", "NODE", 1, 1, "Give a node the authority's key: it lets others join, too",
     "Only with a store in etcd. Without it only the founder can sign the certificates\n"
     "of nodes that join, and a cluster that loses it could take in no more.",
     "  drover node authority node2", none, drv_cmd_node_authority},
    {"store status", "", 0, 0, "Say where the cluster keeps its data, and how that is",
     "Each member of etcd with its version, size and trouble, if any; who leads; and\n"
     "what this node has still to record there.",
     "  drover store status", none, drv_cmd_store_status},
    {"store move", "URL|sqlite", 1, 1, "Move the cluster's data to etcd, or back into the founder's file",
     "droverd goes on meanwhile, and so do moves. The place that is left is marked and\n"
     "not used any more; all nodes follow by themselves.",
     "  drover store move etcd://h1:2379,h2:2379,h3:2379 --store-ca ca.crt\n"
     "  drover store move sqlite",
     store_move_options, drv_cmd_store_move},
    {"backup", "FILE", 1, 1, "Write all that this node keeps, and the cluster's data, to a file",
     "Run it as root on the node: its keys are in the file then, which is for its owner\n"
     "alone. With etcd any node has the cluster's data, else the founder.",
     "  drover backup /root/node1.backup\n"
     "  drover backup - | ssh vault 'cat >node1.backup'",
     none, drv_cmd_backup},
    {"restore", "FILE", 1, 1, "Make this host again what it was when a backup was made",
     "droverd must not run. A host without an identity becomes the node of the backup;\n"
     "one that is that node keeps its identity and gets the data. What etcd has is left\n"
     "alone, unless it is empty.",
     "  systemctl stop droverd; drover restore /root/node1.backup; systemctl start droverd", none, drv_cmd_restore},
    {"vm list", "", 0, 0, "List the VMs of all nodes",
     "What a node that does not answer has is missing from the list; a warning on\n"
     "stderr says so, and the exit code is 0 all the same.",
     "  drover vm list\n"
     "  drover vm list --json | jq -r '.vms[].name'",
     none, drv_cmd_vm_list},
    {"vm goals", "VM", 1, 1, "Show or set what holds for all moves of a VM",
     "The goals are kept in the VM's libvirt metadata and travel with it. Those that are\n"
     "given are set, the others stay. Without an option it shows what the VM has and what\n"
     "holds for its moves. An option of a move wins over the VM's own goals, these over\n"
     "its policy's, these over those of the policy “default”, if there is one.",
     "  drover vm goals web1\n"
     "  drover vm goals web1 --max-pause 100ms --policy gold\n"
     "  drover vm goals web1 --priority 10 --depends-on db1 --apart web\n"
     "  drover vm goals web1 --clear",
     vm_goals_options, drv_cmd_vm_goals},
    {"vm owner", "VM [NAME]", 1, 2, "Show or say whose a VM is",
     "What a move leaves on both hosts serves only later moves of VMs of the same\n"
     "owner (“drover content list”). It is kept in the VM's libvirt metadata and travels\n"
     "with it. Without one a VM is of “cluster”.",
     "  drover vm owner web1\n"
     "  drover vm owner web1 shop\n"
     "  drover vm owner web1 --clear",
     vm_owner_options, drv_cmd_vm_owner},
    {"content list", "", 0, 0, "List what the nodes keep of earlier moves, and what it has saved",
     "A part of a VM's memory for each move, encrypted with a key that only the running\n"
     "host has. A later move of that VM, or of another one of its owner, between the\n"
     "same two hosts does not send it again.",
     "  drover content list\n"
     "  drover content list --json | jq '.nodes[] | {node, bytes, saved_bytes}'",
     none, drv_cmd_content_list},
    {"content prune", "", 0, 0, "Remove some of it, or all",
     "Something must be said of what shall go; what is said together must all be so.",
     "  drover content prune --all\n"
     "  drover content prune --older-than 1d --node node2\n"
     "  drover content prune --vm web1",
     content_prune_options, drv_cmd_content_prune},
    {"content on", "[NODE]", 0, 1, "Keep content again, on all nodes or one", NULL, "  drover content on node2", none,
     drv_cmd_content_on},
    {"content off", "[NODE]", 0, 1, "Keep no content, on all nodes or one, and remove what there is",
     "It stays so until “drover content on”, also when droverd is started anew.",
     "  drover content off\n"
     "  drover content off node2",
     none, drv_cmd_content_off},
    {"policy list", "", 0, 0, "List the policies: goals with a name, for many VMs",
     "A VM names one by “drover vm goals VM --policy NAME”; “default” holds for all VMs.", "  drover policy list", none,
     drv_cmd_policy_list},
    {"policy show", "NAME", 1, 1, "Show one policy", NULL, "  drover policy show gold --json", none,
     drv_cmd_policy_show},
    {"policy set", "NAME", 1, 1, "Make or change a policy",
     "The goals that are given are set, the others stay. It holds for all moves that are\n"
     "planned from now on.",
     "  drover policy set gold --max-pause 100ms --post-copy if-needed\n"
     "  drover policy set replicas --apart db --node-label ssd=yes\n"
     "  drover policy set default --bandwidth 2gbit",
     policy_set_options, drv_cmd_policy_set},
    {"policy delete", "NAME", 1, 1, "Delete a policy that no VM names",
     "If VMs name it, it says which and deletes nothing.", "  drover policy delete gold", policy_delete_options,
     drv_cmd_policy_delete},
    {"migrate", "VM [NODE]", 1, 2, "Move a VM to another node while it runs",
     "A VM that is shut off moves as well: its definition, disks and state.\n"
     "Without NODE the cluster chooses one that fits. Shows the progress, and at the\n"
     "end a report. Ctrl-C asks for the move to be cancelled and waits for its end;\n"
     "a second Ctrl-C stops waiting while the job goes on.",
     "  drover migrate web1 node2\n"
     "  drover migrate web1 --max-pause 100ms --bandwidth 500mbit\n"
     "  drover migrate web1 node2 --target-pool fast --map-network br0=lan\n"
     "  drover migrate web1 --storage-only --target-pool fast\n"
     "  drover migrate web1 node2 --check\n"
     "  drover migrate web1 node2 --json | jq .pause_ms\n"
     "  drover migrate web1 --no-wait",
     migrate_options, drv_cmd_migrate},
    {"plan migrate", "VM [NODE]", 1, 2, "Plan a VM's move, to be applied later", NULL,
     "  drover plan migrate web1\n"
     "  drover plan migrate web1 node2 --max-pause 100ms",
     plan_migrate_options, drv_cmd_plan_migrate},
    {"plan evacuate", "NODE…", 1, 1000, "Plan how nodes can be emptied",
     "Shows the moves in their order, what each has to wait for, how long each and all of\n"
     "them will take, and what cannot go, with the reason and the way out. Nothing moves\n"
     "before “drover apply”, which looks first whether the plan still fits.",
     "  drover plan evacuate node1\n"
     "  drover plan evacuate node1 node2 --budget 2gbit --json\n"
     "  drover plan evacuate node1 --fleet fleet.json",
     plan_options, drv_cmd_plan_evacuate},
    {"plan place", "VM", 1, 1, "Plan where a VM would best be, with the reasons for each node", NULL,
     "  drover plan place web1\n"
     "  drover plan place web1 --json | jq .candidates",
     plan_options, drv_cmd_plan_place},
    {"plan list", "", 0, 0, "List the plans that were made", NULL, "  drover plan list", none, drv_cmd_plan_list},
    {"plan show", "ID", 1, 1, "Show one plan", NULL, "  drover plan show plan-3", none, drv_cmd_plan_show},
    {"evacuate", "NODE", 1, 1, "Move all running VMs of a node to others",
     "Like “drover node drain”, but the node goes on taking VMs afterwards.",
     "  drover evacuate node1\n"
     "  drover evacuate node1 --yes --per-node 4",
     evacuate_options, drv_cmd_evacuate},
    {"apply", "PLAN", 1, 1, "Do what a plan says", NULL,
     "  drover apply plan-3\n"
     "  drover apply plan-3 --yes --no-wait",
     apply_options, drv_cmd_apply},
    {"roll", "[NODE…]", 0, 1000, "Do maintenance on one node after the other",
     "Drains a node, runs CMD here, waits until the node is well, gives it its VMs\n"
     "back, and goes on with the next: of those that are named, or of all. It stops at\n"
     "the first trouble: a VM that cannot leave, a command that fails, a node that does\n"
     "not come back; and says how to go on.",
     "  drover roll --exec 'ssh root@$DROVER_ADDRESS apt-get -y upgrade' node1 node2\n"
     "  drover roll --yes --reboot --exec 'ssh root@$DROVER_ADDRESS reboot'",
     roll_options, drv_cmd_roll},
    {"jobs", "", 0, 0, "List the moves and operations, the newest last", NULL,
     "  drover jobs\n"
     "  drover jobs --watch",
     jobs_options, drv_cmd_jobs},
    {"job", "ID", 1, 1, "Show one job, with its report when it has ended",
     "With --follow the exit code is that of the move, as of “drover migrate”.",
     "  drover job node1-7\n"
     "  drover job node1-7 --follow",
     job_options, drv_cmd_job},
    {"job pause", "ID", 1, 1, "Let an operation begin no further moves", "What moves already goes on to its end.",
     "  drover job pause op-3", none, drv_cmd_job_pause},
    {"job resume", "ID", 1, 1, "Let a paused operation go on", NULL, "  drover job resume op-3", none,
     drv_cmd_job_resume},
    {"job cancel", "ID", 1, 1, "The same as “drover cancel”", NULL, "  drover job cancel op-3", none, drv_cmd_cancel},
    {"cancel", "ID", 1, 1, "Ask for a move to be cancelled",
     "Returns when it has been asked for, not when it has ended; once a VM is being\n"
     "switched over, a move can no longer be cancelled.",
     "  drover cancel node1-7\n"
     "  drover cancel node1-7 && drover job node1-7 --follow",
     none, drv_cmd_cancel},
    {"pause", "ID", 1, 1, "The same as “drover job pause”", NULL, "  drover pause op-3", none, drv_cmd_job_pause},
    {"resume", "ID", 1, 1, "The same as “drover job resume”", NULL, "  drover resume op-3", none, drv_cmd_job_resume},
    {"reconcile", "[ID]", 0, 1, "Look again at moves that need attention, and settle what fits",
     "Asks both nodes what they have of the VM. What fits by then is ended as done or\n"
     "rolled back; else the job goes on needing attention and “drover job ID” says what\n"
     "is where and by which commands to choose. Without ID: all that need it. droverd\n"
     "looks by itself, too, every few seconds.",
     "  drover reconcile\n"
     "  drover reconcile node1-7 && drover job node1-7 --follow",
     none, drv_cmd_reconcile},
    {"link list", "", 0, 0, "List the links between nodes, as they were last measured",
     "By a move that filled the link, or by a probe. Nodes probe links that were not\n"
     "measured for hours, one at a time; a link that is not listed was not measured yet.",
     "  drover link list", none, drv_cmd_link_list},
    {"link probe", "FROM TO", 2, 2, "Measure the link from one node to another now",
     "The way that a move goes: two relays, encrypted, over the one port, with noise for\n"
     "at most 0.4 seconds.",
     "  drover link probe node1 node2\n"
     "  drover link probe node1 node2 --json | jq .rate_bps",
     none, drv_cmd_link_probe},
    {"report accuracy", "", 0, 0, "Say how good the predictions of moves were",
     "Of the moves in the history: how far the prediction was from what came, as a share\n"
     "of it, and how many moves were above the p90 that was stated, which should be one\n"
     "in ten.",
     "  drover report accuracy\n"
     "  drover report accuracy --json | jq .never_seen.time_ms",
     none, drv_cmd_report_accuracy},
    {"doctor", "", 0, 0, "Look whether this host is ready, and say what is missing",
     "Checks what a node of Drover needs. Each check is ok, a warning or a problem,\n"
     "with what to do about it. Exit code 1 if there is a problem, else 0.",
     "  drover doctor\n"
     "  drover doctor --json | jq -r '.[] | select(.state == \"problem\").name'",
     none, drv_cmd_doctor},
    {"version", "", 0, 0, "Say which drover this is, and which droverd answers", NULL, "  drover version", none,
     drv_cmd_version},
    {"help", "[COMMAND]…", 0, 2, "Say how drover, or one of its commands, is used",
     "With --json all commands and options, for programs.",
     "  drover help\n"
     "  drover help migrate\n"
     "  drover help token create",
     none, drv_cmd_help},
    {NULL},
};
