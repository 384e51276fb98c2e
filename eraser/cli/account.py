"""`eraser account`: who may come into the running station, by its Unix socket. As root, also where everybody is locked out."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from eraser.cli.asking import client_at, socket_option
from eraser.cli.desk import for_each, json_option, show
from eraser.domain.account import LANGUAGES, PEOPLE, Permission
from eraser.errors import ExitStatus

_role_option = click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in PEOPLE]),
    help="Several are given one by one.",
)
_language_option = click.option(
    "--language", type=click.Choice(LANGUAGES), help="Of the pages; else the browser's.", default=None
)


@click.group("account", short_help="People and programs that may come in.")
def account_group() -> None:
    """People and programs that may come into the running station. Takes root, or the station's own user."""


@account_group.command("add")
@click.argument("name")
@_role_option
@_language_option
@json_option
@socket_option
def add_command(
    name: str, roles: tuple[str, ...], language: str | None, as_json: bool, socket_path: Path | None
) -> None:
    """Make an account; prints the one-time link by which NAME sets the password, within 24 hours."""
    form = client_at(socket_path).add_account(name, roles, language or "")
    show(form, _link_lines(form), as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@account_group.command("list")
@json_option
@socket_option
def list_command(as_json: bool, socket_path: Path | None) -> None:
    """List the accounts with their roles."""
    for form in client_at(socket_path).accounts():
        state = "disabled" if form["is_disabled"] else "" if form["has_password"] else "has no password yet"
        show(form, [f"{form['name']:<24} {', '.join(form['roles']):<40} {state}".rstrip()], as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@account_group.command("change")
@click.argument("name")
@_role_option
@_language_option
@json_option
@socket_option
def change_command(
    name: str, roles: tuple[str, ...], language: str | None, as_json: bool, socket_path: Path | None
) -> None:
    """Give NAME these roles instead of those it has, or another language."""
    form = client_at(socket_path).change_account(name, roles=roles or None, language=language)
    show(form, [f"{form['name']}: {', '.join(form['roles'])}"], as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@account_group.command("disable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@socket_option
def disable_command(names: tuple[str, ...], socket_path: Path | None) -> None:
    """Let nobody in by these names any more; their sessions end at once."""
    sys.exit(for_each(names, _switching(socket_path, is_disabled=True)))


@account_group.command("enable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@socket_option
def enable_command(names: tuple[str, ...], socket_path: Path | None) -> None:
    """Let them in again."""
    sys.exit(for_each(names, _switching(socket_path, is_disabled=False)))


def _switching(socket_path: Path | None, *, is_disabled: bool) -> Callable[[str], None]:
    def switch(name: str) -> None:
        client_at(socket_path).change_account(name, is_disabled=is_disabled)
        click.echo(f"{name}: {'disabled' if is_disabled else 'enabled'}")

    return switch


@account_group.command("reset")
@click.argument("name")
@json_option
@socket_option
def reset_command(name: str, as_json: bool, socket_path: Path | None) -> None:
    """End NAME's password and sessions; prints the one-time link for setting another."""
    form = client_at(socket_path).reset_account(name)
    show(form, _link_lines(form), as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@account_group.command("trail")
@click.option("--name", default="", help="Of this person alone.")
@json_option
@socket_option
def trail_command(name: str, as_json: bool, socket_path: Path | None) -> None:
    """Show what people and programs did, the oldest first."""
    for deed in client_at(socket_path).trail(name):
        words = f"{deed['at']}  {deed['name'] or '-':<20} {deed['place']:<16} {deed['status']}  {deed['action']}"
        show(deed, [f"{words}  {deed['subject']}".rstrip()], as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@account_group.group("token")
def token_group() -> None:
    """Tokens of programs, and the wall's."""


@token_group.command("add")
@click.argument("label")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([permission.value for permission in Permission]),
    help="What the program may do; several are given one by one.",
)
@click.option("--wall", "is_wall", is_flag=True, help="For a screen on the wall: it shows the rack and does nothing.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="For so long.")
@json_option
@socket_option
def add_token_command(
    label: str, scopes: tuple[str, ...], is_wall: bool, days: int, as_json: bool, socket_path: Path | None
) -> None:
    """Make a token called LABEL. It is shown now and never again."""
    form = client_at(socket_path).add_token(label, scopes, is_wall=is_wall, days=days)
    lines = [f"Authorization: Bearer {form['token']}"]
    if is_wall:
        lines = [f"Start the wall's browser at /wall-screen?token={form['token']} of the station's address."]
    show(form, lines, as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@token_group.command("list")
@json_option
@socket_option
def list_tokens_command(as_json: bool, socket_path: Path | None) -> None:
    """List the tokens, without what opens the door."""
    for form in client_at(socket_path).tokens():
        what = "wall" if form["is_wall"] else ", ".join(form["scopes"])
        words = f"{form['token_id']}  {form['label']:<20} {what}{'  (ended)' if form['is_ended'] else ''}"
        show(form, [words], as_json=as_json)
    sys.exit(ExitStatus.PASSED)


@token_group.command("end")
@click.argument("token_ids", nargs=-1, required=True, metavar="ID...")
@socket_option
def end_token_command(token_ids: tuple[str, ...], socket_path: Path | None) -> None:
    """Let nobody in by these tokens any more."""

    def end(token_id: str) -> None:
        client_at(socket_path).end_token(token_id)
        click.echo(f"{token_id}: ended")

    sys.exit(for_each(token_ids, end))


def _link_lines(form: dict[str, Any]) -> list[str]:
    return [
        f"{form['name']}: opens {form['link']} of the station's address, once, within 24 hours, and sets a password there."
    ]
