"""The responder's model by hand: SENDs, WRITEs and datagrams that arrive, or in part."""

from sim.roce import QueuePairState, ReceiveRequest, Service
from tb.roce.host import BASE, KEY, MTU, Host, reth


def test_a_write_over_pages():
    host = Host()
    data = bytes(n * n >> 3 & 0xFF for n in range(40 * MTU))
    parts = [data[n : n + MTU] for n in range(0, len(data), MTU)]
    assert host.put("WRITE_FIRST", parts[0], ack=0, headers=reth(len(data), BASE + 5)) == []
    for part in parts[1:-1]:
        assert host.put("WRITE_MIDDLE", part, ack=0) == []
    assert host.put("WRITE_LAST", parts[-1]) == [(0x11, host.last, 4)]
    read = host.responder.memory.read
    first = 0x1000 - 0x805
    assert read(0, 0x40805, first) == data[:first]
    assert read(1, 0x30000, 0x1000) == data[first : first + 0x1000]
    assert read(0, 0x20000, 0x1000) == data[first + 0x1000 : first + 0x2000]
    rest = data[first + 0x2000 :]
    assert read(1, 0x10000, len(rest) + 1) == rest + b"\0"
    assert host.qp.msn == 1


def test_a_send_into_two_buffers():
    host = Host(receives=1)
    data = bytes(range(200)) * 3
    host.put("SEND_FIRST", data[:MTU], ack=0)
    host.put("SEND_MIDDLE", data[MTU : 2 * MTU], ack=0)
    immediate = {"immdt": {"immediate_data": 0xABCD}}
    # No receive request is left: no credit.
    assert host.put("SEND_LAST_IMMEDIATE", data[2 * MTU :], headers=immediate) == [
        (0x11, host.last, 0)
    ]
    assert host.responder.memory.read(0, 0x900000, 300) == data[:300]
    assert host.responder.memory.read(1, 0x900000, 300) == data[300:]
    (completion,) = host.responder.completions
    assert (completion.byte_length, completion.immediate) == (600, 0xABCD)
    assert completion.source_queue_pair == 0, "of datagrams only"


def test_a_shared_queue_tells_of_its_limit_once():
    host = Host(receives=4)
    host.qp.receives.is_shared, host.qp.receives.limit = True, 3
    for _ in range(3):
        host.put("SEND_ONLY")
    assert host.responder.events == [("limit", 7)]


def test_unreliable_connected_drops_messages_that_lost_a_packet():
    host = Host(service=Service.UC)
    assert host.put("SEND_FIRST", bytes(MTU)) == []
    host.put("SEND_LAST", b"x", psn=host.qp.expected + 1)
    assert host.responder.completions == []
    host.put("SEND_ONLY", b"abc")
    (completion,) = host.responder.completions
    assert (completion.identifier, completion.byte_length) == (0, 3)
    host.put("WRITE_ONLY", b"x", headers=reth(1, key=KEY ^ 1))
    host.put("SEND_FIRST", bytes(MTU))
    host.put("SEND_ONLY", b"de")
    assert [c.identifier for c in host.responder.completions] == [0, 1]
    assert host.qp.state is QueuePairState.READY


def test_datagrams():
    host = Host(service=Service.UD)
    deth = {"q_key": 0x42, "src_qp": 77}
    assert host.put("SEND_ONLY", bytes(MTU), headers={"deth": deth}) == []
    (completion,) = host.responder.completions
    assert (completion.byte_length, completion.source_queue_pair) == (MTU + 40, 77)
    host.put("SEND_ONLY", b"x", headers={"deth": {**deth, "q_key": 0x43}})
    host.put("SEND_ONLY", bytes(MTU + 4), headers={"deth": deth})
    host.qp.receives.requests.clear()
    host.put("SEND_ONLY", b"x", headers={"deth": deth})
    host.qp.receives.requests.append(ReceiveRequest(1, ((0, 0, 40),)))
    host.put("SEND_ONLY", b"x", headers={"deth": deth})
    assert host.responder.dropped == ["Q_Key", "length", "no receive request", "buffer"]
    # The queue pair keeps what it took for the next datagram.
    assert host.qp.receive == ReceiveRequest(1, ((0, 0, 40),))
