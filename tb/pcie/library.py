"""What cocotbext-pcie 0.2.16 lacks for a switch, added from outside.

``install()`` changes the library in place, once, in the process of the testbench:

- ``Port`` copies every TLP it receives into a plain ``Tlp``: it makes :class:`FullTlp` instead,
  which keeps messages, digests, prefixes and ``th``.
- ``Function.match_tlp`` raises on messages and atomics: no function of a root complex, bridge or
  endpoint claims a message by address, and atomics are matched like other requests to memory.
- ``Bridge.match_tlp_secondary`` raises on messages by address, locked reads and atomics likewise.
- ``Device.upstream_recv`` raises on messages: they go to ``Device.messages``, a list.
- ``RootComplex.handle_tlp`` and ``Function.handle_tlp`` know 256 tags: here 1024.

Credits of one's own, and tags of 10 bits, have to be asked for: :func:`advertise`,
:func:`use_ten_bit_tags`.
"""

import struct
from collections.abc import Sequence
from types import MethodType
from typing import Any

from cocotb.queue import Queue
from cocotb.triggers import Event
from cocotbext.pcie.core import bridge, device, function, port, rc
from cocotbext.pcie.core.tlp import Tlp, TlpFmt, TlpType
from cocotbext.pcie.core.utils import PcieId

__all__ = ["MESSAGES", "FullTlp", "advertise", "install", "message", "use_ten_bit_tags"]

MESSAGES = frozenset(each for each in TlpType if each.name.startswith("MSG"))
_BY_MEMORY_ADDRESS = frozenset(
    each
    for each in TlpType
    if each.name.startswith(("MEM_READ_LOCKED", "FETCH_ADD", "SWAP", "CAS"))
)
_TAG_COUNT = 1024


class FullTlp(Tlp):
    """TLP of the library with what it leaves out.

    Attributes
    ----------
    message_code : int
        Message code, byte 7 of the header.
    message_tail : bytes
        Bytes 8 to 15 of a message's header.
    digest : bytes or None
        Behind the payload; ``td`` is set with it.
    prefix : bytes or None
        One prefix, in front of the header.
    """

    def __init__(self, tlp: Tlp | None = None):
        super().__init__(tlp)
        self.message_code = 0
        self.message_tail = bytes(8)
        self.digest: bytes | None = None
        self.prefix: bytes | None = None
        if tlp is not None:
            self.th = tlp.th
        if isinstance(tlp, FullTlp):
            self.message_code = tlp.message_code
            self.message_tail = tlp.message_tail
            self.digest = tlp.digest
            self.prefix = tlp.prefix

    def check(self) -> bool:
        """Check like the library, which knows messages with data only without ``length``."""
        return self.td == (self.digest is not None) and super().check()

    def get_size(self) -> int:
        """Count the bytes, for the time that it takes on the link."""
        return super().get_size() + 4 * (self.digest is not None) + 4 * (self.prefix is not None)

    def pack_header(self) -> bytearray:
        """Pack the header as bytes, without a prefix."""
        if self.fmt_type not in MESSAGES:
            return super().pack_header()
        # The first DW is the same in every header; a memory request has the same second one but
        # for the byte enables, where a message has its code.
        as_request = Tlp(self)
        as_request.fmt_type = TlpType.MEM_READ
        first = as_request.pack_header()
        first[0] = self.fmt << 5 | self.type
        return first[:7] + bytes([self.message_code]) + self.message_tail

    def pack(self) -> bytearray:
        """Pack all of it as bytes."""
        return bytearray(
            (self.prefix or b"")
            + self.pack_header()
            + (bytes(self.data) if self.has_data() else b"")
            + (self.digest or b"")
        )

    @classmethod
    def unpack_header(cls, pkt: bytes) -> "FullTlp":
        """Unpack a header without a prefix."""
        kind = TlpType((pkt[0] >> 5, pkt[0] & 0x1F))
        if kind not in MESSAGES:
            return super().unpack_header(pkt)
        as_request = Tlp.unpack_header(bytes([TlpFmt.FOUR_DW << 5]) + pkt[1:16])
        tlp = cls(as_request)
        tlp.fmt_type = kind
        tlp.address = tlp.ph = tlp.first_be = tlp.last_be = 0
        if not pkt[0] & 0x40 and tlp.length == 1024:
            tlp.length = 0
        tlp.message_code = pkt[7]
        tlp.message_tail = bytes(pkt[8:16])
        if kind in (TlpType.MSG_ID, TlpType.MSG_DATA_ID):
            tlp.completer_id = PcieId.from_int(struct.unpack_from(">H", pkt, 8)[0])
        return tlp

    @classmethod
    def unpack(cls, pkt: bytes) -> "FullTlp":
        """Unpack all of it."""
        prefix = None
        if pkt[0] >> 5 == TlpFmt.TLP_PREFIX:
            prefix, pkt = bytes(pkt[:4]), pkt[4:]
        tlp = cls.unpack_header(pkt)
        tlp.prefix = prefix
        rest = bytes(pkt[tlp.get_header_size() :])
        if tlp.td:
            rest, tlp.digest = rest[:-4], rest[-4:]
        tlp.data = bytearray(rest)
        return tlp

    def __repr__(self) -> str:
        return (
            f"{super().__repr__()[:-1]}, message_code={self.message_code:#x}, "
            f"message_tail={self.message_tail.hex()}, digest={self.digest}, prefix={self.prefix})"
        )


def message(kind: TlpType, code: int, requester: Any, data: bytes = b"") -> FullTlp:
    """Make a message of this routing and code."""
    tlp = FullTlp()
    tlp.fmt_type = kind
    tlp.message_code = code
    tlp.requester_id = requester
    if data:
        tlp.set_data(data)
    return tlp


def _patch_matching() -> None:
    of_function = function.Function.match_tlp
    of_bridge = bridge.Bridge.match_tlp_secondary

    def match_tlp(self: Any, tlp: Any) -> bool:
        if tlp.fmt_type in MESSAGES:
            return False
        if tlp.fmt_type in _BY_MEMORY_ADDRESS:
            return bool(self.match_bar(tlp.address))
        return of_function(self, tlp)

    def match_tlp_secondary(self: Any, tlp: Any) -> bool:
        if tlp.fmt_type in (TlpType.MSG_ADDR, TlpType.MSG_DATA_ADDR):
            return False
        if tlp.fmt_type in _BY_MEMORY_ADDRESS:
            like = Tlp(tlp)
            like.fmt_type = TlpType.MEM_READ
            return of_bridge(self, like)
        return of_bridge(self, tlp)

    function.Function.match_tlp = match_tlp
    bridge.Bridge.match_tlp_secondary = match_tlp_secondary


def _patch_messages() -> None:
    of_device = device.Device.upstream_recv

    async def upstream_recv(self: Any, tlp: Any) -> None:
        if tlp.fmt_type in MESSAGES:
            tlp.release_fc()
            self.messages.append(tlp)
        else:
            await of_device(self, tlp)

    device.Device.upstream_recv = upstream_recv
    # Each device gets a list of its own when it is first asked for.
    device.Device.messages = property(  # pyright: ignore[reportAttributeAccessIssue]
        lambda self: self.__dict__.setdefault("received_messages", [])
    )


def _patch_tags() -> None:
    for owner in (function.Function, rc.RootComplex):
        before = owner.__init__

        def init(self: Any, *args: Any, before: Any = before, **options: Any) -> None:
            before(self, *args, **options)
            more = _TAG_COUNT - len(self.tag_active)
            self.tag_active.extend([False] * more)
            self.rx_cpl_queues.extend(Queue() for _ in range(more))
            self.rx_cpl_sync.extend(Event() for _ in range(more))

        owner.__init__ = init


def install() -> None:
    """Change the library; a second call does nothing."""
    if port.Tlp is FullTlp:
        return
    port.Tlp = FullTlp
    _patch_matching()
    _patch_messages()
    _patch_tags()


def use_ten_bit_tags(requester: Any, tag_count: int = 768) -> None:
    """Let a function or root complex use ``tag_count`` tags from 256 on.

    A requester with 10-bit tags leaves out those whose upper two bits are 0 (2.2.6.2).
    """
    assert 0 < tag_count <= _TAG_COUNT - 256

    async def alloc_tag(self: Any) -> int:
        while True:
            for _ in range(tag_count):
                self.current_tag = (self.current_tag + 1) % tag_count
                tag = 256 + self.current_tag
                if not self.tag_active[tag]:
                    self.tag_active[tag] = True
                    return tag
            self.tag_release.clear()
            await self.tag_release.wait()

    requester.current_tag %= tag_count
    requester.alloc_tag = MethodType(alloc_tag, requester)


def advertise(end: Any, credits: Sequence[int]) -> None:
    """Let a port advertise PH, PD, NPH, NPD, CPLH and CPLD credits; 0 is infinite.

    To be called before time passes. (Another port in its place would leave the first one running,
    which fails as it is connected to nothing.)
    """
    state = end.fc_state[0]
    fields = (state.ph, state.pd, state.nph, state.npd, state.cplh, state.cpld)
    for field, count in zip(fields, credits, strict=True):
        field.rx_initial_allocation = field.rx_credits_allocated = count
