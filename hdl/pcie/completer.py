"""Answers to the requests that the switch itself serves or refuses."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from .answer_room import AnswerRoom
from .bridge_function import CapturedLayout
from .local_column import DeadRequestLayout
from .parts import ConfigAccessSignature, LocalRequestLayout
from .route import BridgeLayout, check_ports
from .rules import Action, Rule
from .tlp import CompletionStatus, TlpHeaderLayout, TlpType

__all__ = ["AnswerLayout", "Completer"]


class AnswerLayout(data.StructLayout):
    """TLP of one segment that the switch makes.

    Fields
    ------
    port : port_count bits
        One-hot: the port that it leaves from.
    header : TlpHeaderLayout
        Its header.
    data : 32 bits
        Its payload, if the header says that there is one: byte 0 in the lowest bits.
    """

    def __init__(self, port_count: int):
        super().__init__({"port": port_count, "header": TlpHeaderLayout(), "data": 32})


class _JobLayout(data.StructLayout):
    """Request with all that is known of it before it is looked into."""

    def __init__(self, port_count: int):
        super().__init__(
            {
                "header": TlpHeaderLayout(),
                "data": 32,
                "port": port_count,
                "is_configuration": 1,
                "is_aborted": 1,
                "function": 3,
            }
        )


class _OutlineLayout(data.StructLayout):
    """Completion but for its payload and the completer's number."""

    def __init__(self, port_count: int):
        super().__init__(
            {
                "port": port_count,
                "owner": port_count,
                "requester": 16,
                "tag": 14,
                "tc": 3,
                "attributes": 3,
                "is_locked": 1,
                "has_data": 1,
                "status": CompletionStatus,
                "byte_count": 12,
                "lower_address": 7,
            }
        )


def _first_offset(enables: Value) -> Value:
    """Bytes of a DW before the first enabled; 3 if none is."""
    return Mux(enables[0], 0, Mux(enables[1], 1, Mux(enables[2], 2, 3)))


def _last_offset(enables: Value) -> Value:
    """Bytes of a DW behind the last enabled; 0 if none is."""
    return Mux(enables[3], 0, Mux(enables[2], 1, Mux(enables[1], 2, Mux(enables[0], 3, 0))))


class Completer(wiring.Component):
    """Serve configuration requests and refuse what is to be refused: one completion each.

    A request whose rule is CONFIGURATION reads or writes the configuration space of a port's
    function and succeeds; a poisoned write has no effect and is unsupported. All others are
    answered without data: Completer Abort where the route says ABORT, else Unsupported
    Request. The completer's number is that of the function accessed, or of the port that the
    request came from. Requester, tag, traffic class and attributes are the request's. Byte count
    and lower address are, of memory reads, those of a first completion; the byte count of an atomic
    operation is its operand's size; else they are 4 and 0.

    The inputs take turns, and only those take part whose answer has room in the queue of the port
    that it leaves from: a port that takes no answers delays nobody else. The requests of an
    input are served and answered in order.

    Latency is 5 cycles from a request to its answer; the configuration space is accessed after 2.
    Throughput is 1 answer per cycle over all ports, and ``row_count`` answers to a port in the time
    from such an answer's request until its row has left.

    Specification: PCI Express Base Specification, rules for completions (2.2.9), for byte count and
    lower address (2.3.1.1) and for unsupported requests (2.3.1).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    row_count : int
        Answers that the queue of each port holds.

    Members
    -------
    requests : In(stream.Signature(LocalRequestLayout(port_count))).array(port_count)
        Requests of each port. Offers may be taken back; ``ready`` depends combinationally on every
        ``valid``.
    dead : In(stream.Signature(DeadRequestLayout(port_count))).array(port_count)
        Requests that each port could not send; likewise.
    hold : In(1)
        Begin no answer in this cycle: 5 cycles later ``o`` is free.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Of which ``bus`` and ``device`` count; they are current 2 cycles after ``captured``.
    left : In(port_count)
        Bit n: an answer has left the queue of port n.
    config : Out(ConfigAccessSignature())
        Access to the functions, registered.
    captured : Out(CapturedLayout())
        Strobe, together with the access that caused it. Registered.
    o_valid : Out(1)
        There is an answer, a strobe. Registered.
    o : Out(AnswerLayout(port_count))
        The answer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    requests: list[Any]
    dead: list[Any]
    hold: Signal
    bridges: list[Any]
    left: Signal
    config: Any
    captured: Any
    o_valid: Signal
    o: Any

    def __init__(self, *, port_count: int, row_count: int):
        check_ports(port_count)
        self.port_count = port_count
        self._room = AnswerRoom(port_count=port_count, row_count=row_count)
        request = stream.Signature(LocalRequestLayout(port_count))
        dead = stream.Signature(DeadRequestLayout(port_count))
        super().__init__(
            {
                "requests": In(request).array(port_count),
                "dead": In(dead).array(port_count),
                "hold": In(1),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "left": In(port_count),
                "config": Out(ConfigAccessSignature()),
                "captured": Out(CapturedLayout()),
                "o_valid": Out(1),
                "o": Out(AnswerLayout(port_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job: Any = Signal(_JobLayout(self.port_count), reset_less=True)
        job_valid = Signal()
        self._choose(m, job, job_valid)

        outline: Any = Signal(_OutlineLayout(self.port_count))
        self._outline(m, job, outline)
        self._access(m, job, job_valid)

        # What was read comes two cycles after the access.
        for number in range(3):
            delayed = Signal.like(outline, name=f"outline_{number}", reset_less=True)
            delayed_valid = Signal(name=f"outline_valid_{number}")
            m.d.sync += [delayed.eq(outline), delayed_valid.eq(job_valid)]
            outline, job_valid = delayed, delayed_valid
        self._answer(m, outline, job_valid)
        return m

    def _choose(self, m: Module, job: Any, job_valid: Signal) -> None:
        """Cycle 0: of the requests whose answers have room, take one."""
        m.submodules.room = room = self._room
        m.submodules.picker = picker = RoundRobinPicker(request_count=2 * self.port_count)

        candidates = []
        eligible = []
        for number in range(self.port_count):
            request = self.requests[number]
            offer: Any = Signal(_JobLayout(self.port_count), name=f"request_{number}")
            route = request.p.route
            m.d.comb += [
                offer.header.eq(request.p.header),
                offer.data.eq(request.p.data),
                offer.port.eq(1 << number),
                offer.is_configuration.eq(
                    (route.action == Action.LOCAL) & (route.rule == Rule.CONFIGURATION)
                ),
                offer.is_aborted.eq(route.action == Action.ABORT),
                offer.function.eq(route.function),
            ]
            candidates.append((request, offer))
            eligible.append(request.valid & room.has_room[number])
        for number in range(self.port_count):
            request = self.dead[number]
            offer = Signal(_JobLayout(self.port_count), name=f"dead_{number}")
            m.d.comb += [offer.header.eq(request.p.header), offer.port.eq(request.p.port)]
            candidates.append((request, offer))
            eligible.append(request.valid & (request.p.port & room.has_room).any())

        take = Signal(2 * self.port_count)
        m.d.comb += [
            picker.requests.eq(Cat(eligible)),
            picker.take.eq(~self.hold),
            take.eq(Mux(self.hold, 0, picker.grant)),
            Cat(request.ready for request, _ in candidates).eq(take),
            room.left.eq(self.left),
            room.take.eq(select_one_hot(take, [offer.port for _, offer in candidates])),
        ]
        m.d.sync += [
            job_valid.eq(take.any()),
            Value.cast(job).eq(select_one_hot(picker.grant, [offer for _, offer in candidates])),
        ]

    def _access(self, m: Module, job: Any, job_valid: Value) -> None:
        """Cycle 1: access a function's configuration space."""
        configuration = job.header.specific.configuration
        request = Signal.like(self.config.request, reset_less=True)
        captured = Signal(CapturedLayout(), reset_less=True)
        is_access = Signal()
        is_capture = Signal()
        served = Signal()
        m.d.comb += [
            served.eq(job_valid & self._is_served(job)),
            self.config.request.eq(request),
            self.config.request.valid.eq(is_access),
            self.captured.eq(captured),
            self.captured.valid.eq(is_capture),
        ]
        m.d.sync += [
            is_access.eq(served),
            request.function.eq(job.function),
            request.register.eq(configuration.register),
            request.write.eq(job.header.has_data),
            request.byte_enables.eq(configuration.first_be),
            request.data.eq(job.data),
            is_capture.eq(
                served & job.header.has_data & (job.header.type == TlpType.CONFIGURATION_0)
            ),
            captured.bus.eq(configuration.target[8:16]),
            captured.device.eq(configuration.target[3:8]),
        ]

    @staticmethod
    def _is_served(job: Any) -> Value:
        """Whether it is a configuration request with a good payload."""
        return job.is_configuration & ~(job.header.has_data & job.header.poisoned)

    def _outline(self, m: Module, job: Any, outline: Any) -> None:
        """Cycle 1: what the completion will be."""
        header = job.header
        memory = header.specific.memory
        is_locked = Signal()
        is_read = Signal()
        is_atomic = Signal()
        m.d.comb += [
            is_locked.eq(header.type == TlpType.MEMORY_LOCKED),
            is_read.eq((header.type == TlpType.MEMORY) | is_locked),
            is_atomic.eq(
                (header.type == TlpType.FETCH_ADD)
                | (header.type == TlpType.SWAP)
                | (header.type == TlpType.COMPARE_AND_SWAP)
            ),
        ]

        # Of one DW only, the first byte enables are the last as well.
        first_offset = Signal(2)
        skipped = Signal(3)
        m.d.comb += [
            first_offset.eq(_first_offset(memory.first_be)),
            skipped.eq(
                first_offset
                + _last_offset(Mux(header.length == 1, memory.first_be, memory.last_be))
            ),
        ]

        served = Signal()
        m.d.comb += [
            served.eq(self._is_served(job)),
            outline.port.eq(job.port),
            outline.owner.eq(
                Mux(
                    served,
                    Cat(job.function == number for number in range(self.port_count)),
                    job.port,
                )
            ),
            outline.requester.eq(header.requester),
            outline.tag.eq(header.tag),
            outline.tc.eq(header.tc),
            outline.attributes.eq(Value.cast(header.attributes)),
            outline.is_locked.eq(is_locked),
            outline.has_data.eq(served & ~header.has_data),
            outline.status.eq(
                Mux(
                    served,
                    CompletionStatus.SUCCESS,
                    Mux(
                        job.is_aborted,
                        CompletionStatus.COMPLETER_ABORT,
                        CompletionStatus.UNSUPPORTED_REQUEST,
                    ),
                )
            ),
            outline.byte_count.eq(4),
        ]
        with m.If(is_read):
            m.d.comb += [
                outline.byte_count.eq(Cat(C(0, 2), header.length) - skipped),
                outline.lower_address.eq(
                    Cat(Mux(memory.first_be.any(), first_offset, 0), memory.address[2:7])
                ),
            ]
        with m.Elif(is_atomic):
            # Compare and swap carries two operands.
            m.d.comb += outline.byte_count.eq(
                Mux(
                    header.type == TlpType.COMPARE_AND_SWAP,
                    Cat(C(0, 1), header.length),
                    Cat(C(0, 2), header.length),
                )
            )

    def _answer(self, m: Module, outline: Any, valid: Value) -> None:
        """Cycle 4: put the completion together."""
        number = Signal(13)
        m.d.comb += number.eq(
            select_one_hot(
                outline.owner, [Cat(bridge.device, bridge.bus) for bridge in self.bridges]
            )
        )
        answer: Any = Signal(AnswerLayout(self.port_count), reset_less=True)
        header = answer.header
        completion = header.specific.completion
        m.d.comb += self.o.eq(answer)
        m.d.sync += [
            self.o_valid.eq(valid),
            Value.cast(answer).eq(0),
            answer.port.eq(outline.port),
            answer.data.eq(self.config.read_data),
            header.has_data.eq(outline.has_data),
            header.type.eq(Mux(outline.is_locked, TlpType.COMPLETION_LOCKED, TlpType.COMPLETION)),
            header.length.eq(outline.has_data),
            header.tc.eq(outline.tc),
            Value.cast(header.attributes).eq(outline.attributes),
            header.tag.eq(outline.tag),
            header.requester.eq(outline.requester),
            completion.completer.eq(Cat(C(0, 3), number)),
            completion.status.eq(outline.status),
            completion.byte_count.eq(outline.byte_count),
            completion.lower_address.eq(outline.lower_address),
        ]
