"""`parley chat`: a conversation in the terminal."""

from __future__ import annotations

import shlex
from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from parley_cli.chat_input import Interrupted, lines
from parley_cli.chat_screen import show_history, show_reply
from parley_cli.clean import clean_line
from parley_cli.connection import as_user
from parley_cli.errors import CommandFailed, explain
from parley_cli.named import find_session
from parley_cli.screen import can_ask, note, show_table, waiting
from parley_cli.sessions import HEADINGS, columns
from parley_cli.turn_screen import TurnScreen, show_turn
from parley_cli.turns import told
from parley_client import ApiError, Parley, ParleyError, TurnWaiting
from parley_client.events import AskedApproval

_SHOWN = 20
_COMMANDS = ("/new", "/sessions", "/history", "/agent", "/help", "/quit")

HELP = """\
/new [name]    another session; one of this name that is there already goes on
/sessions      your sessions, newest activity first
/history       what was said here
/agent [name]  the agents; with a name, a new session with that one
/help          this
/quit          leave, as Ctrl-D does
Anything else is said to the agent; begin with // for a message that begins with /. Alt-Enter begins
another line, what is pasted stays one message, the arrow keys bring back what was said before, and
Tab completes commands and agents.
Ctrl-C while a reply is waited for cancels the turn; what its tools have done stays."""


@as_user
def chat(
    parley: Parley,
    session: Annotated[
        str | None, typer.Option("--session", help="Name of the session; else a new one.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Agent of the session, when this makes it.")
    ] = None,
) -> None:
    """Talk to an agent; /help says what can be done meanwhile.

    Piped: a message a line. Status 1 if one of them got no reply.
    """
    talk = Chat(parley, agent=agent)
    if session is not None:
        talk.open(session)
    if can_ask():
        note("Say something; /help lists the commands, Ctrl-D leaves. Alt-Enter begins a line.")
    for line in lines(talk.prompt, talk.meant):
        if isinstance(line, Interrupted):
            note("Ctrl-D or /quit leaves.")
        elif not talk.take(line):
            break
    if talk.failed and not can_ask():
        raise typer.Exit(1)  # a script goes by that; a person has seen it


class Chat:
    """Where the conversation stands.

    A session that is not there yet is made with its first message, so that none stays empty.

    Attributes:
        failed: Whether something that was asked for was not done.
    """

    def __init__(self, parley: Parley, *, agent: str | None) -> None:
        self.failed = False
        self._parley = parley
        self._agent = agent
        self._name: str | None = None
        self._id: UUID | None = None

    def prompt(self) -> str:
        """Return what stands before what is typed."""
        return f"{clean_line(self._name or self._agent or 'you')}> "

    def meant(self, typed: str) -> list[str]:
        """Return what may be meant by what was typed so far: a command, or an agent."""
        command, space, name = typed.partition(" ")
        if command == "/agent" and space:
            return [f"/agent {agent}" for agent in self._agents() if agent.startswith(name)]
        return [each for each in _COMMANDS if typed and each.startswith(typed)]

    def _agents(self) -> list[str]:
        try:
            return [agent.name for agent in self._parley.list_agents().items]
        except ParleyError:
            return []  # there is nothing to suggest, and sending the line says why

    def take(self, line: str) -> bool:
        """Do what a line says; False when the conversation is over.

        What fails is said, and the conversation goes on.
        """
        line = line.strip()
        command, _, argument = line.partition(" ")
        try:
            match command:
                case "":
                    pass
                case "/quit":
                    return False
                case "/help":
                    note(HELP)
                case "/new":
                    self.open(argument.strip() or None)
                case "/sessions":
                    self._show_sessions()
                case "/history":
                    self._show_history()
                case "/agent":
                    self._choose(argument.strip())
                case _ if command.startswith("/") and command[1:].isalpha():
                    self._fail(f"There is no {command}; /help lists what there is.")
                case _:
                    self._say(line.removeprefix("/") if line.startswith("//") else line)
        except KeyboardInterrupt:
            note("Stopped waiting. What has begun goes on, and will be in /history.")
        except ApiError as error:
            self._fail(explain(error) + self._advice(error))
        except ParleyError as error:
            self._fail(explain(error))
        except CommandFailed as error:
            self._fail(str(error))
        return True

    def _fail(self, why: str) -> None:
        self.failed = True
        note(why)

    def open(self, name: str | None) -> None:
        """Go to the session of this name, or begin a new one."""
        found = find_session(self._parley, name) if name is not None else None
        self._name = name
        self._id = found.id if found is not None else None
        if found is not None:
            self._agent = found.agent
            note(f"{found.name} goes on, with {found.agent}; /history shows what was said.")
        elif name is not None:
            note(f"{name} will be made with your first message.")
        else:
            note("The next message begins a new session.")

    def _say(self, text: str) -> None:
        if self._id is None:
            # Not in one call with the message: who stops waiting for the reply then knows where
            # it will be.
            with waiting("Waiting for the reply …"):
                made = self._parley.create_session(
                    name=self._name, agent=self._agent, platform="cli"
                )
            self._id, self._agent = made.id, made.agent
        screen = TurnScreen()
        try:
            events = self._parley.stream_message(self._id, text)
            show_turn(self._parley, self._id, events, screen)
            while screen.waits is not None and can_ask() and self._decide(screen.waits):
                after, turn_id = screen.waits.sequence, screen.waits.turn_id
                events = self._parley.follow_turn(self._id, turn_id, after=after)
                show_turn(self._parley, self._id, events, screen)
        except KeyboardInterrupt:
            self._cancel(self._id, screen.turn_id, text)

    def _decide(self, waits: TurnWaiting) -> bool:
        """Ask about each call that is the user's to decide; False if something is left open."""
        for asked in waits.approvals:
            if asked.decider == "user" and not self._decide_on(asked):
                note(
                    "\nNothing was decided; the turn waits. `parley approvals list` tells for what."
                )
                return False
        others = [asked for asked in waits.approvals if asked.decider != "user"]
        for asked in others:
            note(f"{clean_line(asked.name)} waits for {clean_line(asked.decider)} to decide.")
        return not others

    def _decide_on(self, asked: AskedApproval) -> bool:
        """Ask about a call and decide; False if the answer is neither yes nor no."""
        arguments = asked.arguments
        if asked.cut:
            arguments = self._parley.read_approval(asked.approval_id).arguments
        call = f"{clean_line(asked.name)} {clean_line(arguments)}"
        try:
            yes = typer.confirm(f"May it call {call}?", err=True)
        except typer.Abort:  # Ctrl-C, or Ctrl-D
            return False
        try:
            self._parley.decide_approval(asked.approval_id, "approve" if yes else "reject")
        except ApiError as error:
            if error.code != "already_decided":
                raise
            note(explain(error))  # elsewhere, while it was asked about here
        return True

    def _cancel(self, session_id: UUID, turn_id: UUID | None, text: str) -> None:
        """Cancel the turn of what was said, if it is still to end."""
        with waiting("Cancelling …"):
            if turn_id is None:
                turn_id = self._find_running(session_id, text)
            cancelled = None
            if turn_id is not None:
                cancelled = self._parley.cancel_turn(session_id, turn_id)
        if cancelled is None:
            note("Stopped waiting. No turn of this message runs; /history shows what came of it.")
            return
        note(told(cancelled))
        if cancelled.reply is not None:
            show_reply(cancelled.reply.content)

    def _find_running(self, session_id: UUID, text: str) -> UUID | None:
        for running in self._parley.list_turns(session_id, status="running"):
            # Another client's turn is none of ours.
            asked = self._parley.read_turn(session_id, running.id).user_message
            if asked is not None and asked.content == text:
                return running.id
        return None

    def _show_sessions(self) -> None:
        found = self._parley.list_sessions(page_size=_SHOWN)
        show_table(HEADINGS, map(columns, islice(found, _SHOWN)))

    def _show_history(self) -> None:
        if self._id is None:
            note("Nothing was said here yet.")
            return
        newest = self._parley.read_transcript(self._id, page_size=_SHOWN)
        show_history(reversed(list(islice(newest, _SHOWN))))

    def _choose(self, name: str) -> None:
        offered = self._parley.list_agents().items
        if not name:
            rows = ((a.name, "default" if a.default else "", a.description) for a in offered)
            show_table(("agent", "", ""), rows)
        elif name not in {agent.name for agent in offered}:
            self._fail(f"There is no agent {name}; /agent lists those that there are.")
        else:
            # A session keeps its agent.
            self._agent, self._name, self._id = name, None, None
            note(f"The next message begins a new session with {name}.")

    def _advice(self, error: ApiError) -> str:
        named = shlex.quote(clean_line(self._name or str(self._id)))
        match error.code:
            case "session_not_active" if error.session_status == "escalated":
                return " (/new begins another session meanwhile.)"
            case "session_not_active":
                return f" (`parley sessions reopen {named}`, or /new for another session.)"
            case "turn_waiting":
                return " (`parley approvals list` tells what for.)"
            case "turn_in_progress":
                return " (/history shows its reply when it is there.)"
            case "not_found" if self._id is not None:
                return " (/new begins another session.)"
            case _:
                return ""
