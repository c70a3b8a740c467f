"""Well-formed TLPs of all kinds, for hypothesis."""

from hypothesis import strategies as st

from sim.pcie import Kind, Tlp

ATOMICS = {Kind.FETCH_ADD: (1, 2), Kind.SWAP: (1, 2), Kind.COMPARE_AND_SWAP: (2, 4, 8)}
MESSAGES = [kind for kind in Kind if kind >> 3 == 0b10]
CONFIGURATIONS = [Kind.CONFIGURATION_0, Kind.CONFIGURATION_1]

identifiers = st.integers(0, 0xFFFF)
booleans = st.booleans()


@st.composite
def tlps(draw, kinds=tuple(Kind), most_dwords=32, address_bits=64, requesters=identifiers):
    """Any TLP of ``kinds``; bounds keep payloads small and addresses near each other."""
    kind = draw(st.sampled_from(sorted(kinds)))
    fields = {
        "kind": kind,
        "tc": 0,
        "tag": draw(st.integers(0, 1023)),
        "requester": draw(requesters),
        "poisoned": draw(booleans),
        "digest": draw(st.none() | st.binary(min_size=4, max_size=4)),
        "prefix": draw(st.none() | st.integers(0, 0xFFFFFF).map(lambda rest: rest << 8 | 0x91)),
    }
    if kind not in (Kind.IO, *CONFIGURATIONS):
        fields |= {
            "tc": draw(st.integers(0, 7)),
            "no_snoop": draw(booleans),
            "relaxed_ordering": draw(booleans),
            "id_ordering": draw(booleans),
        }
    has_data = kind in ATOMICS or (kind != Kind.MEMORY_LOCKED and draw(booleans))
    if kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED):
        length = draw(st.integers(1, most_dwords)) if has_data else 0
        fields |= {
            "completer": draw(identifiers),
            "status": 0 if has_data else draw(st.sampled_from([0, 1, 2, 4])),
            "bcm": draw(booleans),
            "byte_count": draw(st.integers(0, 4095)),
            "lower_address": draw(st.integers(0, 127)),
        }
    elif kind in MESSAGES:
        length = draw(st.integers(1, most_dwords)) if has_data else 0
        fields |= {
            "four_dwords": True,
            "code": draw(st.integers(0, 255)),
            "target": draw(identifiers),
            "vendor": draw(identifiers),
            "message_payload": draw(st.integers(0, (1 << 32) - 1)),
        }
    elif kind in CONFIGURATIONS:
        length = 1
        fields |= {
            "first_be": draw(st.integers(0, 15)),
            "target": draw(identifiers),
            "register": draw(st.integers(0, 1023)),
        }
    else:
        length = draw(_request(kind, fields, most_dwords, address_bits))
    fields["length"] = length
    if has_data:
        start = draw(st.integers(0, 255))
        fields["data"] = bytes((start + n) & 0xFF for n in range(4 * length))
    return Tlp(**fields)


@st.composite
def _request(draw, kind, fields, most_dwords, address_bits):
    """Fill in address and byte enables; give the length in DW."""
    if kind == Kind.IO:
        length, wide = 1, False
    elif kind in ATOMICS:
        length, wide = draw(st.sampled_from(ATOMICS[kind])), draw(booleans)
    else:
        length, wide = draw(st.integers(1, most_dwords)), draw(booleans)
    address = draw(st.integers(0, (1 << min(address_bits, 64 if wide else 32)) - 1)) & ~3
    if kind in ATOMICS:
        address &= ~(4 * length - 1)
    else:
        fields["first_be"] = 15
        address = min(address, (address | 0xFFF) + 1 - 4 * length)
    if length > 1 and kind not in ATOMICS:
        fields["first_be"] = draw(st.sampled_from([1 << n for n in range(4)] + [15, 14, 12]))
        fields["last_be"] = draw(st.sampled_from([1, 3, 7, 15]))
    if kind != Kind.IO:
        fields["at"] = draw(st.sampled_from([0, 0, 1, 2]))
    fields |= {"four_dwords": wide, "address": address}
    return length
