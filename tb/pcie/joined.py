"""Two ports joined inside the hardware, without a link between."""

from typing import Any

from amaranth import *

__all__ = ["join_ports"]

#: Cycles after reset, or after the upper port let go, until the two are up.
_TRAINING_CYCLES = 32


def join_ports(m: Module, above: Any, below: Any, segment_count: int) -> None:
    """Join ``above``, a downstream port of a switch, to ``below``, the port of what is under it."""
    trained = Signal(range(_TRAINING_CYCLES + 1))
    is_up = Signal()
    m.d.comb += is_up.eq(trained == _TRAINING_CYCLES)
    with m.If(above.hot_reset | above.link_disable):
        m.d.sync += trained.eq(0)
    with m.Elif(~is_up):
        m.d.sync += trained.eq(trained + 1)
    for sender, receiver in ((above, below), (below, above)):
        m.d.comb += [
            receiver.rx.eq(sender.tx.payload),
            receiver.rx.valid.eq(sender.tx.p.valid & sender.tx.valid.replicate(segment_count)),
            sender.tx.ready.eq(1),
            sender.tx_limits.eq(receiver.rx_credits),
            sender.link_up.eq(is_up),
            sender.link_speed.eq(5),
            sender.link_width.eq(16),
        ]
