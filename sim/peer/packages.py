"""Debian packages that the guest is made of: fetched and unpacked, never installed."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

__all__ = ["MissingPackagesError", "PeerError", "fetch", "missing", "run"]

#: Programs of this machine, and the package that has each.
_PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "gcc": "gcc libc6-dev",
    "qemu-system-x86_64": "qemu-system-x86",
    "readelf": "binutils",
    "setpriv": "util-linux",
    "tar": "tar",
    "timeout": "coreutils",
}
#: What the guest's programs are in; the libraries that these need come with them.
_ROOTS = (
    "busybox-static",
    "ibverbs-providers",
    "ibverbs-utils",
    "iproute2",
    "libgcc-s1",
    "libibverbs-dev",
    "perftest",
)
_KERNEL = "linux-image-amd64"
#: Of the kernel's package, which is large: the kernel, and where its modules for a network are.
_KERNEL_PARTS = (
    "./boot/vmlinuz-*",
    *(
        f"*/kernel/{folder}/*"
        for folder in (
            "arch/x86/crypto",
            "crypto",
            "drivers/char",
            "drivers/infiniband",
            "drivers/net/*virtio*",
            "drivers/virtio",
            "lib",
            "net/core",
            "net/ipv4",
            "net/ipv6",
        )
    ),
    "*/kernel/drivers/net/net_failover.*",
    "*/kernel/drivers/net/virtio_net.*",
)
_FETCH_SECONDS = 200


class PeerError(RuntimeError):
    """The guest cannot be made, or does not do what it is told; the message says what."""


class MissingPackagesError(PeerError):
    """Something is not installed; the message says how to get it."""


def missing() -> None:
    """Raise MissingPackagesError if a program of this machine is not there."""
    if platform.machine() != "x86_64":
        raise MissingPackagesError("the guest is made of packages for x86_64, which this is not")
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        packages = " ".join(sorted({_PROGRAMS[name] for name in absent}))
        verb = "is" if len(absent) == 1 else "are"
        raise MissingPackagesError(
            f"{', '.join(absent)} {verb} missing: on Debian, apt-get install {packages}"
        )


def run(*words: str | Path, seconds: float, folder: Path | None = None) -> str:
    """Run a program and give its output.

    Raises
    ------
    PeerError
        If it fails, or takes longer than ``seconds``.
    """
    try:
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"{words[0]} took longer than {seconds:g} s") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise PeerError(f"{words[0]}: {' '.join(last) or f'exit code {done.returncode}'}")
    return done.stdout


def _closure() -> list[str]:
    """Names of the packages: the roots, the libraries they need, and the newest kernel."""
    try:
        about = run("apt-cache", "depends", _KERNEL, seconds=30)
    except PeerError:
        about = ""
    kernel = re.search(r"Depends: (linux-image-\S+)", about)
    if kernel is None:
        raise MissingPackagesError(f"apt knows no package {_KERNEL}: run apt-get update")
    no = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    needed = run(
        "apt-cache", "depends", "--recurse", *(f"--no-{word}" for word in no), *_ROOTS, seconds=60
    )
    names = set(re.findall(r"^([a-z0-9][\w.+-]*)$", needed, re.MULTILINE))
    libraries = {name for name in names if re.match(r"lib|zlib", name)}
    libraries = {name for name in libraries if not name.endswith("-dev")}
    return [kernel[1], *sorted({*_ROOTS, *libraries})]


def fetch(folder: Path, say: Callable[[str], None]) -> Path:
    """Unpack the packages into ``folder``, once; give the root of their files.

    They are of the release that this machine's apt knows, and stay until ``folder`` goes.

    Raises
    ------
    MissingPackagesError
        If apt does not know a package.
    PeerError
        If it cannot be fetched.
    """
    tree = folder / "tree"
    if (tree / "finished").exists():
        return tree
    files = folder / "packages"
    for path in (tree, files):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    names = _closure()
    say(f"fetching {len(names)} Debian packages into {files} (unpacked there, none is installed)")
    try:
        run("apt-get", "download", "-qq", *names, seconds=_FETCH_SECONDS, folder=files)
    except PeerError as error:
        raise PeerError(f"packages could not be fetched ({error}); try apt-get update") from None
    say("unpacking them")
    for file in sorted(files.iterdir()):
        if file.name.startswith("linux-image-"):
            archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE)
            with archive:
                subprocess.run(
                    ["tar", "-x", "-C", tree, "--wildcards", *_KERNEL_PARTS],
                    stdin=archive.stdout,
                    stderr=subprocess.DEVNULL,  # patterns that this kernel has nothing for
                    timeout=120,
                    check=False,
                )
        else:
            run("dpkg-deb", "-x", file, tree, seconds=60)
    (tree / "finished").write_text("\n".join(sorted(file.name for file in files.iterdir())))
    shutil.rmtree(files)
    return tree
