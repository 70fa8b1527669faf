"""A turn's events, told in a protocol that has no numbers and takes nothing back.

Each reader is told a turn from its start. What the log holds by then is told without the text that
was taken back later; a reader that is told a text live, and then that it is void, is told so in the
protocol's own way, or has to come back.

A turn that waits for decisions ends what is told of it. Whoever has answered is told what
comes after that for which was asked: the rest of the same message.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from parley.events.log import FINAL, TurnEvent
from parley.http.api import logged
from parley.http.streamed import Told
from parley.repository.approvals import Approval
from parley.text import json_line

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over."""

Frame = Mapping[str, Any]
Frames = Iterable[Frame]


class Teller(Protocol):
    """Tells what happens in a turn in one protocol's words. For one reader.

    Attributes:
        last: What stands behind the last frame.
        held: Whole texts that the reader has of what came before.
    """

    last: bytes
    held: frozenset[str]

    def begins(self, told: Told) -> Frames:
        """Tell that the turn is there, before anything has happened."""
        ...

    def text_begins(self, text_id: str) -> Frames:
        """Tell that a text begins."""
        ...

    def text(self, text_id: str, piece: str) -> Frames:
        """Tell a piece of a text, which is never empty."""
        ...

    def text_ends(self, text_id: str) -> Frames:
        """Tell that a text is whole, or that no more comes of it."""
        ...

    def text_is_void(self, text_id: str) -> Frames | None:
        """Take a text back that has ended; None if nothing can be taken back."""
        ...

    def called(self, call_id: str, name: str, arguments: str) -> Frames:
        """Tell that a tool is called."""
        ...

    def returned(self, call_id: str, output: Any) -> Frames:
        """Tell what a tool answered."""
        ...

    def edited(self, call_id: str, name: str, arguments: str) -> Frames:
        """Tell that who approved a call has changed its arguments."""
        ...

    def asked(self, call_id: str, asked: Asked) -> Frames:
        """Tell that somebody has to decide on a call that was told."""
        ...

    def decided(self, call_id: str, asked: Asked, status: str, reason: str | None) -> Frames:
        """Tell what was decided on a call that was told."""
        ...

    def goes_on(self) -> Frames:
        """Tell that from here on it is new to a reader who has answered."""
        ...

    def waits(self, asked: Sequence[tuple[str, Approval]]) -> Frames:
        """Tell that the turn waits for decisions on calls, and nothing follows for now."""
        ...

    def goes_over(self, failed: tuple[str, str] | None) -> Frames:
        """Tell that the turn is over, and that the one begins which is told after it.

        Args:
            failed: The code and the detail of how it failed, if it did.
        """
        ...

    def completed(self, usage: Mapping[str, Any]) -> Frames:
        """Tell that the turn is over, with a reply."""
        ...

    def cancelled(self, detail: str) -> Frames:
        """Tell that the turn was cancelled."""
        ...

    def failed(self, code: str, detail: str) -> Frames:
        """Tell that the turn failed, or that the rest of it is not told here."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody has to decide on, as a turn's log tells it.

    Attributes:
        decider: Who may; None where the log does not tell any more.
    """

    approval_id: str
    decider: str | None = None


BEHIND = (
    "turn_waiting",
    "The message is kept, and waits behind a turn that waits for a decision: answer what that asks"
    " for, or cancel it, and come back for this one.",
)
"""What a reader is told whose turn cannot begin before somebody has decided on another."""

CUT = "… (This is only the beginning: the arguments are longer than is shown here.)"
"""How arguments end that somebody is asked about and that an event holds the beginning of only.

The protocols have no word for it, and who decides must not take them for the whole.
"""

GOES_ON = (
    "stream_interrupted",
    "The turn goes on without this stream: come back for it, whole.",
)
"""What a reader is told whose stream ends before the turn."""

REWRITTEN = (
    "message_reset",
    "What was told of the message is void, and it is written anew: come back for it, whole.",
)


async def narrate(told: Told, teller: Teller) -> AsyncGenerator[bytes, None]:
    """Yield what a reader is told of a turn, from its start to its end.

    Args:
        told: The turn and its events. They are closed.
        teller: Tells them.
    """
    began = teller.begins(told)
    while True:
        story = _Story(told, teller)
        async with aclosing(_telling(told, story, teller, began)) as parts:
            async for part in parts:
                yield part
        if told.then is None or not story.ended:
            break
        began = teller.goes_over(story.failed)
        try:
            told = await told.then()
        except Exception as error:
            said = logged(error)
            yield written([*began, *teller.failed(said.code, said.detail)])
            break
    yield teller.last


async def _telling(
    told: Told, story: _Story, teller: Teller, began: Frames
) -> AsyncGenerator[bytes, None]:
    """Yield one turn's story; its events are closed."""
    async with aclosing(told.events) as events:
        yield written(began)
        try:
            logged_before: list[TurnEvent] = []
            async for event in events:
                if event is None:
                    break
                logged_before.append(event)
            known, new = _parted(settled(logged_before), told.answered)
            for each in known:
                await story.of(each)
            if told.answered:
                yield written(story.goes_on(cut=bool(known)))
            for each in new:
                yield written(await story.of(each))
            async for event in events:
                if story.over:
                    break
                yield KEEP_ALIVE if event is None else written(await story.of(event))
            if not story.over:
                yield written(await story.pauses())
        except Exception as error:
            said = logged(error)
            yield written(story.ends(said.code, said.detail))


def farewell(teller: Teller) -> bytes:
    """Return what a reader is told whose stream is cut off by this process's end."""
    return written(teller.failed(*GOES_ON)) + teller.last


def written(frames: Frames) -> bytes:
    """Return frames as they stand on the wire: one line of JSON each."""
    return b"".join(b"data: %s\n\n" % json_line(frame) for frame in frames)


def settled(events: Sequence[TurnEvent]) -> list[TurnEvent]:
    """Return the events without pieces of text that are void by the last of them."""
    void: set[int] = set()
    open_pieces: list[int] = []
    for index, event in enumerate(events):
        match event.type:
            case "message.delta":
                if open_pieces and events[open_pieces[-1]].data["step"] != event.data["step"]:
                    open_pieces = []
                open_pieces.append(index)
            case "message.reset":
                void |= {index, *open_pieces}
                open_pieces = []
            case "message.completed":
                so_far = "".join(events[piece].data["text"] for piece in open_pieces)
                text = event.data["text"]
                if text is not None and not text.startswith(so_far):
                    void |= set(open_pieces)
                open_pieces = []
    return [event for index, event in enumerate(events) if index not in void]


def _parted(
    events: Sequence[TurnEvent], answered: Sequence[Approval]
) -> tuple[Sequence[TurnEvent], Sequence[TurnEvent]]:
    """Part events where a reader has answered: those that it was told, and what is new to it."""
    ids = {str(each.id) for each in answered}
    places = [
        index
        for index, event in enumerate(events, start=1)
        if event.type == "turn.waiting"
        and ids & {each["approval_id"] for each in event.data["approvals"]}
    ]
    cut = places[-1] if places else 0
    return events[:cut], events[cut:]


class _Story:
    """What one reader was told so far of a turn.

    Attributes:
        over: Whether nothing follows.
        ended: Whether that is since the turn has ended.
        failed: How it failed, if it did, where another turn is told after it.
    """

    def __init__(self, told: Told, teller: Teller) -> None:
        self.over = False
        self.ended = False
        self.failed: tuple[str, str] | None = None
        self._told = told
        self._teller = teller
        self._turn: UUID = told.view.turn.id
        self._open: str | None = None
        self._pieces: list[str] = []
        self._step: int | None = None
        self._written: dict[str, int] = {}
        self._begun = False
        self._waits = False
        self._calls: set[str] = set()
        self._edited: set[str] = set()
        self._asked: dict[str, Asked] = {}
        self._decided: set[str] = set()
        self._repeats = False

    async def of(self, event: TurnEvent) -> list[Frame]:
        """Return what is told of an event; `over` says whether nothing follows."""
        data = event.data
        self._begun = True
        self._waits = event.type == "turn.waiting"
        match event.type:
            case "message.delta":
                return [*self._begin(data["step"]), *self._add(data["text"])]
            case "message.reset":
                return self._take_back()
            case "message.completed":
                return await self._complete(data["step"], data["text"])
            case "tool.called":
                return self._call(data["call_id"], data["name"], data["arguments"])
            case "tool.returned":
                return [*self._teller.returned(self._of_turn(data["call_id"]), data["output"])]
            case "turn.waiting":
                return self._ask(data["approvals"])
            case "approval.decided":
                return self._decide(data)
            case "turn.completed" | "turn.failed" | "turn.cancelled":
                self.over = self.ended = True
                return [*self._end(), *self._close(event)]
            case _:  # started, resumed, lost: the protocols have no word for it
                return []

    def _close(self, event: TurnEvent) -> Frames:
        data = event.data
        if event.type == "turn.completed":
            return () if self._told.then else self._teller.completed(data["usage"])
        if event.type == "turn.cancelled":
            return () if self._told.then else self._teller.cancelled(data["detail"] or "")
        code, detail = data["code"] or "", data["detail"] or ""
        if self._told.then:
            self.failed = code, detail
            return ()
        return self._teller.failed(code, detail)

    def ends(self, code: str, detail: str) -> list[Frame]:
        """Return how the story ends that has no good end."""
        self.over = True
        return [*self._end(), *self._teller.failed(code, detail)]

    def goes_on(self, *, cut: bool) -> list[Frame]:
        """Return what is told where it becomes new to a reader who has answered.

        Args:
            cut: Whether the log still tells of what was asked for. If it does not, what came before
                may be in it again, or not be there any more.
        """
        self._repeats = not cut
        for each in self._told.answered:
            self._calls.add(each.call_id)
            self._asked.setdefault(each.call_id, Asked(str(each.id), each.decider))
        return [*self._teller.goes_on()]

    async def pauses(self) -> list[Frame]:
        """Return how it ends for now: the turn waits, or goes on without this stream."""
        view = await self._told.look() if self._waits or not self._begun else None
        if view is not None and view.behind_waiting:
            return self.ends(*BEHIND)
        if view is None or view.turn.status != "waiting":
            return self.ends(*GOES_ON)
        self.over = True
        told: list[Frame] = []
        for each in view.approvals:
            if not each.is_open and each.call_id in self._asked:  # the log tells it later
                told += self._tell(each.call_id, each.status, each.reason)
        left = [(self._of_turn(each.call_id), each) for each in view.approvals if each.is_open]
        return [*told, *self._teller.waits(left)]

    def _call(self, call_id: str, name: str, arguments: str) -> list[Frame]:
        ended, call = self._end(), self._of_turn(call_id)
        if call_id not in self._calls:
            self._calls.add(call_id)
            return [*ended, *self._teller.called(call, name, arguments)]
        if call_id in self._edited:
            return [*ended, *self._teller.edited(call, name, arguments)]
        return ended  # it was told when somebody was asked about it

    def _ask(self, approvals: Sequence[Mapping[str, Any]]) -> list[Frame]:
        told = self._end()
        for each in approvals:
            # A log from before this was told does not say.
            arguments = each["arguments"] + (CUT if each.get("cut") else "")
            told += self._call(each["call_id"], each["name"], arguments)
        for each in approvals:
            asked = Asked(each["approval_id"], each["decider"])
            self._asked[each["call_id"]] = asked
            told += self._teller.asked(self._of_turn(each["call_id"]), asked)
        return told

    def _decide(self, data: Mapping[str, Any]) -> list[Frame]:
        call_id = data["call_id"]
        if data["edited"]:
            self._edited.add(call_id)
        # A rejected call is told by nothing else, if the log has lost what was asked.
        told = [] if call_id in self._calls else self._call(call_id, data["name"], "")
        self._asked.setdefault(call_id, Asked(data["approval_id"]))
        return [*told, *self._tell(call_id, data["decision"], data["reason"])]

    def _tell(self, call_id: str, status: str, reason: str | None) -> list[Frame]:
        if call_id in self._decided:
            return []
        self._decided.add(call_id)
        call = self._of_turn(call_id)
        return [*self._teller.decided(call, self._asked[call_id], status, reason)]

    def _of_turn(self, name: object) -> str:
        # Models name their calls as they like, some each turn alike.
        return f"{self._turn}-{name}"

    def _begin(self, step: int | None) -> list[Frame]:
        if self._open is not None and step in (None, self._step):
            return []
        ended = self._end()
        name = self._of_turn("reply" if step is None else step)
        times = self._written[name] = self._written.get(name, 0) + 1
        self._open, self._step, self._pieces = name if times == 1 else f"{name}-{times}", step, []
        return [*ended, *self._teller.text_begins(self._open)]

    def _add(self, text: str) -> list[Frame]:
        if not text or self._open is None:
            return []
        self._pieces.append(text)
        return [*self._teller.text(self._open, text)]

    def _end(self) -> list[Frame]:
        if self._open is None:
            return []
        ended, self._open, self._pieces = self._open, None, []
        return [*self._teller.text_ends(ended)]

    def _take_back(self) -> list[Frame]:
        if self._open is None:
            return []
        void = self._open
        ended = self._end()
        taken_back = self._teller.text_is_void(void)
        if taken_back is None:
            return [*ended, *self.ends(*REWRITTEN)]
        return [*ended, *taken_back]

    async def _complete(self, step: int | None, text: str | None) -> list[Frame]:
        if text is None:
            if self._open is not None:  # too long for an event, but told in pieces
                return self._end()
            text = await self._long_reply()
        if not text or (self._repeats and self._open is None and text in self._teller.held):
            return self._end()
        before = self._end() if step not in (None, self._step) else []
        if not text.startswith("".join(self._pieces)):
            before += self._take_back()
        if self.over:
            return before
        rest = text[len("".join(self._pieces)) :]
        return [*before, *self._begin(step), *self._add(rest), *self._end()]

    async def _long_reply(self) -> str | None:
        view = await self._told.look()
        return None if view.reply is None else view.reply.content


assert {"turn.completed", "turn.failed", "turn.cancelled"} == FINAL, "each end has its word"
