"""Which layers of confinement this machine offers: tried out in forked children, so that nothing changes here."""

import os
from collections.abc import Callable

from . import kernel, landlock, seccomp

USER = "unprivileged user"
PROCESSES = "process namespace"
NETWORK = "network namespace"
MOUNTS = "mount namespace"
LANDLOCK = "landlock"
SECCOMP = "seccomp"
USER_NAMESPACE = "user namespace"
"""Not a layer by itself: how those who are not root come by the other namespaces."""
MOUNT_POINT = "/tmp"
_FOLDER_FILES = 4096
ALWAYS = ("resource limits", "no new privileges", "clean environment")

_REMEDIES = {
    USER: "run as root in a container, or as a user who may create user namespaces",
    PROCESSES: "allow user namespaces, or give the container the capability SYS_ADMIN",
    NETWORK: "as for the process namespace",
    MOUNTS: "as for the process namespace",
    LANDLOCK: "use Linux 5.13 or newer with landlock among its security modules",
    SECCOMP: "use Linux on x86-64 or arm64 with seccomp",
}
_PURPOSES = {
    USER: "programs run as a user who owns nothing",
    PROCESSES: "programs see and signal no other process, and none survives",
    NETWORK: "programs have no network, not even the loopback of this machine",
    MOUNTS: "programs get a private /tmp of limited size; all else is read-only",
    LANDLOCK: "programs open the standard library and their own folder, nothing else",
    SECCOMP: "programs create no sockets, trace no process, mount nothing",
}


def probe() -> frozenset[str]:
    """The names of the layers that work here."""
    is_root = os.geteuid() == 0
    found = set()
    if not is_root or _works(drop_to_other_user):
        found.add(USER)
    network = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    entry = [] if is_root else [enter_user_namespace]
    if _works(*entry, lambda: kernel.unshare(network | kernel.CLONE_NEWPID)):
        found |= {NETWORK, PROCESSES} | (set() if is_root else {USER_NAMESPACE})
        if _works(*entry, lambda: make_private_mounts(MOUNT_POINT, 2**20)):
            found.add(MOUNTS)
    if landlock.abi():
        found.add(LANDLOCK)
    if seccomp.is_known_machine() and _works(forbid_new_privileges, seccomp.refuse_system_calls):
        found.add(SECCOMP)
    return frozenset(found)


def describe(active: frozenset[str]) -> list[tuple[str, bool, str]]:
    """(name, active, what it does or else what would activate it) per layer, those included that always hold."""
    optional = [(name, name in active, _PURPOSES[name] if name in active else _REMEDIES[name]) for name in _PURPOSES]
    return optional + [(name, True, "always") for name in ALWAYS]


def missing(active: frozenset[str]) -> str:
    """Why these layers are too few to run untrusted programs; empty when they suffice."""
    if not active & {NETWORK, SECCOMP}:
        return f"nothing keeps programs off the network: {_REMEDIES[SECCOMP]}, or {_REMEDIES[PROCESSES]}"
    if USER not in active:
        return f"programs would run as root: {_REMEDIES[USER]}"
    if os.geteuid() != 0 and not active & {MOUNTS, LANDLOCK}:
        return f"nothing keeps programs from your files: {_REMEDIES[LANDLOCK]}, or {_REMEDIES[PROCESSES]}"
    return ""


def forbid_new_privileges() -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def enter_user_namespace() -> None:
    """A namespace in which this process, still the same user, may create the other kinds."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as stream:
            stream.write(text)


def drop_to_other_user(user: int | None = None) -> None:
    """Become a user nobody else is; `user` comes from `fresh_users`. Only root can."""
    user = fresh_users(1)[0] if user is None else user
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def make_private_mounts(folder: str, num_bytes: int, before: Callable[[], None] = lambda: None) -> None:
    """Everything that is mounted read-only, then a small file system of its own at `folder`; `before` in between."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.detach_mounts()
    kernel.make_mounts_read_only()
    before()
    options = f"size={num_bytes},nr_inodes={_FOLDER_FILES},mode=1777"
    kernel.mount("tmpfs", folder, kernel.MS_NOSUID_NODEV, options)


def fresh_users(count: int) -> list[int]:
    """Random user numbers, so that no two programs share one: limits on processes are counted per user."""
    start, size = max(_mapped_users(), key=lambda mapped: mapped[1])
    low, high = start + size // 2, min(start + size, 2**31) - 1
    if high - low < 2 * count:
        raise OSError("too few user numbers are mapped in this user namespace")
    offset = int.from_bytes(os.urandom(8), "big") % (high - low - count)
    return list(range(low + offset, low + offset + count))


def _mapped_users() -> list[tuple[int, int]]:
    """(first, number) of the ranges that exist in this user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return [(int(first), min(int(size), 2**31)) for first, _, size in rows]


def _works(*actions: Callable[[], None]) -> bool:
    """Whether all actions succeed, in a child that ends after them."""
    child = os.fork()
    if child == 0:
        try:
            for action in actions:
                action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0
