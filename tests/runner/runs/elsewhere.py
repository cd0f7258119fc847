"""Launch a run as another machine would: `python elsewhere.py HOW SPEC`; prints the result.

`no-namespaces`: a machine that lets nobody make namespaces, as most containers do.
`container`: the same, where the runner is root in a container that knows no other user.
`user`: started by somebody who is not root.
`here`: as it is.
"""

import os
import sys
from pathlib import Path

import msgspec

from runner.runs import linux
from runner.runs.launch import RunSpec, launch


def forbid_namespaces(inside: int) -> None:
    user, group = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {group} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    linux.drop_capabilities()


def become_a_user(folder: str) -> None:
    """Be `nobody`, with this Python within reach, wherever root keeps it."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    here = Path(linux.__file__).parents[2]
    for path in {Path(sys.prefix), Path(sys.base_prefix), Path(folder), here}:
        for above in reversed(path.parents):
            if not above.stat().st_mode & 0o001:
                tree = linux.open_tree(str(path), 0)
                linux.mount("way", str(above), "tmpfs", 0, "mode=755")
                path.mkdir(parents=True, mode=0o755)
                linux.move_mount(tree, str(path))
                break
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


if __name__ == "__main__":
    how, text = sys.argv[1:]
    spec = msgspec.json.decode(text, type=RunSpec)
    if how == "no-namespaces":
        forbid_namespaces(1000)
    elif how == "container":
        forbid_namespaces(0)
    elif how == "user":
        become_a_user(os.path.dirname(spec.folder))
    print(msgspec.json.encode(launch(spec)).decode())
