"""Golden model of completion queues."""

import struct
from dataclasses import replace

import pytest

from sim.roce import Completion, CompletionStatus, Memory
from sim.roce.completion_queue import (
    COUNT_MODULUS,
    ENTRY_BYTES,
    CompletionQueue,
    PostedEntry,
    read_entry,
    write_entry,
)

BASE = Completion(queue_pair=7, identifier=0, status=CompletionStatus.SUCCESS)


def completion(identifier: int = 0, **fields) -> Completion:
    return replace(BASE, identifier=identifier, **fields)


def post(queue: CompletionQueue, memory: Memory, *args, **fields) -> PostedEntry:
    posted = queue.push(completion(*args, **fields))
    assert posted is not None
    memory.write(posted.space, posted.address, posted.data)
    return posted


def test_an_entry_is_as_the_table_says():
    data = write_entry(
        Completion(
            queue_pair=0x123456,
            identifier=0x89ABCDEF,
            status=CompletionStatus.REMOTE_ACCESS,
            byte_length=0x80000000,
            is_write=True,
            immediate=0x11223344,
            source_queue_pair=0xA1B2C3,
            solicited=True,
        ),
        owner=1,
        count=0x1FFFFFF,
    )
    assert data == struct.pack(
        "<IIIIIIQ",
        0x89ABCDEF,
        0x80000000,
        0x11223344,
        3 << 24 | 0x123456,
        (0x80 | 8 | 2 | 1) << 24 | 0xA1B2C3,
        0x1FFFFFF,
        0,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"immediate": 0},
        {"invalidated": 0xFFFFFFFF},
        {"is_write": True, "immediate": 5, "byte_length": 1 << 31},
        {"status": CompletionStatus.FLUSHED, "solicited": True, "source_queue_pair": 1},
    ],
)
def test_what_is_written_is_read(fields):
    written = completion(3, **fields)
    entry = read_entry(write_entry(written, owner=0, count=9))
    assert (entry.handle, entry.owner, entry.count) == (3, 0, 9)
    assert entry.status == written.status.value
    for name in ("byte_length", "queue_pair", "is_write", "immediate", "invalidated"):
        assert getattr(entry, name) == getattr(written, name)
    assert entry.source_queue_pair == written.source_queue_pair
    assert entry.solicited == written.solicited


@pytest.mark.parametrize("size_shift", [0, 1, 3])
def test_the_owner_tells_new_entries_from_old_ones(size_shift):
    """Software that knows nothing but its own count finds each entry when it is there."""
    memory = Memory()
    queue = CompletionQueue(space=1, address=0x1FE0, size_shift=size_shift)

    def here(count: int) -> bool:
        place = queue.address + ENTRY_BYTES * (count % queue.size)
        owner = read_entry(memory.read(1, place, ENTRY_BYTES)).owner
        return owner == 1 - count // queue.size % 2

    for count in range(5 * queue.size):
        assert not here(count)
        post(queue, memory, count)
        assert here(count)
        queue.consume(count + 1)


def test_counters_wrap():
    queue = CompletionQueue(space=0, address=0, size_shift=24)
    queue.producer = queue.consumer = COUNT_MODULUS - 1
    before, after = (queue.push(completion(n)) for n in range(2))
    assert before is not None
    assert after is not None
    assert (before.address, after.address) == (ENTRY_BYTES * ((1 << 24) - 1), 0)
    assert [read_entry(entry.data).owner for entry in (before, after)] == [0, 1]
    assert [read_entry(entry.data).count for entry in (before, after)] == [COUNT_MODULUS - 1, 0]
    assert queue.arm(1) is False


def test_a_full_queue_is_in_error_for_good():
    queue = CompletionQueue(space=0, address=0, size_shift=1)
    assert all(queue.push(completion(n)) for n in range(2))
    assert not queue.is_in_error
    assert queue.push(completion(2)) is None
    assert queue.is_in_error
    queue.consume(2)
    assert queue.push(completion(3)) is None


def interrupts(queue: CompletionQueue, **fields) -> bool:
    posted = queue.push(completion(**fields))
    assert posted is not None
    return posted.interrupt


def test_arming_is_for_one_interrupt():
    queue = CompletionQueue(space=0, address=0, size_shift=4)
    assert not interrupts(queue)
    assert not queue.arm(1)
    assert interrupts(queue)
    assert not interrupts(queue)


@pytest.mark.parametrize("solicited", [False, True])
def test_who_arms_too_late_is_interrupted_at_once(solicited):
    queue = CompletionQueue(space=0, address=0, size_shift=4)
    assert not interrupts(queue)
    assert queue.arm(0, solicited=solicited)
    assert not interrupts(queue)
    assert not queue.arm(2, solicited=solicited)
    assert interrupts(queue, solicited=True)


def test_solicited_entries_and_errors_only():
    queue = CompletionQueue(space=0, address=0, size_shift=4)
    queue.arm(0, solicited=True)
    assert not interrupts(queue)
    assert interrupts(queue, status=CompletionStatus.FLUSHED)
    queue.arm(2, solicited=True)
    assert not interrupts(queue)
    assert interrupts(queue, solicited=True)
    queue.arm(4)
    queue.arm(4, solicited=True)  # any entry still
    assert interrupts(queue)
    assert not interrupts(queue, solicited=True)
