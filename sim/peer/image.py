"""A small Linux with Soft-RoCE and the stock RDMA tools, as QEMU boots it."""

import hashlib
import lzma
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from .archive import archive
from .packages import PeerError, fetch, missing, run

__all__ = ["TOOLS", "Image", "build_image"]

#: Stock tools in the guest.
TOOLS = (
    *(f"ibv_{name}" for name in ("devinfo", "rc_pingpong", "uc_pingpong", "ud_pingpong")),
    *(f"ib_{name}_bw" for name in ("write", "read", "send", "atomic")),
    *(f"ib_{name}_lat" for name in ("write", "read", "send", "atomic")),
)
_HERE = Path(__file__).parent
#: Those that need others bring them; those that a kernel has built in are no files.
_MODULES = (
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "crc32_generic",
    "crc32c_generic",
    "ib_uverbs",
    "rdma_rxe",
)
_XZ, _ELF = b"\xfd7zXZ\x00", b"\x7fELF"


@dataclass(frozen=True)
class Image:
    """Files that QEMU takes: the kernel and its first file system."""

    kernel: Path
    files: Path


def build_image(folder: Path, say: Callable[[str], None]) -> Image:
    """Make the image in ``folder``, or find the one made before from the same files.

    ``say`` is told what is being done, when it takes long.

    Raises
    ------
    MissingPackagesError
        If something is not installed.
    PeerError
        If it cannot be made.
    """
    missing()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        tree = fetch(folder, say)
        sources = [tree / "finished", *(_HERE / name for name in ("init", "verbs.c", "image.py"))]
        digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        made = folder / f"image-{digest}"
        image = Image(made / "kernel", made / "files")
        if not (made / "finished").exists():
            say("making the guest's kernel and files")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            image.kernel.write_bytes(_kernel(tree))
            _fill(made / "root", tree)
            image.files.write_bytes(archive(made / "root"))
            shutil.rmtree(made / "root")
            (made / "finished").touch()
            for other in folder.glob("image-*"):
                if other != made:
                    shutil.rmtree(other, ignore_errors=True)
    return image


def _kernel(tree: Path) -> bytes:
    """Give the kernel as an ELF file, which boots seconds sooner than one that unpacks itself."""
    found = sorted((tree / "boot").glob("vmlinuz-*"))
    if not found:
        raise PeerError(f"the kernel package has no kernel: remove {tree} to fetch it again")
    data = found[-1].read_bytes()
    start = data.find(_XZ)
    if start >= 0:
        unpacked = lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(data[start:])
        if unpacked.startswith(_ELF):
            return unpacked
    return data


def _modules(tree: Path) -> Iterator[tuple[str, bytes]]:
    """Kernel modules in an order in which each comes behind what it needs."""
    files = {}
    for path in tree.glob("**/kernel/**/*.ko*"):
        files[path.name.split(".")[0].replace("-", "_")] = path
    done = set()

    def visit(name: str, needed: bool) -> Iterator[tuple[str, bytes]]:
        if name in done:
            return
        done.add(name)
        path = files.get(name)
        if path is None:
            if needed:
                raise PeerError(f"the kernel package has no module {name}")
            return
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        found = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in found[1].decode().split(",") if found and found[1] else ():
            yield from visit(other.replace("-", "_"), True)
        yield f"{name}.ko", data

    for name in _MODULES:
        yield from visit(name, name == "rdma_rxe")


def _fill(root: Path, tree: Path) -> None:
    """Put into ``root`` all that the guest has."""
    binaries, libraries = root / "bin", root / "lib"
    drivers = root / "usr/lib/x86_64-linux-gnu/libibverbs"
    names = ("dev", "proc", "sys", "tmp", "modules", "lib64", "etc/libibverbs.d")
    for path in (binaries, libraries, drivers, *(root / name for name in names)):
        path.mkdir(parents=True)
    shutil.copy(_HERE / "init", root / "init")
    busybox = binaries / "busybox"
    shutil.copy(next(tree.glob("**/bin/busybox")), busybox)
    for name in run(busybox, "--list", seconds=10).split():
        if name not in ("busybox", "init"):
            (binaries / name).symlink_to("busybox")
    order = []
    for name, data in _modules(tree):
        (root / "modules" / name).write_bytes(data)
        order.append(name + "\n")
    (root / "modules/order").write_text("".join(order))
    for name in (*TOOLS, "rdma"):
        found = [path for path in tree.glob(f"**/{name}") if path.parent.name in ("bin", "sbin")]
        if not found:
            raise PeerError(f"the packages have no program {name}")
        shutil.copy(found[0], binaries / name)
    shutil.copy(tree / "etc/libibverbs.d/rxe.driver", root / "etc/libibverbs.d")
    for path in tree.glob("**/libibverbs/librxe-rdmav*.so"):
        shutil.copy(path, drivers)
    places = [*tree.glob("lib/x86_64-linux-gnu"), *tree.glob("usr/lib/x86_64-linux-gnu")]
    run(
        *("gcc", "-O2", "-Wall", "-o", binaries / "verbs", _HERE / "verbs.c"),
        *("-I", tree / "usr/include", "-L", tree / "usr/lib/x86_64-linux-gnu", "-libverbs"),
        *(f"-Wl,-rpath-link,{place}" for place in places),
        seconds=60,
    )
    _add_libraries([*binaries.iterdir(), *drivers.iterdir()], libraries, places)
    shutil.copy(libraries / "ld-linux-x86-64.so.2", root / "lib64")


def _add_libraries(programs: list[Path], libraries: Path, places: list[Path]) -> None:
    """Copy the shared libraries that ``programs`` need, and those that these need."""
    # Whoever ends a thread loads this one by name.
    waiting = ["libgcc_s.so.1", "ld-linux-x86-64.so.2"]
    waiting += [name for path in programs for name in _needed(path)]
    while waiting:
        name = waiting.pop()
        if (libraries / name).exists():
            continue
        found = [place / name for place in places if (place / name).exists()]
        if not found:
            raise PeerError(f"the packages have no library {name}")
        shutil.copy(found[0], libraries / name)
        waiting += _needed(libraries / name)


def _needed(path: Path) -> list[str]:
    if path.is_symlink() or not path.read_bytes().startswith(_ELF):
        return []
    text = run("readelf", "--dynamic", "--wide", path, seconds=10)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)
