"""Does work that blocks in threads that are left where they are after an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
_AT_ONCE = 8


async def aside(work: Callable[[], T]) -> T:
    """Run `work` in a thread that nobody waits for at the end of the process.

    `asyncio.to_thread` would: a server that never answers could hold the command after Ctrl-C.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # what `work` gave

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    Thread(target=run, daemon=True).start()
    return await done


def at_once(work: Callable[[str], T], items: Sequence[str]) -> dict[str, T]:
    """Return what `work` gives for each item, done in threads that nobody waits for after Ctrl-C.

    Raises:
        Exception: what `work` raised first.

    """
    todo: SimpleQueue[str] = SimpleQueue()
    done: SimpleQueue[tuple[str, T | None, Exception | None]] = SimpleQueue()
    for item in items:
        todo.put(item)

    def run() -> None:
        while True:
            try:
                item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((item, work(item), None))
            except Exception as error:  # noqa: BLE001  # it is raised where it is waited for
                done.put((item, None, error))

    for _ in range(min(_AT_ONCE, len(items))):
        Thread(target=run, daemon=True).start()
    found: dict[str, T] = {}
    for _ in items:
        item, result, error = done.get()
        if error is not None:
            raise error
        found[item] = result  # type: ignore[assignment]  # what `work` gave
    return found
