"""Ports that mean something in each cycle in which they are valid."""

from cocotb.triggers import Lock, RisingEdge

__all__ = ["Strobes"]


class Strobes:
    """A port of strobes, one after the other, with a cycle between them if ``gap``."""

    def __init__(self, dut, name: str, *, gap: bool = False):
        self.dut = dut
        self.port = dut[name]
        self.port.value = 0
        self.gap = gap
        self.lock = Lock()

    async def give(self, value: int) -> None:
        """Give a strobe; return when the device has seen it."""
        async with self.lock:
            self.port.value = value
            await RisingEdge(self.dut.clk)
            self.port.value = 0
            if self.gap:
                await RisingEdge(self.dut.clk)
