"""Completion queues: rings of entries in memory, arming and overflow."""

from dataclasses import dataclass

from .queue_pair import Completion

__all__ = [
    "COUNT_MODULUS",
    "ENTRY_BYTES",
    "CompletionQueue",
    "PostedEntry",
    "ReadEntry",
    "read_entry",
    "write_entry",
]

ENTRY_BYTES = 32
#: Counters of entries: of rings of 2**24 entries, one bit more.
COUNT_MODULUS = 1 << 25

_IS_WRITE, _HAS_IMMEDIATE, _HAS_INVALIDATED, _SOLICITED, _OWNER = 1, 2, 4, 8, 0x80
_SUCCESS = 0


@dataclass(frozen=True)
class PostedEntry:
    """An entry to write, and whether to interrupt when it is written."""

    space: int
    address: int
    data: bytes
    interrupt: bool


@dataclass(frozen=True)
class ReadEntry:
    """What software finds in an entry; ``status`` is a number, ``owner`` says in which round."""

    handle: int
    byte_length: int
    queue_pair: int
    status: int
    is_write: bool
    immediate: int | None
    invalidated: int | None
    source_queue_pair: int
    solicited: bool
    owner: int
    count: int


def write_entry(completion: Completion, *, owner: int, count: int) -> bytes:
    """Bytes of the entry for ``completion``, little-endian."""
    value, flags = 0, 0
    if completion.immediate is not None:
        value, flags = completion.immediate, _HAS_IMMEDIATE
    elif completion.invalidated is not None:
        value, flags = completion.invalidated, _HAS_INVALIDATED
    flags |= _IS_WRITE * completion.is_write | _SOLICITED * completion.solicited | _OWNER * owner
    return b"".join(
        number.to_bytes(size, "little")
        for number, size in (
            (completion.identifier, 4),
            (completion.byte_length, 4),
            (value, 4),
            (completion.queue_pair, 3),
            (completion.status.value, 1),
            (completion.source_queue_pair, 3),
            (flags, 1),
            (count, 4),
            (0, 8),
        )
    )


def read_entry(data: bytes) -> ReadEntry:
    """Take an entry apart."""
    fields = [
        int.from_bytes(data[start:end], "little")
        for start, end in ((0, 4), (4, 8), (8, 12), (12, 15), (15, 16), (16, 19), (19, 20))
    ]
    handle, byte_length, value, queue_pair, status, source_queue_pair, flags = fields
    return ReadEntry(
        handle=handle,
        byte_length=byte_length,
        queue_pair=queue_pair,
        status=status,
        is_write=bool(flags & _IS_WRITE),
        immediate=value if flags & _HAS_IMMEDIATE else None,
        invalidated=value if flags & _HAS_INVALIDATED else None,
        source_queue_pair=source_queue_pair,
        solicited=bool(flags & _SOLICITED),
        owner=int(bool(flags & _OWNER)),
        count=int.from_bytes(data[20:24], "little"),
    )


@dataclass
class CompletionQueue:
    """A completion queue, as it is set up.

    Arming is that of verbs (IBTA Architecture Specification volume 1, 11.4.2): one interrupt with
    the next entry, or with the next that is solicited or in error. Whoever arms says what it has
    consumed; if there is more, it is interrupted at once, because it may have looked before the
    entry came.

    Parameters
    ----------
    space, address : int
        Where the ring begins; a multiple of 32.
    size_shift : int
        The ring has 2**size_shift entries, 2**24 at most.
    vector : int
        Whom to interrupt.
    """

    space: int
    address: int
    size_shift: int
    vector: int = 0

    #: Entries written and consumed, modulo 2**25.
    producer: int = 0
    consumer: int = 0
    is_armed: bool = False
    is_armed_for_solicited: bool = False
    is_in_error: bool = False

    @property
    def size(self) -> int:
        """Entries in the ring."""
        return 1 << self.size_shift

    def push(self, completion: Completion) -> PostedEntry | None:
        """Give the next place to ``completion``; None if there is none, which is an error."""
        if (self.producer - self.consumer) % COUNT_MODULUS == self.size:
            self.is_in_error = True
        if self.is_in_error:
            return None
        place, rounds = self.producer % self.size, self.producer // self.size
        interrupt = self.is_armed or (
            self.is_armed_for_solicited
            and (completion.solicited or completion.status.value != _SUCCESS)
        )
        if interrupt:
            self.is_armed = self.is_armed_for_solicited = False
        posted = PostedEntry(
            space=self.space,
            address=self.address + ENTRY_BYTES * place,
            data=write_entry(completion, owner=1 - rounds % 2, count=self.producer),
            interrupt=interrupt,
        )
        self.producer = (self.producer + 1) % COUNT_MODULUS
        return posted

    def consume(self, consumer: int) -> None:
        """Note how many entries have been consumed."""
        self.consumer = consumer

    def arm(self, consumer: int, *, solicited: bool = False) -> bool:
        """Arm, for ``solicited`` entries only or for any; True if the interrupt comes at once."""
        self.consume(consumer)
        if self.producer != consumer:
            self.is_armed = self.is_armed_for_solicited = False
            return True
        if solicited:
            self.is_armed_for_solicited = True
        else:
            self.is_armed = True
        return False
