import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from app.accounts.errors import SignInBusyError, WeakPasswordError
from app.accounts.passwords import Passwords, check_new_password


class Gate(PasswordHasher):
    """A hasher whose checks wait until the gate is opened, and that counts how many run at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.opened = threading.Event()
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.opened.wait(60)
        with self._lock:
            self.running -= 1
        return super().hash(password, salt=salt)


async def test_two_are_hashed_at_once_and_a_limited_number_wait() -> None:
    gate = Gate()
    passwords = Passwords(gate)
    waiting = [asyncio.create_task(passwords.hashed("x")) for _ in range(32)]
    await asyncio.sleep(0)

    with pytest.raises(SignInBusyError) as refused:
        await passwords.hashed("one more")
    gate.opened.set()
    await asyncio.gather(*waiting)
    after = await passwords.hashed("one more")

    assert refused.value.retry_after == 5
    assert gate.most == 2
    assert after.startswith("$argon2id$")
    passwords.close()


async def test_whoever_gives_up_makes_no_room_for_a_third() -> None:
    gate = Gate()
    passwords = Passwords(gate)
    given_up = [asyncio.create_task(passwords.hashed("x")) for _ in range(2)]
    await asyncio.to_thread(lambda: None)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)

    others = [asyncio.create_task(passwords.hashed("x")) for _ in range(4)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*others)

    assert gate.most <= 2
    passwords.close()


async def test_a_password_is_right_or_wrong() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    known = await passwords.hashed("correct horse")

    assert await passwords.is_right("correct horse", known)
    assert not await passwords.is_right("correct horsf", known)
    assert not await passwords.is_right("correct horse", "not a hash")
    assert not await passwords.is_right("of nobody", None)
    passwords.close()


async def test_a_hash_of_other_parameters_is_to_be_renewed() -> None:
    weak = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    strong = Passwords()

    assert strong.needs_rehash(await weak.hashed("x"))
    assert not weak.needs_rehash(await weak.hashed("x"))
    weak.close()
    strong.close()


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("elevenchars", "Enter 12 characters or more."),
        ("x" * 40, "Enter at least 4 different characters."),
        ("abcd" * 200, "Enter 512 characters at most."),
    ],
    ids=["short", "monotonous", "long"],
)
def test_weak_passwords_are_refused_with_what_is_allowed(password: str, refusal: str) -> None:
    with pytest.raises(WeakPasswordError, match=refusal):
        check_new_password(password)


def test_a_sentence_is_a_password() -> None:
    check_new_password("Ada läuft am Meer")
