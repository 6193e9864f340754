"""Lending environments: each to one borrower at a time, in turn, and none that is gone."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.environments import REFUSED_SECONDS, AbsentError, Environments, ThrottledError

A, B = "10.0.0.1:8080", "10.0.0.2:8080"


def environments(*addresses: str) -> Environments:
    made = Environments("no-such-host.invalid", 8080)
    made.update(set(addresses))
    return made


def soon(seconds: float = 0.05) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_the_one_used_last_is_used_first() -> None:
    made = environments(A, B)
    async with made.borrow(soon()) as first:
        pass
    async with made.borrow(soon()) as second:
        assert second.address == first.address


async def test_all_busy_is_throttled_after_the_wait() -> None:
    made = environments(A)
    async with made.borrow(soon()):
        start = asyncio.get_running_loop().time()
        with pytest.raises(ThrottledError):
            async with made.borrow(soon(0.1)):
                pass
        assert asyncio.get_running_loop().time() - start >= 0.09
    assert made.waiting == 0
    async with made.borrow(soon()) as loan:
        assert loan.address == A


async def test_no_environment_at_all_is_said_so() -> None:
    with pytest.raises(AbsentError, match="no-such-host"):
        async with environments().borrow(soon()):
            pass


async def test_one_that_comes_is_lent_to_who_waits() -> None:
    made = environments()

    async def borrow() -> str:
        async with made.borrow(soon(5)) as loan:
            return loan.address

    waiting = asyncio.create_task(borrow())
    # The first look asks DNS, which takes a moment to say no.
    for _ in range(100):
        await asyncio.sleep(0.05)
        if made.waiting:
            break
    made.update({A})
    assert await waiting == A


async def test_one_that_is_gone_is_not_lent_again() -> None:
    made = environments(A, B)
    async with made.borrow(soon()) as loan:
        other = B if loan.address == A else A
        made.update({other})
    for _ in range(3):
        async with made.borrow(soon()) as again:
            assert again.address == other


async def test_one_that_was_lost_is_not_lent_to_who_waits() -> None:
    """Its processes may still be dying: a connection would be accepted and then cut."""
    made = environments(A)

    async def next_one() -> float:
        async with made.borrow(soon(5)):
            return asyncio.get_running_loop().time()

    async with made.borrow(soon()) as loan:
        waiting = asyncio.create_task(next_one())
        await asyncio.sleep(0)
        loan.rest = 0.3
    lost = asyncio.get_running_loop().time()
    assert await waiting - lost >= 0.29


async def test_one_that_refused_rests() -> None:
    made = environments(A, B)
    async with made.borrow(soon()) as loan:
        loan.rest = REFUSED_SECONDS
    async with made.borrow(soon()) as other:
        assert other.address != loan.address
        async with made.borrow(soon(1)) as rested:
            assert rested.address == loan.address


async def test_a_borrower_that_goes_away_leaves_its_turn() -> None:
    made = environments(A)

    async def borrow() -> None:
        async with made.borrow(soon(5)):
            pass

    async with made.borrow(soon()):
        gone = asyncio.create_task(borrow())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
    async with made.borrow(soon()) as loan:
        assert loan.address == A


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 4))
def test_never_two_borrowers_of_one(pauses: list[int], count: int) -> None:
    """Whatever comes, cancels, refuses: an environment has one borrower, and in the end all are free."""

    async def scenario() -> None:
        made = environments(*(f"10.0.0.{n}:8080" for n in range(count)))
        inside: Counter[str] = Counter()

        async def borrow(pause: int) -> None:
            async with made.borrow(soon(5)) as loan:
                inside[loan.address] += 1
                try:
                    assert inside[loan.address] == 1
                    for _ in range(pause):
                        await asyncio.sleep(0)
                finally:
                    # Also when it is cancelled in there.
                    inside[loan.address] -= 1

        tasks = [asyncio.create_task(borrow(pause)) for pause in pauses]
        for number, task in enumerate(tasks):
            if number % 5 == 4:
                await asyncio.sleep(0)
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [r for r in results if isinstance(r, Exception)]
        assert (made.busy, made.waiting) == (0, 0)

    asyncio.run(scenario())
