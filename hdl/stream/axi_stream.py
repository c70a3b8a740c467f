"""AXI4-Stream at the boundary: the signature and an adapter for each direction."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["AxiStreamInterface", "AxiStreamSignature", "FromAxiStream", "ToAxiStream"]


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream of packets, seen from the transmitter.

    Specification: Arm IHI 0051B, AMBA AXI-Stream, 2.1 (signals) and 2.4 (byte qualifiers);
    without ``TSTRB``, ``TID`` and ``TDEST``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; a power of two.

    Members
    -------
    tdata : Out(8 * data_bytes)
        Byte 0, the first on the wire, lowest.
    tkeep : Out(data_bytes)
        Bit n set: byte n carries data.
    tlast : Out(1)
        Final beat of the packet.
    tuser : Out(1)
        Meaningful with ``tlast``: the packet is damaged.
    tvalid, tready : Out(1), In(1)
        A beat passes when both are set.
    """

    def __init__(self, data_bytes: int):
        PacketLayout(data_bytes)  # one rule for the width
        self.data_bytes = data_bytes
        super().__init__(
            {
                "tdata": Out(8 * data_bytes),
                "tkeep": Out(data_bytes),
                "tlast": Out(1),
                "tuser": Out(1),
                "tvalid": Out(1),
                "tready": In(1),
            }
        )

    def prefixed(self, prefix: str) -> dict[str, wiring.Member]:
        """Members of a component for this bus, named ``<prefix>_tdata`` and so on.

        As a member of its own, the bus would be called ``<prefix>__tdata`` in Verilog, where
        tools and testbenches look for a single underscore.
        """
        return {f"{prefix}_{name}": member for name, member in self.members.items()}


class AxiStreamInterface:
    """The ports ``<prefix>_tdata`` and so on of a component as one bus, for ``connect``.

    Parameters
    ----------
    component : wiring.Component
        Has the members that ``signature.prefixed(prefix)`` makes, flipped or not.
    prefix : str
        First part of their names.
    signature : wiring.Signature
        An :class:`AxiStreamSignature`, flipped where the component receives.
    """

    tdata: Signal
    tkeep: Signal
    tlast: Signal
    tuser: Signal
    tvalid: Signal
    tready: Signal

    def __init__(
        self,
        component: wiring.Component,
        prefix: str,
        signature: "wiring.Signature | wiring.FlippedSignature",
    ):
        self.signature = signature
        for name in signature.members:
            setattr(self, name, getattr(component, f"{prefix}_{name}"))


class FromAxiStream(wiring.Component):
    """Receive packets from AXI4-Stream, and let only well-formed ones in.

    Beats that keep the rules of :class:`PacketLayout` (full, or last and filled from byte 0)
    pass unchanged. What AXI allows besides is made to fit, so that nothing behind this
    adapter has to know of it:

    - A null beat (``tkeep`` 0) without ``tlast`` carries nothing and is left out.
    - A packet of null beats only does not exist, and leaves no trace but ``malformed``.
    - A beat partly filled without ``tlast``, one with a hole in ``tkeep``, or a null beat
      with ``tlast`` behind other beats is passed as a full beat, and the packet's ``error``
      is set. Its bytes are not packed together: such a packet is to be dropped.

    The next packet is never touched. ``tuser`` becomes ``error``; without ``tlast`` it is
    ignored.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries.

    Specification: Arm IHI 0051B, AMBA AXI-Stream, 2.2 (handshake), 2.4 (byte qualifiers),
    2.5 (packets).

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    s_axis_tdata, s_axis_tkeep, s_axis_tlast, s_axis_tuser, s_axis_tvalid, s_axis_tready
        Bus, see :class:`AxiStreamSignature`; ``s_axis_tready`` depends combinationally on
        ``o.ready``.
    o : Out(PacketSignature(data_bytes))
        Packets, registered.
    malformed : Out(1)
        Event, registered: pulses in the cycle after the last beat of each packet that was
        marked, or did not exist, for the reasons above.

    Attributes
    ----------
    s_axis : AxiStreamInterface
        The bus as one interface.
    is_open, damaged : Signal
        State: of the packet that is arriving, something has passed; something did not fit.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two.
    """

    s_axis_tdata: Signal
    s_axis_tkeep: Signal
    s_axis_tlast: Signal
    s_axis_tuser: Signal
    s_axis_tvalid: Signal
    s_axis_tready: Signal
    o: stream.Interface
    malformed: Signal

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        bus = AxiStreamSignature(data_bytes)
        members = {name: member.flip() for name, member in bus.prefixed("s_axis").items()}
        super().__init__({**members, "o": Out(PacketSignature(data_bytes)), "malformed": Out(1)})
        self.s_axis = AxiStreamInterface(self, "s_axis", bus.flip())
        self.is_open = Signal()
        self.damaged = Signal()

    def elaborate(self, platform):
        m = Module()
        bus = self.s_axis

        is_null = Signal()
        has_hole = Signal()
        fits = Signal()
        m.d.comb += [
            is_null.eq(~bus.tkeep.any()),
            has_hole.eq((bus.tkeep & ~((bus.tkeep << 1) | 1)).any()),
            fits.eq(bus.tkeep.all() | (bus.tlast & ~is_null & ~has_hole)),
        ]

        left_out = Signal()
        marked = Signal()
        m.d.comb += [
            left_out.eq(is_null & ~(bus.tlast & self.is_open)),
            marked.eq(self.damaged | ~(fits | left_out)),
        ]

        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(beat),
            bus.tready.eq(self.o.ready | ~self.o.valid),
        ]
        m.d.sync += self.malformed.eq(0)
        with m.If(bus.tready):
            m.d.sync += [
                self.o.valid.eq(bus.tvalid & ~left_out),
                beat.data.eq(bus.tdata),
                beat.keep.eq(bus.tkeep | (~fits).replicate(self.data_bytes)),
                beat.last.eq(bus.tlast),
                beat.error.eq(bus.tlast & (bus.tuser | marked)),
            ]
            with m.If(bus.tvalid):
                m.d.sync += [
                    self.is_open.eq(~bus.tlast & (self.is_open | ~left_out)),
                    self.damaged.eq(~bus.tlast & marked),
                    self.malformed.eq(bus.tlast & (marked | left_out)),
                ]

        return m


class ToAxiStream(wiring.Component):
    """Send packets on AXI4-Stream.

    Beats leave unchanged: ``tkeep`` is full but for the last beat, where it is filled from
    byte 0; ``tuser`` is ``error`` with ``tlast`` and 0 otherwise.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries.

    Specification: Arm IHI 0051B, AMBA AXI-Stream, 2.2 (handshake), 2.4 (byte qualifiers),
    2.5 (packets).

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets. ``i.ready`` depends combinationally on ``m_axis_tready``.
    m_axis_tdata, m_axis_tkeep, m_axis_tlast, m_axis_tuser, m_axis_tvalid, m_axis_tready
        Bus, see :class:`AxiStreamSignature`; registered.

    Attributes
    ----------
    m_axis : AxiStreamInterface
        The bus as one interface.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two.
    """

    i: stream.Interface
    m_axis_tdata: Signal
    m_axis_tkeep: Signal
    m_axis_tlast: Signal
    m_axis_tuser: Signal
    m_axis_tvalid: Signal
    m_axis_tready: Signal

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        bus = AxiStreamSignature(data_bytes)
        super().__init__({"i": In(PacketSignature(data_bytes)), **bus.prefixed("m_axis")})
        self.m_axis = AxiStreamInterface(self, "m_axis", bus)

    def elaborate(self, platform):
        m = Module()
        bus = self.m_axis

        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += [
            bus.tdata.eq(beat.data),
            bus.tkeep.eq(beat.keep),
            bus.tlast.eq(beat.last),
            bus.tuser.eq(beat.error),
            self.i.ready.eq(bus.tready | ~bus.tvalid),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                bus.tvalid.eq(self.i.valid),
                beat.eq(self.i.payload),
                beat.error.eq(self.i.p.error & self.i.p.last),
            ]

        return m
