"""What a state leaves out since it changes by itself: one list, the same everywhere, each entry with its reason."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Ignored:
    """Items that are never part of a state: a pattern as the shell's (`*` matches slashes and dots too), and why."""

    pattern: str
    because: str


DERIVED: Final = "made from other files, which are compared"
BACKUP: Final = "the copy that the tools for accounts keep of the last version"
COUNTER: Final = "counts what the kernel does at the moment"
RANDOM: Final = "random, or new at each boot"
OLD_NAME: Final = "the old name of a setting in milliseconds; who reads it is written into the kernel's log"
BOOT_MEMORY: Final = "reckoned at boot from the memory that was free then"
SESSION: Final = "comes and goes with a session"
CONTAINER: Final = "comes and goes with a container"
ON_USE: Final = "mounted by the system when somebody uses it, and unmounted again"
LAB: Final = "the laboratory's own"

IGNORED: Final = (
    Ignored("file:/etc/ld.so.cache", DERIVED),
    Ignored("file:/etc/mtab", "a link into /proc; mounts are compared"),
    Ignored("file:/etc/machine-id", "an identity, not a setting"),
    Ignored("file:/etc/resolv.conf", "written anew by whatever configures the network"),
    Ignored("file:/etc/adjtime", "the clock's drift, written at shutdown"),
    Ignored("file:/etc/.updated", "the time of systemd's last look at /etc"),
    Ignored("file:/etc/.pwd.lock", "a lock that comes with the first change of an account"),
    Ignored("file:/etc/passwd-", BACKUP),
    Ignored("file:/etc/group-", BACKUP),
    Ignored("file:/etc/shadow-", BACKUP),
    Ignored("file:/etc/gshadow-", BACKUP),
    Ignored("file:/etc/subuid-", BACKUP),
    Ignored("file:/etc/subgid-", BACKUP),
    Ignored("file:/etc/lvm/archive*", "LVM's history of the host's disks"),
    Ignored("file:/etc/lvm/backup*", "LVM's history of the host's disks"),
    Ignored("file:/etc/lvm/cache*", "LVM's cache"),
    Ignored("file:/etc/grid-security/certificates/*.r[0-9]", "revocation lists, fetched anew several times a day"),
    Ignored("file:*/__pycache__*", DERIVED),
    Ignored("file:*lading-lab*", LAB),
    Ignored("sysctl:dev.cdrom.*", "tells what hardware there is"),
    Ignored("sysctl:fs.aio-nr", COUNTER),
    Ignored("sysctl:fs.binfmt_misc.*", "looking at it would mount it; its settings are files of packages and of /etc"),
    Ignored("sysctl:fs.dentry-state", COUNTER),
    Ignored("sysctl:fs.file-nr", COUNTER),
    Ignored("sysctl:fs.inode-nr", COUNTER),
    Ignored("sysctl:fs.inode-state", COUNTER),
    Ignored("sysctl:fs.quota.*", COUNTER),
    Ignored("sysctl:kernel.ns_last_pid", COUNTER),
    Ignored("sysctl:kernel.perf_event_max_sample_rate", "lowered by the kernel itself when it is busy"),
    Ignored("sysctl:kernel.pty.nr", COUNTER),
    Ignored("sysctl:kernel.random.*", RANDOM),
    Ignored("sysctl:kernel.tainted", "tells what the kernel has met since its start"),
    Ignored("sysctl:net.core.netdev_rss_key", RANDOM),
    Ignored("sysctl:net.ipv4.tcp_fastopen_key", RANDOM),
    Ignored("sysctl:net.ipv4.tcp_mem", BOOT_MEMORY),
    Ignored("sysctl:net.ipv4.udp_mem", BOOT_MEMORY),
    Ignored("sysctl:net.ipv6.conf.*.stable_secret", RANDOM),
    Ignored("sysctl:net.ipv?.neigh.*.base_reachable_time", OLD_NAME),
    Ignored("sysctl:net.ipv?.neigh.*.retrans_time", OLD_NAME),
    Ignored("sysctl:net.netfilter.nf_conntrack_count", COUNTER),
    Ignored("sysctl:sunrpc.transports", COUNTER),
    Ignored("sysctl:vm.compact_memory", "an order, not a setting"),
    Ignored("sysctl:vm.drop_caches", "an order, not a setting"),
    Ignored("sysctl:vm.stat_refresh", "an order, not a setting"),
    Ignored("sysctl:vm.admin_reserve_kbytes", BOOT_MEMORY),
    Ignored("sysctl:vm.user_reserve_kbytes", BOOT_MEMORY),
    Ignored("mount:/srv/images/*", "the laboratory's test images, on disks whose names change with a boot"),
    Ignored("mount:/run/credentials/*", "comes and goes with a unit"),
    Ignored("mount:/run/netns*", "comes and goes with network namespaces"),
    Ignored("mount:/run/user/*", SESSION),
    Ignored("mount:/proc/sys/fs/binfmt_misc", ON_USE),
    Ignored("mount:/proc/fs/nfsd", ON_USE),
    Ignored("mount:/sys/fs/fuse/connections", ON_USE),
    Ignored("mount:/sys/kernel/*", ON_USE),
    Ignored("mount:/var/lib/containerd/*", CONTAINER),
    Ignored("mount:/var/lib/containers/*", CONTAINER),
    Ignored("mount:/var/lib/docker/*", CONTAINER),
    Ignored("mount:/var/lib/nfs/rpc_pipefs", ON_USE),
    Ignored("unit:run-*", "made for one command"),
    Ignored("unit:session-[0-9]*", SESSION),
    Ignored("unit:user@[0-9]*", SESSION),
    Ignored("unit:user-[0-9]*", SESSION),
    Ignored("unit:user-runtime-dir@[0-9]*", SESSION),
)
"""The ignore list. Rules that no pattern can say are in `lading.state.collector`, each beside its code."""

RECKONED: Final = (
    Ignored("sysctl:fs.epoll.max_user_watches", "`eventpoll_init`, fs/eventpoll.c"),
    Ignored("sysctl:fs.fanotify.max_user_marks", "`fanotify_user_setup`, fs/notify/fanotify/fanotify_user.c"),
    Ignored("sysctl:fs.file-max", "`files_maxfiles_init`, fs/file_table.c"),
    Ignored("sysctl:fs.inotify.max_user_watches", "`inotify_user_setup`, fs/notify/inotify/inotify_user.c"),
    Ignored("sysctl:kernel.threads-max", "`set_max_threads`, kernel/fork.c"),
    Ignored("sysctl:net.ipv4.inet_peer_threshold", "`inet_initpeers`, net/ipv4/inetpeer.c"),
    Ignored("sysctl:net.ipv4.tcp_?mem", "`tcp_init`, net/ipv4/tcp.c"),
    Ignored("sysctl:user.max_*", "`fork_init`, kernel/fork.c; the marks and watches where these are made"),
    Ignored("sysctl:vm.min_free_kbytes", "`calculate_min_free_kbytes`, mm/page_alloc.c"),
)
"""Settings that the kernel sets at boot to a share of its memory, and where in its source.

How much memory it finds differs by some pages from one boot to the next, so these may differ by `RECKONED_SHARE` and
count as the same. They are compared all the same, since a path may set them.
"""

RECKONED_SHARE: Final = 0.01
"""How far two reckoned numbers may be apart, as a share of the larger one. One page of 1 GiB is 0.000004."""
