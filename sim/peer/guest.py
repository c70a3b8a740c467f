"""The guest: a process of QEMU, and the port over which it does what it is told."""

import os
import re
import shlex
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .image import Image
from .loop import Loop, StalledError
from .packages import PeerError

__all__ = ["CARD", "GUEST", "PORTS", "TCP_HOST", "Guest", "GuestLostError", "Host", "accelerators"]


class GuestLostError(PeerError):
    """The guest does not answer any more; nothing else can be asked of it."""


@dataclass(frozen=True)
class Host:
    """Addresses of one end of the wire."""

    mac: bytes
    address_4: bytes
    address_6: bytes

    def address(self, version: int) -> bytes:
        """IP address of this version."""
        return self.address_4 if version == 4 else self.address_6

    def gid(self, version: int) -> bytes:
        """Address as verbs have it: an IPv4 address is one of IPv6 that holds it."""
        return self.address_6 if version == 6 else bytes(10) + b"\xff\xff" + self.address_4


#: Of the guest; addresses for documentation, which are nowhere but on this wire.
GUEST = Host(
    mac=bytes.fromhex("020000000001"),
    address_4=bytes([192, 0, 2, 1]),
    address_6=bytes.fromhex("20010db8000000000000000000000001"),
)
#: Of the engine.
CARD = Host(
    mac=bytes.fromhex("020000000002"),
    address_4=bytes([192, 0, 2, 2]),
    address_6=bytes.fromhex("20010db8000000000000000000000002"),
)
#: TCP port of the guest, which this machine reaches, and the address and port that the guest
#: reaches this process at: both on a second network, which leads nowhere else.
PORTS = {"listen": 18515, "ask": 18516}
TCP_HOST = "198.51.100.100"
_TCP_GUEST = "198.51.100.15"
_MEMORY_MEGABYTES = 384
#: KVM boots within a few seconds, or never.
_BOOT_SECONDS = {"kvm": 15, "tcg": 90}
_GRACE_SECONDS = 5
_SHELL_SECONDS = 10
_WIRE_MTU = 4500  # packets of 4096 bytes, and their headers


def accelerators() -> list[str]:
    """Name what may run the guest's instructions here, the best first.

    KVM may be there and not work: only a guest that has booted knows.
    """
    has_kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    return ["kvm", "tcg"] if has_kvm else ["tcg"]


class Guest:
    """A Linux guest at the far end of the wire.

    QEMU ends with :meth:`stop`; by itself when the loop may not go on, or this process has ended.

    Parameters
    ----------
    image : Image
    folder : Path
        For sockets and logs; ``wire`` in it is the wire's socket, which listens.
    loop : Loop
    relay : list of str
        Command that is run for each TCP connection of the guest to this side: the connection is
        its standard input and output.
    accelerator : str
        kvm or tcg.
    """

    def __init__(
        self,
        image: Image,
        *,
        folder: Path,
        loop: Loop,
        relay: list[str],
        accelerator: str,
    ):
        self._loop = loop
        self._folder = folder
        self._accelerator = accelerator
        self._data = bytearray()
        self._listener = socket.socket(socket.AF_UNIX)
        control = folder / "control"
        control.unlink(missing_ok=True)
        self._listener.bind(str(control))
        self._listener.listen(1)
        self._socket: socket.socket | None = None
        loop.readers[self._listener] = self._accept
        self.tcp_port = _free_port()
        boot = {
            "console": "ttyS0",
            "quiet": None,
            "panic": "-1",
            "mitigations": "off",
            "peer.mtu": str(_WIRE_MTU),
            "peer.address4": socket.inet_ntop(socket.AF_INET, GUEST.address_4),
            "peer.address6": socket.inet_ntop(socket.AF_INET6, GUEST.address_6),
            "peer.tcp": _TCP_GUEST,
        }
        # Words of a shell, in an option of QEMU, where a comma ends a value.
        command = shlex.join(relay).replace(",", ",,")
        forwards = (
            f"hostfwd=tcp:127.0.0.1:{self.tcp_port}-{_TCP_GUEST}:{PORTS['listen']}",
            f"guestfwd=tcp:{TCP_HOST}:{PORTS['ask']}-cmd:{command}",
        )
        words = [
            # When this process ends, however it does, and at the latest when the loop does.
            *("setpriv", "--pdeathsig", "TERM"),
            *("timeout", "--kill-after=5", str(int(loop.seconds_left) + _GRACE_SECONDS)),
            "qemu-system-x86_64",
            *("-M", "pc", "-accel", accelerator, "-m", str(_MEMORY_MEGABYTES)),
            *("-cpu", "host" if accelerator == "kvm" else "max"),
            *("-nodefaults", "-display", "none", "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.files)),
            *("-append", " ".join(k if v is None else f"{k}={v}" for k, v in boot.items())),
            *("-serial", f"file:{folder / 'console.log'}"),
            *("-device", "virtio-serial"),
            *("-chardev", f"socket,id=control,path={control}"),
            *("-device", "virtserialport,chardev=control,name=control"),
            *("-netdev", f"stream,id=wire,addr.type=unix,addr.path={folder / 'wire'}"),
            *("-device", f"virtio-net,netdev=wire,mac={GUEST.mac.hex(':')},host_mtu={_WIRE_MTU}"),
            *("-netdev", f"user,id=tcp,restrict=on,net=198.51.100.0/24,{','.join(forwards)}"),
            *("-device", "virtio-net,netdev=tcp,mac=02:00:00:00:00:0f"),
        ]
        with (folder / "qemu.log").open("wb") as log:
            # In a session of its own: what is typed at the terminal is for us to act on.
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End QEMU."""
        for one in (self._listener, self._socket):
            if one is not None:
                self._loop.readers.pop(one, None)
                one.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def _accept(self) -> None:
        self._socket, _ = self._listener.accept()
        self._loop.readers[self._socket] = self._read

    def _read(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(1 << 18)
        if not data:
            del self._loop.readers[self._socket]
        self._data += data

    def _check(self) -> None:
        if self.process.poll() is not None:
            text = (self._folder / "qemu.log").read_text(errors="replace").strip()
            last = text.splitlines()[-1:] or ["no word of it"]
            raise GuestLostError(f"QEMU ended: {last[0]}")

    def boot(self) -> str:
        """Wait until the guest takes commands; give its uptime."""
        seconds = _BOOT_SECONDS[self._accelerator]
        return self.read_until("@ready", seconds=seconds)[1]

    def send(self, line: str) -> None:
        """Give a line to whatever reads in the guest."""
        assert self._socket is not None
        self._socket.sendall(line.encode() + b"\n")

    def read_line(self, *, seconds: float) -> str:
        """Next line that the guest says."""

        def said() -> bool:
            self._check()
            return b"\n" in self._data

        try:
            self._loop.wait(said, seconds=seconds, what="the guest says nothing")
        except StalledError as error:
            raise GuestLostError(str(error)) from None
        line, _, rest = bytes(self._data).partition(b"\n")
        self._data[:] = rest
        return line.decode(errors="replace").rstrip("\r")

    def read_until(self, *starts: str, seconds: float) -> tuple[list[str], str]:
        """Lines up to one that begins with one of ``starts``, and that one."""
        lines = []
        while not (line := self.read_line(seconds=seconds)).startswith(starts):
            lines.append(line)
        return lines, line

    def finish(self, *, seconds: float) -> tuple[str, int]:
        """Wait until the shell line that was sent has ended; its output and exit code."""
        lines, last = self.read_until("@exit", seconds=seconds)
        return "\n".join(lines), int(last.split()[1])

    def shell(self, line: str, *, seconds: float) -> str:
        """Run a shell line in the guest; its output.

        Raises
        ------
        PeerError
            If it fails.
        """
        self.send(line)
        text, code = self.finish(seconds=seconds)
        if code:
            raise PeerError(f"in the guest, {line!r} ended with {code}: {text}")
        return text

    def gid_index(self, version: int) -> int:
        """Give the index at which Soft-RoCE has its address of this version of IP."""
        folder = "/sys/class/infiniband/rxe0/ports/1/gids"
        text = self.shell(f"grep . {folder}/*", seconds=_SHELL_SECONDS)
        for line in text.split():
            place, _, gid = line.partition(":")
            if bytes.fromhex(gid.replace(":", "")) == GUEST.gid(version):
                return int(place.rpartition("/")[2])
        raise PeerError(f"Soft-RoCE has no address of IPv{version}")

    def perftest_version(self) -> str:
        """Give the version of perftest's exchange."""
        text, _ = self._run("ib_write_bw --version")
        found = re.search(r"Version: *(\d+\.\d+)", text)
        if found is None:
            raise PeerError(f"ib_write_bw does not say its version: {text}")
        return found[1]

    def _run(self, line: str) -> tuple[str, int]:
        self.send(line)
        return self.finish(seconds=_SHELL_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
