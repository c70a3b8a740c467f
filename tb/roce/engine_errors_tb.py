"""cocotb testbench of hdl.roce.engine: a failure within a message ends it with its cause."""

from collections import Counter

import cocotb

from sim.roce import SendKind, SendRequest, SendStatus
from sim.roce.work_entry import encode_entry

from .engine_hostile_tb import BASE, KEY, REGION_BYTES, Vandal, add_region, begin

_MTU = 256
_NO_KEY = KEY ^ 1


def write(*pieces: tuple[int, int], length: int | None = None) -> bytes:
    """WRITE of pieces (key, bytes); the entry may say another length."""
    gather = tuple((key, BASE + 1024 * n, size) for n, (key, size) in enumerate(pieces))
    request = SendRequest(
        0, SendKind.WRITE, gather=gather, remote_address=BASE + REGION_BYTES // 2, remote_key=KEY
    )
    entry = bytearray(encode_entry(request))
    if length is not None:
        entry[20:24] = length.to_bytes(4, "little")
    return bytes(entry)


_WRONG = {
    "last": (write((KEY, 2 * _MTU), (_NO_KEY, 9)), SendStatus.LOCAL_PROTECTION),
    "middle": (write((KEY, _MTU), (_NO_KEY, 9), (KEY, 400)), SendStatus.LOCAL_PROTECTION),
    "short list": (write((KEY, 700), length=1000), SendStatus.LOCAL_LENGTH),
    "long piece": (write((KEY, 700), length=699), SendStatus.LOCAL_LENGTH),
    "long list": (write((KEY, 700), (KEY, 0), (KEY, 1), length=700), SendStatus.LOCAL_LENGTH),
}


@cocotb.test()
@cocotb.parametrize(name=[*_WRONG], before=[0, 1, 3])
async def a_message_fails_in_its_middle(dut, name, before):
    """Let those before it succeed; it has its own error, though nobody acknowledges any of it."""
    world = await begin(dut)
    await add_region(world)
    vandal = Vandal(world, 22, Counter())
    entry, status = _WRONG[name]
    good = write((KEY, 700))
    slots = [0]
    for data in [*[good] * before, entry]:
        slots.append(slots[-1] + len(data) // 64)
    told = await vandal.ended(b"".join([*[good] * before, entry, good]), slots[-1])
    statuses = [*[SendStatus.SUCCESS] * before, status, SendStatus.FLUSHED]
    assert told == [*zip(slots, statuses, strict=True)]
