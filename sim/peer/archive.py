"""The archive that a Linux kernel unpacks as its first file system."""

import stat
from pathlib import Path

__all__ = ["archive"]

_END = "TRAILER!!!"


def archive(root: Path) -> bytes:
    """Files, folders and links below ``root`` as a cpio archive; all belong to the superuser.

    Specification: Documentation/driver-api/early-userspace/buffer-format.rst of Linux ("newc").
    """
    entries = [b""]
    paths = sorted(root.rglob("*"))
    for number, path in enumerate(paths, start=1):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            data = str(path.readlink()).encode()
        else:
            data = b"" if stat.S_ISDIR(mode) else path.read_bytes()
        entries.append(_entry(number, mode, str(path.relative_to(root)), data))
    return b"".join([*entries, _entry(0, 0, _END, b"")])


def _entry(number: int, mode: int, name: str, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    # inode, mode, user, group, links, time, size, 4 device numbers, length of the name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + text
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
