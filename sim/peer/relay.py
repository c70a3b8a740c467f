"""Join standard input and output, a socket of QEMU's, to a socket of the file system."""

import select
import socket
import sys

__all__: list[str] = []


def main() -> None:
    """Pass bytes both ways until one side has ended."""
    ours = socket.socket(fileno=sys.stdin.fileno())
    theirs = socket.socket(socket.AF_UNIX)
    theirs.connect(sys.argv[1])
    other = {ours: theirs, theirs: ours}
    while True:
        for one in select.select([ours, theirs], [], [])[0]:
            data = one.recv(1 << 16)
            if not data:
                return
            other[one].sendall(data)


if __name__ == "__main__":
    main()
