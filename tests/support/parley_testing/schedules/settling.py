"""The end of a schedule: what is left is brought to its end, and everything is looked at."""

from __future__ import annotations

from uuid import UUID

from parley_testing.schedules import following, logs, summarising
from parley_testing.schedules.readers import Reader
from parley_testing.schedules.steps import Steps, always


class Settling(Steps):
    """How a run of the machine ends."""

    def teardown(self) -> None:
        """In the end everything is over, every key has its answer, and nothing is left."""
        try:
            self.settle()
        finally:
            self.world.leave()

    @always
    def settle(self) -> None:
        world, actions = self.world, self.actions
        self.bring_to_rest()
        for session in self.promises.seen.sessions.values():
            assert not session.open, f"turns {session.open} were left"
        self.follow_to_the_end()
        for key, turn_id in list(self.promises.keys.items()):
            turn = self.promises.seen.turn(turn_id)
            if turn is not None and key in actions.messages:
                again = actions.again(actions.messages[key])
                outcome = actions.send(world.main, again)
                assert outcome == ("answered" if turn.status == "completed" else "TurnFailed")
        for session_id in self.sessions:
            self.have_summarised(session_id)
            assert actions.send(world.main, actions.message(session_id, "a", keyed=False)) == (
                "answered"
            )
        self.look()
        for session_id in self.sessions:
            actions.delete(world.main, session_id)
        world.look()
        actions.drain()
        world.raise_problems()

    def have_summarised(self, session_id: UUID) -> None:
        """Have all that the window has left behind summarised."""
        world = self.world
        summarising.let_go(world, session_id)
        while summarising.summarise(world, world.main, session_id) != "nothing to summarise":
            world.look()
        world.look()
        session = self.promises.seen.sessions[session_id]
        assert not session.summary_due, f"no summary covers what {session} has left behind"

    def bring_to_rest(self) -> None:
        """Deliver every wake-up; what was lost to the workers the recovery wakes a worker for."""
        world, actions = self.world, self.actions
        for session_id in self.sessions:
            self.reopen(session_id)
            actions.expire(session_id)
        self.look()
        self.deliver()
        for session in self.promises.seen.sessions.values():
            asks = session.asks is not None
            left = session.open and session.id not in world.unheard and not asks
            assert not left, f"{session.open} were left"
            actions.wait_a_minute(session.id)
        actions.recover(world.main)
        self.deliver()
        self.look()
        while asking := [
            session.id for session in self.promises.seen.sessions.values() if session.asks
        ]:
            for session_id in asking:
                actions.decide_all(world.main, session_id)
            self.look()
            self.deliver()
            self.look()

    def deliver(self) -> None:
        """Answer every wake-up, and those that are woken meanwhile."""
        while len(self.world.wakeups):
            wakeup = self.world.wakeups.take(0)
            if following.answer(self.actions, self.world.main, wakeup) != "nothing to do":
                self.look()

    def follow_to_the_end(self) -> None:
        """See that all who followed a turn, and who reads it now, were given the same."""
        world = self.world
        followed = {reader.turn_id for reader in self.readers}
        for session in self.promises.seen.sessions.values():
            for turn in session.turns:
                if turn.id not in followed and turn.number % 3 != 1:
                    continue  # some of the others are enough
                now = Reader(world.user, session.id, turn.id, 0)
                world.readers.to_the_end(now)
                events = list(now.events.values())
                again = world.logs.told_again(turn)
                logs.whole(turn, events, world.logs.of(turn), again=again)
                for reader in self.readers:
                    if reader.turn_id == turn.id:
                        world.readers.to_the_end(reader)
                        logs.same(reader.events, events, reader.after, turn, again=again)
