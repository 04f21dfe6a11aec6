"""The switch: who gets a frame, and what becomes of a connection that reads nothing, sends nonsense or goes away."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from lading.lab.switch import KNOWN_ADDRESSES, LONGEST_FRAME, QUEUE_BYTES, Switch

ALL = b"\xff" * 6
GROUP = b"\x33\x33\x00\x00\x00\x01"


def mac(number: int) -> bytes:
    """Return the address of a guest."""
    return b"\x52\x54" + struct.pack(">I", number)


def frame(to: bytes, by: bytes, more: bytes = b"") -> bytes:
    """Return a frame as QEMU sends it."""
    whole = to + by + b"\x08\x00" + more
    return struct.pack(">I", len(whole)) + whole


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch() as switch:
        yield switch


@pytest.fixture
def guests(switch: Switch) -> Iterator[list[socket.socket]]:
    """Three guests' ends of their connections."""
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, theirs in pairs:
        ours.setblocking(False)
        switch.join(theirs)
    yield [ours for ours, _ in pairs]
    for ours, _ in pairs:
        ours.close()


def settle(switch: Switch) -> None:
    """Let the switch do all that there is to do, and no more than a broken one should get."""
    for _ in range(50):
        switch.step(timeout=0)


def heard(guest: socket.socket) -> bytes:
    """Return what lies ready for a guest."""
    said = b""
    try:
        while chunk := guest.recv(1 << 20):
            said += chunk
    except BlockingIOError:
        pass
    return said


@pytest.mark.parametrize("to", [ALL, GROUP, mac(9)], ids=["broadcast", "multicast", "unknown"])
def test_a_frame_for_all_or_for_nobody_known_goes_to_all_others(
    switch: Switch, guests: list[socket.socket], to: bytes
) -> None:
    said = frame(to, mac(0), b"hello")
    guests[0].sendall(said)
    settle(switch)
    assert [heard(guest) for guest in guests] == [b"", said, said]


def test_a_frame_for_a_known_address_goes_there_alone(switch: Switch, guests: list[socket.socket]) -> None:
    guests[1].sendall(frame(ALL, mac(1)))
    settle(switch)
    for guest in guests:
        heard(guest)
    said = frame(mac(1), mac(0), b"for you alone")
    guests[0].sendall(said)
    settle(switch)
    assert [heard(guest) for guest in guests] == [b"", said, b""]


def test_a_frame_for_its_own_sender_goes_nowhere(switch: Switch, guests: list[socket.socket]) -> None:
    guests[0].sendall(frame(ALL, mac(0)) + frame(mac(0), mac(0), b"to myself"))
    settle(switch)
    assert [b"to myself" in heard(guest) for guest in guests] == [False, False, False]


def test_a_groups_address_is_never_learned(switch: Switch, guests: list[socket.socket]) -> None:
    guests[1].sendall(frame(ALL, GROUP))
    settle(switch)
    heard(guests[2])
    guests[0].sendall(said := frame(GROUP, mac(0)))
    settle(switch)
    assert heard(guests[2]) == said


def test_an_address_that_moved_is_found_where_it_is_now(switch: Switch, guests: list[socket.socket]) -> None:
    for guest in guests[1:]:
        guest.sendall(frame(ALL, mac(1)))
        settle(switch)
    for guest in guests:
        heard(guest)
    guests[0].sendall(said := frame(mac(1), mac(0)))
    settle(switch)
    assert [heard(guest) for guest in guests] == [b"", b"", said]


def test_frames_that_come_in_pieces_or_together_arrive_whole(switch: Switch, guests: list[socket.socket]) -> None:
    said = frame(ALL, mac(0), b"one") + frame(ALL, mac(0), b"two" * 400)
    for byte in said[:40]:
        guests[0].sendall(bytes([byte]))
        switch.step(timeout=0)
    guests[0].sendall(said[40:])
    settle(switch)
    assert heard(guests[1]) == said


def test_what_is_too_short_for_a_frame_is_passed_over(switch: Switch, guests: list[socket.socket]) -> None:
    guests[0].sendall(struct.pack(">I", 0) + struct.pack(">I", 3) + b"abc" + (said := frame(ALL, mac(0))))
    settle(switch)
    assert heard(guests[1]) == said


def test_a_length_that_no_frame_has_ends_the_connection_and_is_counted(
    switch: Switch, guests: list[socket.socket]
) -> None:
    guests[0].sendall(struct.pack(">I", LONGEST_FRAME + 1) + b"x" * 100)
    settle(switch)
    assert guests[0].recv(1) == b"", "the end of what there is to read"
    assert (switch.garbage, len(switch.ports)) == (1, 2)
    guests[1].sendall(said := frame(ALL, mac(1)))
    settle(switch)
    assert heard(guests[2]) == said


def test_a_guest_that_does_not_read_costs_no_memory_and_stalls_nobody(
    switch: Switch, guests: list[socket.socket]
) -> None:
    reader, sleeper, sender = guests
    said, read = frame(ALL, mac(0), b"x" * 1500), 0
    for _ in range(2000):
        sender.sendall(said)
        switch.step(timeout=0)
        read += len(heard(reader))
    settle(switch)
    assert read + len(heard(reader)) == 2000 * len(said)
    assert [len(port._waiting) <= QUEUE_BYTES for port in switch.ports] == [True] * 3
    assert [port.dropped > 0 for port in switch.ports] == [False, True, False]
    # What it reads in the end is whole frames.
    late = b""
    for _ in range(50):
        late += heard(sleeper)
        switch.step(timeout=0)
    assert late
    assert late == said * (len(late) // len(said))


def test_frames_that_wait_go_out_as_soon_as_there_is_room(switch: Switch, guests: list[socket.socket]) -> None:
    for _ in range(300):
        guests[0].sendall(frame(ALL, mac(0), b"x" * 1500))
        switch.step(timeout=0)
        heard(guests[2])
    heard(guests[1])
    began = time.monotonic()
    switch.step(timeout=20)  # returns at once: there is something to do
    assert time.monotonic() - began < 10
    assert heard(guests[1])


def test_addresses_without_end_are_not_all_kept(switch: Switch, guests: list[socket.socket]) -> None:
    for number in range(KNOWN_ADDRESSES + 100):
        guests[0].sendall(frame(ALL, mac(number)))
        switch.step(timeout=0)
        heard(guests[1]), heard(guests[2])
    assert len(switch._places) == KNOWN_ADDRESSES
    guests[1].sendall(said := frame(mac(KNOWN_ADDRESSES + 50), mac(0)))
    settle(switch)
    assert heard(guests[0]) == said


def test_who_leaves_is_forgotten_and_may_come_again(switch: Switch, guests: list[socket.socket]) -> None:
    guests[1].sendall(frame(ALL, mac(1)))
    settle(switch)
    guests[1].close()
    settle(switch)
    assert len(switch.ports) == 2
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        switch.join(theirs)
        heard(guests[2])
        # Nobody knows yet where the address is now: the frame goes to all.
        guests[0].sendall(said := frame(mac(1), mac(0)))
        settle(switch)
        assert (heard(ours), heard(guests[2])) == (said, said)


def test_who_leaves_while_frames_wait_for_it_hurts_nobody(switch: Switch, guests: list[socket.socket]) -> None:
    for _ in range(400):
        guests[0].sendall(frame(ALL, mac(0), b"x" * 1500))
        switch.step(timeout=0)
        heard(guests[2])
    guests[1].close()
    settle(switch)
    guests[0].sendall(said := frame(ALL, mac(0), b"still here"))
    settle(switch)
    assert heard(guests[2]).endswith(said)
