"""`parley` on a terminal: prompts, spinners, Markdown, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parley_local.stack import LocalStack
from parley_testing.api.terminal import CTRL_C, CTRL_D, Terminal

Open = Callable[..., Terminal]


def test_a_conversation(terminal: Open) -> None:
    talk = terminal("chat", "--session", "groceries", "--user", "anna")

    talk.wait_for("groceries>")
    talk.say("add buy milk")
    talk.wait_for("[offline model] Added “buy milk”.")
    talk.wait_for("groceries>")
    talk.say("/sessions")
    talk.wait_for("groceries")
    talk.wait_for("groceries>")
    talk.say("/new")
    talk.wait_for("todo>")
    talk.say("/quit")

    assert talk.ended() == 0
    assert "Traceback" not in talk.shown


def test_markdown_is_rendered(terminal: Open) -> None:
    talk = terminal("chat", "--session", "list", "--user", "anna")
    talk.wait_for("list>")
    talk.say("add **buy** milk")

    # While it streams it may be shown as it comes.
    talk.wait_for("\x1b[1mbuy\x1b[0m")


def test_ctrl_c_at_the_prompt_takes_the_line_back_and_ctrl_d_leaves(terminal: Open) -> None:
    talk = terminal("chat", "--user", "anna")
    talk.wait_for("you>")
    talk.press("never said")
    talk.wait_for("never said")
    talk.press(CTRL_C)  # once: a second, while nothing is asked for, would end the command
    talk.wait_for("Ctrl-D or /quit leaves.")
    talk.wait_for("you>")
    talk.press(CTRL_D)

    assert talk.ended() == 0
    assert "Traceback" not in talk.shown


PASTE, PASTED = "\x1b[200~", "\x1b[201~"


def test_what_is_pasted_is_one_message(terminal: Open, parley: Callable[..., Any]) -> None:
    talk = terminal("chat", "--session", "pasted", "--user", "anna")
    talk.wait_for("pasted>")
    talk.press(f"{PASTE}add milk\r\nand honey\nand bread{PASTED}")
    talk.wait_for("and bread")
    talk.say("")
    talk.wait_for("[offline model] Added")
    talk.wait_for("pasted>")
    talk.press(CTRL_D)

    assert talk.ended() == 0
    said = parley("sessions", "show", "pasted", "--messages", "--json", "--user", "anna").out
    first = json.loads(said.splitlines()[0])
    assert first["content"] == "add milk\nand honey\nand bread"
    assert len(said.splitlines()) == 2


def test_alt_enter_begins_another_line(terminal: Open, parley: Callable[..., Any]) -> None:
    talk = terminal("chat", "--session", "lines", "--user", "anna")
    talk.wait_for("lines>")
    talk.press("add milk\x1b\rand honey")
    talk.wait_for("honey")
    talk.say("")
    talk.wait_for("[offline model] Added")
    talk.wait_for("lines>")
    talk.press(CTRL_D)

    assert talk.ended() == 0
    said = parley("sessions", "show", "lines", "--messages", "--json", "--user", "anna").out
    assert json.loads(said.splitlines()[0])["content"] == "add milk\nand honey"


def test_what_was_said_comes_back_with_an_arrow_key(terminal: Open) -> None:
    talk = terminal("chat", "--user", "anna")
    talk.wait_for("you>")
    talk.say("/nothing")
    talk.wait_for("There is no /nothing")
    talk.wait_for("you>")
    talk.press_until("\x1b[A", "/nothing")  # what was said is loaded beside the prompt
    talk.say("")
    talk.wait_for("There is no /nothing")
    talk.wait_for("you>")
    talk.press(CTRL_D)

    assert talk.ended() == 0


def test_tab_completes_commands_and_agents(terminal: Open) -> None:
    talk = terminal("chat", "--user", "anna")
    talk.wait_for("you>")
    talk.press("/ag\t")
    talk.wait_for("ent")
    talk.press(" sup\t")
    talk.wait_for("port")
    talk.say("")
    talk.wait_for("begins a new session with support.")
    talk.wait_for("support>")
    talk.press(CTRL_D)

    assert talk.ended() == 0


def test_what_is_typed_while_a_reply_is_written_waits_for_the_prompt(terminal: Open) -> None:
    talk = terminal("chat", "--session", "ahead", "--user", "anna")
    talk.wait_for("ahead>")
    talk.say("add " + "o " * 60)
    talk.wait_for("[offline model] Added")
    talk.say("/meanwhile")
    written = talk.wait_for("ahead>")
    talk.wait_for("There is no /meanwhile")  # it was what the next prompt was given
    talk.wait_for("ahead>")
    talk.press(CTRL_D)

    assert talk.ended() == 0
    assert "”." in written
    assert "/meanwhile" not in written


def test_ctrl_c_while_waiting_goes_back_to_the_prompt(terminal: Open, silent_url: str) -> None:
    talk = terminal("chat", "--url", silent_url)
    talk.wait_for("you>")
    talk.say("hi")
    talk.wait_for("Waiting for the reply")
    talk.press(CTRL_C)
    talk.wait_for("Stopped waiting.")
    talk.wait_for("you>")
    talk.press(CTRL_D)

    assert talk.ended() == 0


def test_ctrl_c_in_the_middle_of_a_reply_cancels_the_turn(
    terminal: Open, parley: Callable[..., Any]
) -> None:
    talk = terminal("chat", "--session", "long", "--user", "anna")
    talk.wait_for("long>")
    talk.say("add tea")
    talk.wait_for("Added “tea”.")
    talk.wait_for("long>")
    talk.say("add " + "o " * 1500 + "to that task")  # a title could not be that long
    talk.wait_for("→ change_task")
    talk.wait_for("[offline model] Changed")
    talk.press(CTRL_C)  # once: a second would stop waiting for what the first has asked for
    talk.wait_for("The turn was cancelled.")
    talk.wait_for("long>")
    talk.say("add milk")
    talk.wait_for("Added “milk”.")
    talk.wait_for("long>")
    talk.press(CTRL_D)

    assert talk.ended() == 0
    assert "Traceback" not in talk.shown
    turns = parley("turns", "list", "long", "--user", "anna").out.splitlines()
    assert [turn.split("\t")[1] for turn in turns] == ["completed", "cancelled", "completed"]


def test_a_turn_is_followed_while_it_happens(terminal: Open, parley: Callable[..., Any]) -> None:
    turn = parley(
        "message", "add " + "o " * 60, "--session", "slow", "--user", "anna", "--background"
    ).out.strip()
    shown = terminal("turns", "follow", "slow", turn, "--user", "anna")

    shown.wait_for("→ add_task")
    shown.wait_for("[offline model] Added")
    assert shown.ended() == 0


def test_ctrl_c_ends_a_command_without_a_traceback(terminal: Open, silent_url: str) -> None:
    talk = terminal("message", "hi", "--session", "s", "--url", silent_url)
    talk.wait_for("Waiting for the reply")
    talk.press(CTRL_C)

    assert talk.ended() in (1, 130)
    assert "Traceback" not in talk.shown


def test_a_name_does_not_steer_the_terminal(terminal: Open, stack: LocalStack) -> None:
    made = terminal("sessions", "create", "evil\x1b]0;title\x07\x1b[2J", "--user", "mallory")
    assert made.ended() == 0

    listed = terminal("sessions", "list", "--user", "mallory")

    assert listed.ended() == 0
    assert "evil" in listed.shown
    assert "\x1b]0;" not in listed.shown
    assert "\x1b[2J" not in listed.shown


def test_erasing_asks_and_takes_no_for_an_answer(
    terminal: Open, parley: Callable[..., Any], stack: LocalStack
) -> None:
    parley("sessions", "create", "mine", "--user", "olga")
    asked = terminal("erase", "olga")
    asked.wait_for("Go on? [y/N]: ")
    asked.say("n")

    assert asked.ended() == 1
    assert parley("sessions", "list", "--user", "olga").out.startswith("mine\t")

    asked = terminal("erase", "olga")
    asked.wait_for("Go on? [y/N]: ")
    asked.say("y")

    assert asked.ended() == 0
    assert parley("sessions", "list", "--user", "olga").out == ""


def test_long_work_shows_a_bar_and_then_a_table(terminal: Open, stack: Any) -> None:
    shown = terminal("cleanup", "--dry-run")

    assert shown.ended() == 0
    assert "Looking" in shown.shown
    assert "closed sessions" in shown.shown


def test_what_is_piped_is_whole_while_a_bar_is_shown(
    terminal: Open, parley: Callable[..., Any], tmp_path: Path
) -> None:
    parley("sessions", "create", "mine", "--user", "paula")
    file = tmp_path / "paula.jsonl"

    shown = terminal("export", "paula", to=file)

    assert shown.ended() == 0
    assert "Exporting" in shown.shown
    assert [json.loads(line)["type"] for line in file.read_text().splitlines()] == ["session"]
