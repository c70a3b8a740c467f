"""Register tables: placement and the rules that they keep."""

import pytest

from hdl.register import EXAMPLE, Access, Counter, Field, Register, RegisterTable, Window


def field(name: str = "value", bits: int = 8, **given) -> Field:
    return Field(name, bits, given.pop("access", Access.RW), "A value.", **given)


def register(name: str = "control", *fields: Field, **given) -> Register:
    return Register(name, "A register.", fields or (field(),), **given)


def test_entries_take_the_next_aligned_address():
    table = RegisterTable(
        "block",
        "A block.",
        (
            register("a", count=3),
            Counter("b", "A counter.", 1, saturates=False, count=2),
            register("c"),
            Window("d", "A window.", 32),
            register("e", address=0x100),
            register("f"),
        ),
    )
    places = {place.entry.name: place.address for place in table.places()}
    assert places == {"a": 0, "b": 0x10, "c": 0x20, "d": 0x40, "e": 0x100, "f": 0x104}
    assert table.address_bits == 9
    assert table["d"].end == 0x60
    with pytest.raises(KeyError):
        table["g"]


def test_fields_take_the_next_bits():
    placed = register("r", field("a"), field("b", 4, offset=12), field("c")).placed()
    assert [(f.name, offset) for f, offset in placed] == [("a", 0), ("b", 12), ("c", 16)]


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: field("Value"), "snake_case"),
        (lambda: field("signature"), "not 'signature'"),
        (lambda: field("2nd"), "snake_case"),
        (lambda: field(bits=0), "bits of value must be 1 to 32"),
        (lambda: field(bits=33), "bits of value must be 1 to 32"),
        (lambda: field(init=256), "init of value must fit 8 bits"),
        (lambda: field(init=1, access=Access.W1C), "since it is write 1 to clear"),
        (lambda: Register("r", "None.", ()), "must have a field"),
        (lambda: register("r", field(), field()), "different names"),
        (
            lambda: register("r", field("a", access=Access.W1C), field("a_pending")),
            "different names",
        ),
        (lambda: register("r", field("a"), field("b", offset=7)), "bits of its own"),
        (lambda: register("r", field("a", 32), field("b", 1)), "bits of its own"),
        (lambda: register("r", field(offset=-1)), "bits of its own"),
        (lambda: register(count=0), "count of control must be 1 or more"),
        (lambda: register(address=2), "multiple of 4"),
        (lambda: register(address=-4), "multiple of 4"),
        (lambda: Counter("c", "Of 0.", 0, saturates=False), "increment_max of c"),
        (lambda: Counter("c", "Of many.", 2**32, saturates=False), "increment_max of c"),
        (lambda: Counter("c", "Odd.", 1, saturates=False, address=4), "multiple of 8"),
        (lambda: Window("w", "Tiny.", 4), "power of two of 8 or more"),
        (lambda: Window("w", "Odd.", 24), "power of two"),
        (lambda: Window("w", "Askew.", 64, address=32), "multiple of 64"),
        (lambda: RegisterTable("t", "Empty.", ()), "different names"),
        (lambda: RegisterTable("t", "Twice.", (register(), register())), "different names"),
        (
            lambda: RegisterTable("t", "Over.", (register("a", count=2), register("b", address=4))),
            "b must begin at 0x8 or later, not 0x4",
        ),
        (lambda: RegisterTable("a b", "Name.", (register(),)), "snake_case"),
    ],
)
def test_tables_refuse(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_example_has_one_of_everything():
    kinds = {type(place.entry) for place in EXAMPLE.places()}
    assert kinds == {Register, Counter, Window}
    accesses = {
        f.access for p in EXAMPLE.places() if isinstance(p.entry, Register) for f in p.entry.fields
    }
    assert accesses == set(Access)
