"""One thing after the other: the events of an answer in an order in which no two of its blocks overlap."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dirigent.core.events import ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

__all__ = ["Block", "Content", "InSequence", "block_of"]

Content = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta
Block = tuple[str, int]
"""What a block is, and which of its kind."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def block_of(event: Content) -> Block:
    """The block to which an event belongs."""
    match event:
        case ToolCallDelta(index=index):
            return "call", index
        case ReasoningDelta(block=block):
            return "thought", block
        case _:
            return "text", 0


class InSequence:
    """Holds back what would come between the fragments of a call.

    Providers mix the fragments of parallel calls, and some formats do not know that. A block ends as soon as something
    else is said, but for a call whose arguments are not whole yet: until then the rest waits.
    """

    def __init__(self) -> None:
        self._open: Block | None = None
        self._arguments: list[str] = []
        """Of the call that is open."""
        self._ended: set[int] = set()
        """The calls that are over."""
        self._waiting: list[Content] = []

    def take(self, event: Content) -> Iterator[Content]:
        """What can be told now that `event` has come; one that says nothing ends no block."""
        if _silent(event):
            return
        block = block_of(event)
        if self._waits(block):
            self._waiting.append(event)
            return
        yield from self._told(block, event)
        if self._waiting and self._whole():  # with this fragment the call came to its end
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                yield from self.take(each)

    def rest(self) -> Iterator[Content]:
        """Everything that still waits, call by call, for nothing more is coming."""
        waiting, self._waiting = self._waiting, []
        order = {block: place for place, block in reversed(list(enumerate(map(block_of, waiting))))}
        for event in sorted(waiting, key=lambda each: order[block_of(each)]):
            yield from self._told(block_of(event), event)
        self._end()

    def _waits(self, block: Block) -> bool:
        if block == self._open or self._open is None or self._open[0] != "call":
            return False
        return bool(self._waiting) or not self._whole()

    def _whole(self) -> bool:
        """Whether the open call has all its arguments, as far as can be told."""
        try:
            _object.decode("".join(self._arguments).encode(errors="replace"))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def _told(self, block: Block, event: Content) -> Iterator[Content]:
        if block != self._open:
            if block[0] == "call" and block[1] in self._ended:  # blanks behind arguments that were whole
                return
            self._end()
            self._open = block
        if isinstance(event, ToolCallDelta):
            self._arguments.append(event.arguments)
        yield event

    def _end(self) -> None:
        if self._open is not None and self._open[0] == "call":
            self._ended.add(self._open[1])
        self._open, self._arguments = None, []


def _silent(event: Content) -> bool:
    match event:
        case TextDelta(text=text) | RefusalDelta(text=text):
            return not text
        case ReasoningDelta():
            return not (event.text or event.signature or event.sealed or event.id)
        case ToolCallDelta():  # that there is a call is something
            return False
