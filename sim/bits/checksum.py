"""Golden model of hdl.bits.InternetChecksum."""

__all__ = ["internet_checksum"]


def internet_checksum(message: bytes) -> int:
    """Checksum that RFC 1071 defines; its high byte is the first on the wire.

    End-around carry makes sums equal modulo 0xffff, and only a sum of nothing but zeros is 0.
    """
    padded = message + bytes(len(message) % 2)
    total = sum(
        int.from_bytes(padded[place : place + 2], "big") for place in range(0, len(padded), 2)
    )
    return 0xFFFF - (((total - 1) % 0xFFFF + 1) if total else 0)
