"""Transaction layer packets as values."""

from dataclasses import dataclass, replace
from enum import IntEnum

__all__ = ["Kind", "Tlp", "TlpClass"]


class TlpClass(IntEnum):
    """Flow control class (PCI Express Base Specification, 2.6.1)."""

    POSTED = 0
    NON_POSTED = 1
    COMPLETION = 2


class Kind(IntEnum):
    """Type field (2.2.1, table of encodings)."""

    MEMORY = 0x00
    MEMORY_LOCKED = 0x01
    IO = 0x02
    CONFIGURATION_0 = 0x04
    CONFIGURATION_1 = 0x05
    COMPLETION = 0x0A
    COMPLETION_LOCKED = 0x0B
    FETCH_ADD = 0x0C
    SWAP = 0x0D
    COMPARE_AND_SWAP = 0x0E
    MESSAGE_TO_ROOT = 0x10
    MESSAGE_BY_ADDRESS = 0x11
    MESSAGE_BY_ID = 0x12
    MESSAGE_BROADCAST = 0x13
    MESSAGE_LOCAL = 0x14
    MESSAGE_GATHER = 0x15


@dataclass(frozen=True)
class Tlp:
    """One TLP. Fields mean what they do on the wire; those of other kinds stay 0.

    Parameters
    ----------
    kind : int
        Type field; a :class:`Kind`, or an unknown code.
    data : bytes or None
        Payload in wire order, whole DW; None if Fmt says that there is none.
    length : int
        Length field in DW as meant, 1 to 1024; of a TLP without data what is asked for, or 0
        where the field is reserved.
    target : int
        Of configuration requests and messages by ID.
    digest : bytes or None
        Four bytes behind the payload (TD).
    prefix : int or None
        End-to-end prefix, byte 0 in the lowest bits.
    nullified : bool
        The sender took it back.
    """

    kind: int
    data: bytes | None = None
    four_dwords: bool = False
    length: int = 0
    tc: int = 0
    no_snoop: bool = False
    relaxed_ordering: bool = False
    id_ordering: bool = False
    at: int = 0
    th: bool = False
    ln: bool = False
    poisoned: bool = False
    tag: int = 0
    requester: int = 0
    # Memory, I/O, atomics; byte enables also of configuration requests.
    first_be: int = 0
    last_be: int = 0
    address: int = 0
    # Configuration, messages.
    target: int = 0
    register: int = 0
    # Completions.
    completer: int = 0
    status: int = 0
    bcm: bool = False
    byte_count: int = 0
    lower_address: int = 0
    # Messages.
    code: int = 0
    vendor: int = 0
    message_payload: int = 0
    digest: bytes | None = None
    prefix: int | None = None
    nullified: bool = False

    @property
    def is_message(self) -> bool:
        """Whether the type field is one of the eight message codes."""
        return self.kind >> 3 == 0b10

    @property
    def is_completion(self) -> bool:
        """Whether it answers a request."""
        return self.kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED)

    @property
    def tlp_class(self) -> TlpClass:
        """Flow control class."""
        if self.is_completion:
            return TlpClass.COMPLETION
        if self.is_message or (self.kind == Kind.MEMORY and self.data is not None):
            return TlpClass.POSTED
        return TlpClass.NON_POSTED

    @property
    def data_credits(self) -> int:
        """Data credits by the Length field: one for each 16 bytes begun (2.6.1)."""
        return 0 if self.data is None else -(-self.length // 4)

    @property
    def segments(self) -> int:
        """Segments of 32 bytes that payload and digest fill; at least one."""
        carried = len(self.data or b"") + len(self.digest or b"")
        return max(1, -(-carried // 32))

    def with_changes(self, **changes: object) -> "Tlp":
        """Copy with some fields changed."""
        return replace(self, **changes)
